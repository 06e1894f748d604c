"""What is known of one trial, as a value: written once as `record.json`, read by everything above.

The epoch-by-epoch truth is `curve.jsonl` beside it (one line an epoch, append-only). A record is
written when the trial has ended, in one of the named states, and never changes afterwards.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from sweeper.study.space import GRID, Value
from sweeper.training.checkpoint import write_atomically
from sweeper.training.metrics import EpochMetrics

State = Literal["complete", "pruned", "diverged", "failed"]

CURVE = "curve.jsonl"
RECORD = "record.json"
WEIGHTS = "weights.safetensors"
PREDICTIONS = "validation_predictions.npy"
CARD = "data_card.json"
SCORE_IS_FINAL = "overfit"  # `stopped_by` of a trial that no other trial has stopped


@dataclass(frozen=True)
class TrialRecord:
    """One configuration and what came of it.

    Attributes:
        key: hash of everything that changes the result (CONTRIBUTING.md contract 3); names the trial's folder.
        state: complete, pruned, diverged (a non-finite loss) or failed (`reason` says why).
        config: the whole configuration that trains this trial again, as plain nested values.
        varied: what tells the trial from its neighbours, e.g. `{"lr": 2e-05, "batch_size": 64}`.
        data: fingerprint of the data, its cleaning and its splits; only trials of equal `data` compare.
        curve: one entry an epoch, first to last; ends with the non-finite epoch where `state` is diverged.
        overfit_epoch: 1-based epoch of the overfitting point; None where no epoch was finite.
        overfit_reached: False where validation loss never rose, so that the last epoch stands in.
        threads, device, precision: how it was computed (results are bit-identical at equal threads on a CPU).
        weights_sha256: of the overfitting epoch's `weights.safetensors`, kept or dropped.
        stopped_by: of a pruned trial, who stopped it: `overfit`, or a pruner and the study it compared it in.
    """

    key: str
    state: State
    config: Mapping[str, Any]
    varied: Mapping[str, Value]
    data: str
    curve: tuple[EpochMetrics, ...]
    overfit_epoch: int | None
    overfit_reached: bool
    threads: int
    device: str
    precision: str
    reason: str | None = None
    weights_sha256: str | None = None
    stopped_by: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def at_overfit(self) -> EpochMetrics | None:
        """The figures at the overfitting point."""
        return None if self.overfit_epoch is None else self.curve[self.overfit_epoch - 1]

    @property
    def is_candidate(self) -> bool:
        """Whether it may win: its score is final, though a pruned trial was stopped before its last epoch."""
        if self.at_overfit is None:
            return False
        return self.state == "complete" or (self.state == "pruned" and self.overfit_reached)

    @property
    def score(self) -> float:
        """Validation accuracy at the overfitting point (regression: minus the loss); -inf if not a candidate."""
        at = self.at_overfit
        if not self.is_candidate or at is None:
            return -math.inf
        return merit(at)

    def serves(self, stopped_by: str | None) -> bool:
        """Whether this record is the answer to a request for the same key.

        A pruned trial's curve is not whole. Its score is final once its overfitting point was reached, which
        is all that whoever prunes wants. One stopped before has lost against others of this experiment, so it
        answers every study that lets trials lose, whichever stopped it: if each study asked for its own loss, two
        that share a point would train it in turn for ever. A trial trained again always comes to know more.

        Args:
            stopped_by: what would be written into a record that the request's own pruning stops; None where
                the whole curve is asked for.
        """
        if self.state != "pruned":
            return True
        return stopped_by is not None and (self.overfit_reached or stopped_by != SCORE_IS_FINAL)

    @property
    def seconds(self) -> float:
        """Seconds of training and evaluation, all epochs."""
        return sum(epoch.seconds for epoch in self.curve)

    @property
    def name(self) -> str:
        """`lr=2e-05 bs=64`: what varies, short."""
        return trial_name(self.varied)

    def write(self, folder: Path) -> None:
        """Write `record.json` into the trial's folder in one step (aside, flushed, renamed)."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1, sort_keys=True)
        write_atomically(folder / RECORD, text.encode())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `record.json` of a trial's folder.

        Raises:
            FileNotFoundError: the trial has not ended.
        """
        plain = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        plain["curve"] = tuple(EpochMetrics(**epoch) for epoch in plain["curve"])
        return cls(**plain)


SHORT = {"batch_size": "bs", "weight_decay": "wd"}


def merit(epoch: EpochMetrics) -> float:
    """What epochs and trials are compared by, the higher the better: validation accuracy, or minus the loss."""
    return epoch.val_accuracy if epoch.val_accuracy is not None else -epoch.val_loss


def trial_name(varied: Mapping[str, Value]) -> str:
    """`lr=2e-05 bs=64 wd=0.01`: the varied settings in the field's short names, always in the same order."""
    order = sorted(varied, key=lambda key: (GRID.index(key) if key in GRID else len(GRID), key))
    return " ".join(f"{SHORT.get(key, key)}={varied[key]}" for key in order)


def rank(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Best first: score, then lower validation loss, then fewer epochs; trials without a score last."""

    def order(record: TrialRecord) -> tuple[float, float, float]:
        at = record.at_overfit
        if at is None or record.score == -math.inf:
            return (math.inf, math.inf, math.inf)
        return (-record.score, at.val_loss, at.epoch)

    return sorted(records, key=order)
