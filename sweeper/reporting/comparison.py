"""Is the runner-up really worse? Intervals and paired tests on the validation predictions.

Accuracies get Wilson intervals and the exact McNemar test, a regression's mean squared errors normal
intervals and the paired t-test. Every trial is tested against the same winner, so p-values are adjusted
by Holm's method before a trial is called worse. Limit: the tests speak of these trained weights on
sentences like these; how far another seed would move a trial is not in them (see `study/configurations.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.intervals import Interval
from sweeper.study.configurations import Verdict
from sweeper.study.record import TrialRecord

Z95 = 1.959963984540054
LEVEL = 0.05
AGREES = 1e-3  # predictions whose accuracy is further from the recorded one belong to other rows
SAME_LOSS = 1e-2  # the same for a regression's loss, relative; its precision may be 16 bits


@dataclass(frozen=True)
class PairedTest:
    """Two models on the same sentences.

    Attributes:
        only_winner, only_other: sentences that one of them alone gets right (regression: predicts more closely).
        p: two-sided p-value of "neither is better".
    """

    only_winner: int
    only_other: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """One trial against the winner.

    Attributes:
        interval: of its figure at the overfitting point; None where the number of rows is not known.
        test: None for the winner and where predictions are missing.
        adjusted: the test's p-value after Holm's method.
        verdict: `winner`, `same` (cannot be told from the winner), `worse`, `unknown` (nothing to judge by)
            or `none` (the trial has no score).
    """

    interval: Interval | None = None
    test: PairedTest | None = None
    adjusted: float | None = None
    verdict: Verdict = "none"


def wilson(right: int, rows: int) -> Interval:
    """Wilson's 95% score interval of `right` out of `rows`.

    Raises:
        ValueError: no rows, or more right than rows.
    """
    if rows < 1 or not 0 <= right <= rows:
        raise ValueError(f"{right} right out of {rows} rows")
    share, square = right / rows, Z95**2
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = Z95 / (1 + square / rows) * math.sqrt(share * (1 - share) / rows + square / (4 * rows**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def mean_interval(values: NDArray[np.float64]) -> Interval | None:
    """Normal 95% interval of the mean of (n,) values; None for fewer than two."""
    if len(values) < 2:
        return None
    half = Z95 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def mcnemar(winner_right: NDArray[np.bool_], other_right: NDArray[np.bool_]) -> PairedTest:
    """Exact McNemar test: under "neither is better" each disagreement is the toss of a coin.

    Args:
        winner_right, other_right: (n,) whether each sentence's class was predicted.
    """
    from scipy.special import bdtr

    only_winner = int(np.sum(winner_right & ~other_right))
    only_other = int(np.sum(~winner_right & other_right))
    tosses = only_winner + only_other
    p = min(1.0, 2 * float(bdtr(min(only_winner, only_other), tosses, 0.5)))  # both tails of a fair coin are alike
    return PairedTest(only_winner, only_other, p)


def paired_t(winner_errors: NDArray[np.float64], other_errors: NDArray[np.float64]) -> PairedTest:
    """Paired t-test of the squared errors (n,) of two regressions."""
    from scipy.stats import ttest_rel

    closer, farther = int(np.sum(winner_errors < other_errors)), int(np.sum(winner_errors > other_errors))
    if len(winner_errors) < 2 or np.ptp(winner_errors - other_errors) == 0:
        return PairedTest(closer, farther, 1.0)
    return PairedTest(closer, farther, float(ttest_rel(winner_errors, other_errors).pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: none of m tests errs with more than the level's probability."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def compare(
    ranked: Sequence[TrialRecord],
    predictions: Mapping[str, NDArray[Any]],
    labels: NDArray[Any] | None,
    rows: int | None,
) -> dict[str, Comparison]:
    """Every trial against the first, by key.

    Args:
        ranked: best first (`rank`), of one data fingerprint.
        predictions: validation predictions (n,) at the overfitting point, by key, where there are any.
        labels: (n,) of the same rows; None where the data cannot be read.
        rows: number of validation rows; None if not known.
    """
    scored = [record for record in ranked if record.score > -math.inf]
    found = {record.key: Comparison() for record in ranked}
    if not scored:
        return found
    marks = {} if labels is None else _all_marks(scored, predictions, labels)
    winner = scored[0]
    for record in scored:
        found[record.key] = Comparison(_interval(record, marks.get(record.key), rows), verdict="unknown")
        if record is not winner and winner.key in marks and record.key in marks:
            test = _paired(winner, marks[winner.key], marks[record.key])
            found[record.key] = replace(found[record.key], test=test)
    found[winner.key] = replace(found[winner.key], verdict="winner")
    return _judged(found, winner.key)


def _all_marks(
    scored: Sequence[TrialRecord], predictions: Mapping[str, NDArray[Any]], labels: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Per trial whether each row is right (regression: its squared error), where predictions fit the record."""
    marks = {}
    for record in scored:
        one = predictions.get(record.key)
        if one is None or one.shape != labels.shape:
            continue
        accuracy = record.at_overfit.val_accuracy if record.at_overfit else None
        if accuracy is None:
            errors = np.square(one.astype(np.float64) - labels)
            if record.at_overfit and math.isclose(errors.mean(), record.at_overfit.val_loss, rel_tol=SAME_LOSS):
                marks[record.key] = errors
        elif abs(float(np.mean(one == labels)) - accuracy) <= AGREES:
            marks[record.key] = one == labels
    return marks


def _paired(winner: TrialRecord, first: NDArray[Any], second: NDArray[Any]) -> PairedTest:
    at = winner.at_overfit
    return mcnemar(first, second) if at and at.val_accuracy is not None else paired_t(first, second)


def _interval(record: TrialRecord, marks: NDArray[Any] | None, rows: int | None) -> Interval | None:
    at = record.at_overfit
    if at is None or at.val_accuracy is None:
        return None if marks is None else mean_interval(marks)
    return wilson(round(at.val_accuracy * rows), rows) if rows else None


def _judged(found: dict[str, Comparison], winner: str) -> dict[str, Comparison]:
    """Name each verdict: by the adjusted test, else by overlapping intervals."""
    tested = [key for key, one in found.items() if one.test is not None]
    adjusted = holm([test.p for key in tested if (test := found[key].test) is not None])
    for key, p in zip(tested, adjusted, strict=True):
        found[key] = replace(found[key], adjusted=p, verdict="worse" if p < LEVEL else "same")
    best = found[winner].interval
    for key, one in found.items():
        if one.verdict == "unknown" and best is not None and one.interval is not None:
            found[key] = replace(one, verdict="same" if one.interval.overlaps(best) else "worse")
    return found
