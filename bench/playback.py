"""Training played back, in a worker: what `bench.recorded` forks its workers from has imported this.

`sweeper.study.trial` is the real one (locks, kept weights, curve, resume state, record, each flushed to the disk) but
for the training itself: a tiny encoder is loaded, never trained, and the epochs are those of `curves.csv`, which
`python -m sweeper study=lr train.epochs=5` trained on the sample. A trial shifts its curve a little by its key, so that
no two tie, and its validation predictions are as often right as its curve says.
"""

import csv
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.corpus import Corpus
from sweeper.study import trial
from sweeper.study.task import TrialTask
from sweeper.training.classifier import load_classifier
from sweeper.training.metrics import EpochMetrics

CURVES = Path(__file__).with_name("curves.csv")
MORE_RIGHT, HIGHER_LOSS = 12, 0.01  # the most that a trial's curve is shifted by: rows, and a share of the loss
WHOLE = 2**32  # of half a key


class Playback:
    """Stands where `Training` does; one recorded curve, from the epoch that it was left at."""

    def __init__(self, task: TrialTask, corpus: Corpus, on_step: Any) -> None:
        self.model = _classifier(task.config["model"], tuple(corpus.label_names or ()))
        self.labels = corpus.validation.labels
        self.curve = curve_of(task.key, len(self.labels))
        self.validation_predictions: NDArray[Any] = np.zeros(0, dtype=self.labels.dtype)
        self.done = 0

    @property
    def is_over(self) -> bool:
        """Whether no epoch is left."""
        return self.done == len(self.curve)

    def state_dict(self) -> dict[str, Any]:
        """What a killed trial goes on from: weights as in a real one, no optimizer's moments."""
        return {"model": self.model.state_dict(), "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.done = state["done"]


def play(training: Playback) -> Iterator[EpochMetrics]:
    """Stands where `fit` does: the epochs that are left, at once."""
    for epoch in training.curve[training.done :]:
        training.validation_predictions = _predictions(training.labels, epoch)
        training.done = epoch.epoch
        yield epoch


def curve_of(key: str, rows: int) -> list[EpochMetrics]:
    """The curve of the trial with this key.

    Args:
        key: 16 hexadecimal digits.
        rows: of the validation split; the accuracy is that of a whole number of them.
    """
    which, shift = int(key[:8], 16), int(key[8:], 16) / WHOLE
    curves = recorded()

    def shifted(epoch: EpochMetrics) -> EpochMetrics:
        right = min(rows, round((epoch.val_accuracy or 0.0) * rows + shift * MORE_RIGHT))
        return replace(epoch, val_accuracy=right / rows, val_loss=epoch.val_loss * (1 + HIGHER_LOSS * shift))

    return [shifted(epoch) for epoch in curves[which % len(curves)]]


@cache
def recorded(file: Path = CURVES) -> list[list[EpochMetrics]]:
    """The recorded curves, in the order of the file."""
    curves: dict[str, list[EpochMetrics]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            figures: dict[str, Any] = {name: float(text) for name, text in row.items() if name != "trial"}
            curves.setdefault(row["trial"], []).append(EpochMetrics(**{**figures, "epoch": int(row["epoch"])}))
    return list(curves.values())


def _predictions(labels: NDArray[Any], epoch: EpochMetrics) -> NDArray[Any]:
    """Right in as many rows, spread evenly, as the epoch's accuracy says; else the next class."""
    right = round((epoch.val_accuracy or 0.0) * len(labels))
    predicted: NDArray[Any] = (labels + 1) % (labels.max() + 1)
    rows = np.linspace(epoch.epoch, epoch.epoch + len(labels), right, endpoint=False).astype(int) % len(labels)
    predicted[rows] = labels[rows]
    return predicted


@cache
def _classifier(model: str, labels: tuple[str, ...]) -> Any:
    """Loaded once a process: real trials load theirs in a part of the time that their training takes."""
    return load_classifier(model, label_names=labels, loss="auto", dropout=None, freeze_encoder=False, seed=0)


def take_place() -> None:
    """From now on trials of this process are played back."""
    vars(trial).update(_training=Playback, fit=play)
