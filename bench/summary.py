"""`python -m bench.summary`: what `bench/results/*.json` say, as the page `bench/results/README.md`.

Written again at the end of every `make bench`; a test holds the page, and what the README quotes of it, to the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import replay_page, scale_page
from bench.publish import RESULTS, read_results
from bench.results import factor, verdict

Result = Mapping[str, Any]

ORDER = ("base", "efficiency", "batch-16", "batch-32", "batch-128", "max-length", "sample", "prediction")
HEAD = """# Measured

Written by `python -m bench.summary` from the JSON files beside it, which hold every round. Sides of a case are measured
in turn in fresh processes, with the same weights, rows, seed, epochs, precision and processors; figures are medians
(lowest–highest of the rounds), and a factor says how many times longer the other side takes. `check` is what both sides
must agree in: the seed-averaged validation loss, or the labels.
"""


def quoted(results: Mapping[str, Result]) -> Iterator[tuple[str, str, str]]:
    """Case, other side and factor, as documents quote them: `4.34×`, or `71%` of the ceiling."""
    for name in ORDER:
        for side in results[name]["sides"] if name in results else ():
            times = side.get("times") or side.get("share")
            if times is not None:
                text = f"{times['median']:.0%}" if "share" in side else f"{times['median']:.2f}×"
                yield name, side["side"], text


def page(results: Mapping[str, Result]) -> str:
    """The whole page as Markdown."""
    cases = [results[name] for name in ORDER if name in results]
    parts = (
        _comparisons(cases),
        _profile(results),
        _startup(results),
        _memory(results),
        _growth(results),
        _scale(results),
        _replays(results),
    )
    return "\n".join([HEAD, *(line for part in parts for line in part)])


def _comparisons(cases: Sequence[Result]) -> Iterator[str]:
    if not cases:
        return
    yield "## Side by side: `make bench`\n"
    yield "| case | side | median (spread) | factor (spread) | target | check |"
    yield "|---|---|---|---|---|---|"
    for case in cases:
        for side in case["sides"]:
            times = side.get("times") or side.get("share")
            spread = f"{side['median']:.3g} {side['unit']} ({side['lowest']:.3g}–{side['highest']:.3g})"
            target = f"{side['target']:g}" if side.get("target") else ""
            cells = [
                case["about"],
                side["side"],
                spread,
                factor(side, times),
                target,
                verdict(side.get("check")).replace("|", "/"),
            ]
            yield f"| {' | '.join(cells)} |"
    yield ""
    yield from _machines(cases)


def _machines(cases: Sequence[Result]) -> Iterator[str]:
    for text in sorted({_machine(case["machine"], case["precision"]) for case in cases}):
        yield f"{text}.\n"


def _machine(machine: Mapping[str, Any], precision: str | None = None) -> str:
    parts = [machine["gpu"] or machine["cpu"], f"{machine['threads']} processors", precision]
    parts += [f"{name} {machine[name]}" for name in ("python", "torch", "transformers", "accelerate", "optuna")]
    return ", ".join(part for part in parts if part)


def _profile(results: Mapping[str, Result]) -> Iterator[str]:
    if (found := results.get("profile")) is None:
        return
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in found["shares"].items())
    rates = found["ceiling_of_its_shapes"]
    own = max(rate for shape, rate in rates.items() if len(set(shape.split("x"))) > 1)  # the others are squares
    yield "## What bounds the small encoder: `python -m bench.profile`\n"
    yield (
        f"A trial of the sample on one thread does {found['useful'] / 1e9:.0f} useful GFLOP/s ("
        f"{found['executed'] / 1e9:.0f} executed). The fastest matrix product of its own shapes runs at "
        f"{own / 1e9:.0f}, the fastest of any at {found['ceiling'] / 1e9:.0f}. Operators' own time: {shares}.\n"
    )


def _startup(results: Mapping[str, Result]) -> Iterator[str]:
    if (found := results.get("startup")) is None:
        return
    yield "## Start-up: `python -m bench.startup`\n"
    yield "| on the sample, cache of rows warm | seconds | allowed |"
    yield "|---|---|---|"
    rows = {
        "command to first step, runs folder new": ("first_step_new_runs", None),
        "command to first step": ("first_step", "first_step"),
        "from one trial to the next": ("gap", "gap"),
    }
    for text, (name, limit) in rows.items():
        one, allowed = found[name], found["allowed"][limit] if limit else ""
        yield f"| {text} | {one['median']:.2f} ({one['lowest']:.2f}–{one['highest']:.2f}) | {allowed} |"
    yield f"\n{_machine(found['machine'])}.\n"


def _memory(results: Mapping[str, Result]) -> Iterator[str]:
    if (found := results.get("memory")) is None:
        return
    yield "## Memory: `python -m bench.memory`\n"
    yield (
        f"{found['trials']} trials one after another in one worker: {found['after_third']:.0f} MiB resident after "
        f"the third, {found['after_last']:.0f} MiB after the last: {found['growth']:+.1%} (allowed "
        f"{found['allowed']:.0%}).\n"
    )


def _growth(results: Mapping[str, Result]) -> Iterator[str]:
    curves = [one for name, one in results.items() if name.startswith("growth-")]
    if curves:
        yield "## Cost as work grows: `python -m bench.growth`\n"
        yield (
            "Exponent of the last step: 1 is in proportion, 0 not at all. Rows and trials cost less than in proportion "
            "while imports and start-up outweigh them; long sentences cost more, for attention grows with the square.\n"
        )
    for curve in curves:
        slopes = ", ".join(f"{line} {slope:.2f}" for line, slope in curve["exponent"].items())
        yield f"{curve['about']}: {slopes}.\n\n![{curve['about']}]({curve['case']}.svg)\n"


def _scale(results: Mapping[str, Result]) -> Iterator[str]:
    yield from scale_page.section(scale_page.scaled(results))


def _replays(results: Mapping[str, Result]) -> Iterator[str]:
    yield from replay_page.section([one for name, one in results.items() if name.startswith("replay-")])


def write_page(folder: Path = RESULTS) -> Path:
    """Write the page beside the results and give its path."""
    path = folder / "README.md"
    path.write_text(page(read_results(folder)), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write_page())
