"""From measurements to what is said of them: medians, spread, ratios, and whether the losses let them stand."""

import math
from collections.abc import Mapping, Sequence
from statistics import mean, median, variance
from typing import Any

FLOOR, CEILING = 0.03, 0.10  # what a tolerance is never below and never above, relative to the loss
ALONE = 0.05  # the tolerance where one seed tells nothing about noise
CERTAINTY = 0.995  # of the two-sided t test at 1%


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": median(values), "lowest": min(values), "highest": max(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How many times longer theirs took: of the medians, and the lowest and highest of any round."""
    rounds = [other / own for own, other in zip(ours, theirs, strict=True)]
    return {"median": median(theirs) / median(ours), "lowest": min(rounds), "highest": max(rounds)}


def tolerance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How far two seed-averaged losses may lie apart: a t test's bound, kept between 3% and 10% of the loss.

    Below the floor a difference would not matter, whatever the test says of two seeds that happen to agree;
    above the ceiling it would, however noisy the seeds.
    """
    level = mean([*ours, *theirs])
    if min(len(ours), len(theirs)) < 2:
        return ALONE * level
    from scipy.stats import t

    pooled = (variance(ours) + variance(theirs)) / 2
    bound = float(t.ppf(CERTAINTY, len(ours) + len(theirs) - 2)) * math.sqrt(pooled * (1 / len(ours) + 1 / len(theirs)))
    return min(max(bound, FLOOR * level), CEILING * level)


def check_losses(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Whether both sides trained the same thing: seed-averaged validation losses within noise."""
    difference, allowed = mean(theirs) - mean(ours), tolerance(ours, theirs)
    return {
        "ours": mean(ours), "theirs": mean(theirs), "difference": difference, "tolerance": allowed,
        "valid": abs(difference) <= allowed,
    }  # fmt: skip


def check_labels(ours: Sequence[str], theirs: Sequence[str], least: float = 0.99) -> dict[str, Any]:
    """Whether both sides say the same of the sentences that both have seen."""
    same = mean(own == other for own, other in zip(ours, theirs, strict=False))
    return {"same_labels": same, "least": least, "valid": same >= least}


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of equal keys as text columns with a header; figures to the right."""
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    lines = [names, ["-" * widths[name] for name in names], *([row[name] for name in names] for row in rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(widths[name]) if index < 2 else cell.rjust(widths[name])
            for index, (name, cell) in enumerate(zip(names, line, strict=True))
        ).rstrip()
        for line in lines
    )
