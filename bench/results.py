"""One case's measurements as a JSON-able result, and many results as a table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench.cases import Case
from bench.compare import check_labels, check_losses, ratio, spread, table
from bench.flops import executed_flops, useful_flops

Measured = Mapping[str, Sequence[Mapping[str, Any]]]
LONG = ("lengths", "labels")  # what a measurement says that a result does not repeat


def result_of(case: Case, found: Measured, machine: Mapping[str, Any], precision: str) -> dict[str, Any]:
    """What is published of a case.

    Args:
        found: measurements by side, one a round; sides of other cases may be among them.

    Returns:
        `valid` is False where the sides did not do the same work: then no ratio means anything.
    """
    sides = [_efficiency(case, found)] if case.name == "efficiency" else _sides(case, found)
    rounds = {side.name: [_short(one) for one in found[side.name]] for side in case.sides}
    return {
        "case": case.name,
        "about": case.about,
        "counted": case.counted,
        "precision": precision,
        "valid": all(side.get("check", {}).get("valid", True) for side in sides),
        "sides": sides,
        "machine": dict(machine),
        "rounds": rounds,
    }


def _sides(case: Case, found: Measured) -> list[dict[str, Any]]:
    own = case.sides[0].name
    ours = [_cost(one) for one in found[own]]
    sides: list[dict[str, Any]] = [{"side": own, "unit": _unit(found[own]), **spread(ours)}]
    for side in case.sides[1:]:
        theirs = [_cost(one) for one in found[side.name]]
        sides.append(
            {
                "side": side.name,
                "unit": _unit(found[side.name]),
                **spread(theirs),
                "times": ratio(ours, theirs),
                "target": case.targets.get(side.name),
                "check": _check(case, found[own], found[side.name]),
            }
        )
    return sides


def _cost(one: Mapping[str, Any]) -> float:
    """Seconds, or milliseconds a sentence where sides have different numbers of sentences."""
    return float(one["seconds"] / one["count"] * 1000 if "count" in one else one["seconds"])


def _unit(some: Sequence[Mapping[str, Any]]) -> str:
    return "ms a sentence" if "count" in some[0] else "s"


def _check(case: Case, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if case.check == "labels":
        return check_labels(ours[0]["labels"], theirs[0]["labels"])
    return check_losses([one["loss"] for one in ours], [one["loss"] for one in theirs])


def _efficiency(case: Case, found: Measured) -> dict[str, Any]:
    """Useful FLOPs a second against the ceiling of the same rounds."""
    trial, ceiling = case.sides
    sizes = {name: int(ceiling.job[name]) for name in ("layers", "hidden", "inner")}
    useful, executed, best = [], [], []
    for one, limit in zip(found[trial.name], found[ceiling.name], strict=True):
        useful.append(useful_flops(one["lengths"], **sizes) / one["train_seconds"])
        executed.append(executed_flops(one["lengths"], **sizes) / one["train_seconds"])
        best.append(limit["flops_per_second"])
    return {
        "side": trial.name,
        "unit": "GFLOP/s",
        **spread([rate / 1e9 for rate in useful]),
        "ceiling": spread([rate / 1e9 for rate in best]),
        "share": ratio(best, useful),
        "executed_share": median(executed) / median(best),
        "target": case.targets[ceiling.name],
    }


def _short(one: Mapping[str, Any]) -> dict[str, Any]:
    short = {name: value for name, value in one.items() if name not in LONG}
    if "lengths" in one:
        short["tokens"] = sum(one["lengths"])
    return short


def rows_of(results: Sequence[Mapping[str, Any]]) -> str:
    """The table on the terminal."""
    rows = []
    for result in results:
        for side in result["sides"]:
            times = side.get("times") or side.get("share")
            met = times and side["target"] and times["median"] >= side["target"]
            rows.append(
                {
                    "case": result["case"],
                    "side": side["side"],
                    "median": f"{side['median']:.3g} {side['unit']}",
                    "spread": f"{side['lowest']:.3g}–{side['highest']:.3g}",
                    "factor": factor(side, times),
                    "target": f"{side['target']:g}{' ✓' if met else ' ✗'}" if side.get("target") else "",
                    "check": verdict(side.get("check")),
                }
            )
    return table(rows)


def factor(side: Mapping[str, Any], times: Mapping[str, float] | None) -> str:
    """`4.34× (4.30–4.38)`, or the share of the ceiling; empty where nothing is compared."""
    if times is None:
        return ""
    if "share" in side:
        return f"{times['median']:.0%} of {side['ceiling']['median']:.3g}"
    return f"{times['median']:.2f}× ({times['lowest']:.2f}–{times['highest']:.2f})"


def verdict(check: Mapping[str, Any] | None) -> str:
    """What the check found, short."""
    if check is None:
        return ""
    if "same_labels" in check:
        return f"{'' if check['valid'] else 'VOID: '}{check['same_labels']:.1%} same labels"
    return f"{'' if check['valid'] else 'VOID: '}loss {check['ours']:.4f} | {check['theirs']:.4f}"
