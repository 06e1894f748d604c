"""Records made by hand for the tests of this room."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sweeper.study.record import TrialRecord
from sweeper.study.space import Point
from sweeper.training.metrics import EpochMetrics

CONFIG: dict[str, Any] = {
    "name": "made",
    "model": "ko-mini",
    "data": {"path": "a.csv", "max_length": 32},
    "head": {"dropout": None},
    "optimizer": {"name": "adam", "lr": 1e-3, "weight_decay": 0.0, "momentum": 0.0},
    "overfitting": {"min_delta": 0.0, "patience": 1},
    "schedule": {"name": "constant", "warmup": 0},
    "train": {"batch_size": 64, "epochs": 3, "precision": "auto", "device": "auto", "keep_weights": "best", "seed": 0},
    "study": {"name": "lr", "lr": None, "batch_size": None},
}


def epoch(number: int, val_loss: float = 1.0, val_accuracy: float | None = 0.5) -> EpochMetrics:
    """One epoch's figures."""
    return EpochMetrics(number, 1.1, val_loss, val_accuracy, val_accuracy, val_accuracy, 1e-3, 2.0, 100.0)


def record(
    key: str = "k1",
    losses: Sequence[float] = (3.0, 2.0, 2.5),
    accuracies: Sequence[float | None] = (0.1, 0.2, 0.3),
    overfit: int | None = 2,
    state: str = "complete",
    lr: float = 1e-3,
    batch_size: int = 64,
) -> TrialRecord:
    """A trial that has ended."""
    pairs = zip(losses, accuracies, strict=True)
    return TrialRecord(
        key=key,
        state=state,
        config=CONFIG,
        varied={"lr": lr, "batch_size": batch_size},
        data="d",
        curve=tuple(epoch(i, loss, accuracy) for i, (loss, accuracy) in enumerate(pairs, start=1)),
        overfit_epoch=overfit,
        overfit_reached=True,
        threads=1,
        device="cpu",
        precision="float32",
    )


def of_seeds(lr: float, scores: Mapping[int, float | str], *, regression: bool = False) -> list[TrialRecord]:
    """A configuration's trials.

    Args:
        scores: by seed, validation accuracy (regression: loss) at the overfitting point, or the state that it ended in.
    """
    trials = []
    for seed, score in scores.items():
        value = score if isinstance(score, float) else 0.5
        figures = ((3.0, value, 9.0), (None,) * 3) if regression else ((3.0, 2.0, 2.5), (0.0, value, 0.0))
        state = "complete" if isinstance(score, float) else score
        made = record(f"{lr:g}-{seed}", *figures, lr=lr, state=state)
        config = {**CONFIG, "optimizer": {**CONFIG["optimizer"], "lr": lr}, "train": {**CONFIG["train"], "seed": seed}}
        trials.append(replace(made, config=config, varied={**made.varied, "seed": seed}))
    return trials


def point(key: str, lr: float = 1e-3, batch_size: int = 64) -> Point:
    """A point of a study."""
    return Point(key, {"lr": lr, "batch_size": batch_size}, CONFIG)


def prune(name: str, **more: int) -> dict[str, Any]:
    """The configuration's `prune` section."""
    return {"name": name, "first_epoch": 1, "startup_trials": 1, "factor": 3} | more
