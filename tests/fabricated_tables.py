"""Curve tables made by hand."""

from collections.abc import Mapping, Sequence

from bench.curve_tables import CurveTable, Place
from sweeper.training.metrics import EpochMetrics

LOSSES = Mapping[Place, Sequence[float]]


def curve(losses: Sequence[float], accuracies: Sequence[float] | None = None) -> tuple[EpochMetrics, ...]:
    """A curve of these validation losses; without accuracies, the lower the loss, the higher they are."""
    accuracies = accuracies or [max(0.0, 1 - loss / 10) for loss in losses]
    pairs = enumerate(zip(losses, accuracies, strict=True), start=1)
    return tuple(EpochMetrics(number, 0.5, loss, acc, acc, acc, 1e-3, 2.0, 9.0) for number, (loss, acc) in pairs)


def table(losses: LOSSES, accuracies: LOSSES | None = None, **about: object) -> CurveTable:
    """A table of these points, in this order."""
    known = {
        "name": "made", "data": "made up", "command": "python -m sweeper study=grid", "seed": 0, "classes": 2,
        "epochs": max(len(one) for one in losses.values()), "overfitting": {"min_delta": 0.0, "patience": 1},
        "lr_study_batch_size": 16, "rows": {"train": 10, "validation": 1000}, "seconds": 3.0, "trainings": len(losses),
        "encoder": {"name": "ko-mini", "fingerprint": "0"},
    }  # fmt: skip
    given = accuracies or {}
    return CurveTable(known | about, {place: curve(one, given.get(place)) for place, one in losses.items()})
