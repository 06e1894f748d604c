"""A document's published figures beside ours: the same settings, theirs, ours, the difference.

Reads `experiments/<name>/published.yaml`: `lr_study`, `batch_study` and `grid_study` list trainings, `winner`, `result`
and `cost` name single figures. Everything is optional; other keys are left alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeper.study.record import TrialRecord
from sweeper.study.table import batch_of, lr_of

STUDIES = ("lr_study", "batch_study", "grid_study")
SINGLES = ("winner", "result", "cost")
FIGURES = ("overfit_epoch", "train_loss", "val_loss", "train_accuracy", "val_accuracy")


@dataclass(frozen=True)
class Pair:
    """A figure, theirs and ours; None where one side has none."""

    name: str
    theirs: float | None
    ours: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus theirs."""
        return None if self.theirs is None or self.ours is None else self.ours - self.theirs


@dataclass(frozen=True)
class Row:
    """One published training: its settings and its figures, in the order of `FIGURES`.

    Attributes:
        ours: our trial of these settings; None where none has a final score.
    """

    lr: float
    batch_size: int
    pairs: tuple[Pair, ...]
    ours: TrialRecord | None = None

    @property
    def reached(self) -> bool:
        """Whether our overfitting point is one; False: the last epoch stands in."""
        return self.ours is None or self.ours.overfit_reached


@dataclass(frozen=True)
class Published:
    """What there is to compare; both parts may be empty."""

    rows: tuple[Row, ...]
    singles: tuple[Pair, ...]

    def __bool__(self) -> bool:
        return bool(self.rows or self.singles)


def beside(
    published: Mapping[str, Any], records: Sequence[TrialRecord], tested: Mapping[str, float | None]
) -> Published:
    """Published figures beside ours.

    Args:
        records: best first; the first trial of a published training's settings stands for it, if its score is final.
        tested: our figures on the test split and the winner's, by the names that `winner`, `result` and `cost` use.
    """
    block = _block(published)
    ours: dict[tuple[float, int], TrialRecord] = {}
    for record in records:
        if record.is_candidate:
            ours.setdefault((lr_of(record), batch_of(record)), record)
    rows = {(row.lr, row.batch_size): row for row in _rows(block, ours)}
    singles = {
        name: Pair(name, float(value), tested.get(name))
        for part in SINGLES
        for name, value in _mapping(block.get(part)).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return Published(tuple(rows.values()), tuple(singles.values()))


def _block(published: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part with figures: the file itself, or what stands under its only name."""
    if any(key in published for key in (*STUDIES, *SINGLES)):
        return published
    inner = [value for value in published.values() if isinstance(value, dict)]
    return next((one for one in inner if any(key in one for key in (*STUDIES, *SINGLES))), {})


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(block: Mapping[str, Any], ours: Mapping[tuple[float, int], TrialRecord]) -> Iterator[Row]:
    for study in STUDIES:
        for entry in block.get(study) or ():
            if "lr" not in entry or "batch_size" not in entry:
                continue
            lr, batch_size = float(entry["lr"]), int(entry["batch_size"])
            record = ours.get((lr, batch_size))
            pairs = (Pair(name, _number(entry.get(name)), _figure(record, name)) for name in FIGURES)
            yield Row(lr, batch_size, tuple(pairs), record)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _figure(record: TrialRecord | None, name: str) -> float | None:
    if record is None or record.at_overfit is None:
        return None
    value = record.overfit_epoch if name == "overfit_epoch" else getattr(record.at_overfit, name)
    return _number(value)
