"""Ways to look for the best point of a grid, played against a table of its curves instead of a processor.

Nothing is imitated that the tool decides: `SearchPoints` finds the points (its samplers, its budget, its second tries
where a sampler names a point that is there already), `Ledger` and `make_pruner` judge epochs, `OverfittingTracker` says
when a score is final, `rank` who is ahead. Only the training is read off: an epoch costs one. A point that has a record
costs nothing, and so it is in the tool, where a trial is trained once. One training at a time.

A search chooses from the table's own rates and batch sizes (`study=search study.lr=[5e-3,1e-3,...]`), not from the
range between the ends: a rate that lies between two of the table's has no curve, and lending it that of its neighbour
would replay another tool than the one there is. A test runs the tool beside a replay and finds the same trials.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import optuna
from optuna.storages import InMemoryStorage

from bench.curve_tables import CurveTable, Place
from sweeper.config import compose, plain
from sweeper.errors import UserError
from sweeper.study.budget import Budget
from sweeper.study.ledger import Ledger
from sweeper.study.points import GridPoints, Points
from sweeper.study.pruning import make_pruner
from sweeper.study.record import State, TrialRecord, rank
from sweeper.study.sampling import STARTUP, Space
from sweeper.study.search import SearchPoints
from sweeper.study.space import Point, Value
from sweeper.study.task import JUDGED
from sweeper.training.metrics import EpochMetrics
from sweeper.training.overfitting import OverfittingTracker

MEMORY = Path("/dev/shm")  # the tool flushes its lists to the disk, which is not what is measured here

GRID, SHUFFLED, LR_BATCH = "grid", "shuffled grid", "lr then batch"


@dataclass(frozen=True)
class Strategy:
    """Who chooses the next point, and who ends its training.

    Attributes:
        chooses: `GRID` in the study's order, `SHUFFLED`, `LR_BATCH` (`study=lr,batch`: every rate at the usual batch
            size, then every batch size at the rate that won), or one of the tool's samplers.
        prune: as `prune=` takes it.
        startup: points that TPE draws at random first.
    """

    chooses: str
    prune: str = "none"
    startup: int = STARTUP

    @property
    def name(self) -> str:
        """`TPE + overfit`."""
        first = {"tpe": "TPE", "gp": "GP"}.get(self.chooses, self.chooses)
        first += "" if self.startup == STARTUP else f" after {self.startup}"
        return first if self.prune == "none" else f"{first} + {self.prune}"

    @property
    def is_drawn(self) -> bool:
        """Whether another seed gives another search."""
        return self.chooses not in (GRID, LR_BATCH)


STRATEGIES = (
    Strategy(GRID),
    Strategy(SHUFFLED),
    Strategy("random"),
    Strategy("tpe"),
    Strategy(LR_BATCH),
    Strategy(GRID, "overfit"),
    Strategy("random", "overfit"),
    Strategy("tpe", "overfit"),
    Strategy("tpe", "overfit", startup=4),
    Strategy("tpe", "hyperband"),
    Strategy(LR_BATCH, "overfit"),
)


def replay(table: CurveTable, strategy: Strategy, seed: int, study_id: str | None = None) -> list[TrialRecord]:
    """The trials in the order in which the tool would train them, each with the epochs it would train.

    Args:
        seed: of the sampler, or of the shuffled order.
        study_id: of the Optuna study, from which Hyperband draws brackets; None: one for every seed.

    Raises:
        UserError: the table has two rates, which a search takes for the ends of a range.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with TemporaryDirectory(prefix="replay-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        trainer = _Trainer(table, strategy.prune, study_id or f"{table.name}/search@{seed}", Path(folder))
        for points in _studies(table, strategy, seed, Path(folder), trainer.records):
            trainer.run(points)
    return list(trainer.records.values())


def _studies(
    table: CurveTable, strategy: Strategy, seed: int, folder: Path, records: Mapping[str, TrialRecord]
) -> Iterator[Points]:
    """The strategy's studies; the records of one are there when the next is asked for."""
    everything = [_point({"lr": lr, "batch_size": size}) for lr, size in table.curves]
    if strategy.chooses == LR_BATCH:
        usual = table.about["lr_study_batch_size"]
        yield GridPoints(tuple(_point({"lr": lr, "batch_size": usual}) for lr in table.rates))
        best = rank(records.values())[0]
        if best.is_candidate:
            yield GridPoints(tuple(_point({"lr": best.varied["lr"], "batch_size": n}) for n in table.batch_sizes))
    elif strategy.chooses in (GRID, SHUFFLED):
        if strategy.chooses == SHUFFLED:
            random.Random(seed).shuffle(everything)
        yield GridPoints(tuple(everything))
    else:
        yield _search(table, strategy, seed, folder / "search.json")


def _search(table: CurveTable, strategy: Strategy, seed: int, file: Path) -> SearchPoints:
    if len(table.rates) == 2:
        raise UserError(f"{table.name}: has two learning rates, which a search takes for the ends of a range")
    ranges: dict[str, list[Value]] = {"lr": [*table.rates], "batch_size": [*table.batch_sizes]}
    budget = Budget(None, None, table.epochs * len(table.curves))
    return SearchPoints(
        Space(ranges),
        budget,
        sampler=strategy.chooses,
        seed=seed,
        epochs=table.epochs,
        point=_point,
        file=file,
        head={},
        startup=strategy.startup,
    )


def _point(varied: Mapping[str, Value]) -> Point:
    lr, size = _place(varied)
    return Point(f"{lr!r}/{size}", dict(varied), {})


def _place(varied: Mapping[str, Value]) -> Place:
    return float(varied["lr"]), int(varied["batch_size"])


class _Trainer:
    """Goes through a study's points as `StudyRunner` does with one worker, and reads off what training would give."""

    def __init__(self, table: CurveTable, prune: str, study_id: str, folder: Path) -> None:
        self.records: dict[str, TrialRecord] = {}
        self._table, self._prune = table, _settings(prune)
        pruner = make_pruner(self._prune, table.epochs)
        judged = prune in JUDGED
        self._ledger = Ledger(InMemoryStorage(), study_id, folder / "ledger.lock", pruner) if judged else None

    def run(self, points: Points) -> None:
        """Train whatever has no record yet, as long as there is a point."""
        while (point := self._next(points)) is not None:
            if self._ledger is not None:
                self._ledger.claim([point], lambda _: True)
            record = self.records[point.key] = self._train(point)
            if self._ledger is not None:
                self._ledger.tell(point, record)

    def _next(self, points: Points) -> Point | None:
        while True:
            for point in points.known:
                if point.key not in self.records:
                    return point
            if not points.extend(self.records):
                return None

    def _train(self, point: Point) -> TrialRecord:
        curve: list[EpochMetrics] = []
        tracker, stopped = OverfittingTracker(**self._table.about["overfitting"]), False
        for epoch in self._table.curves[_place(point.varied)]:
            curve.append(epoch)
            tracker.update(epoch.val_loss)
            stopped = self._is_stopped(point, epoch, tracker)
            if stopped:
                break
        finite = math.isfinite(curve[-1].train_loss) and math.isfinite(curve[-1].val_loss)
        cut = stopped and len(curve) < self._table.epochs
        state: State = "diverged" if not finite else "pruned" if cut else "complete"
        found = tracker.point if tracker.keep else None
        return TrialRecord(
            key=point.key,
            state=state,
            config={},
            varied=point.varied,
            data=self._table.name,
            curve=tuple(curve),
            overfit_epoch=None if found is None else found.epoch,
            overfit_reached=found is not None and found.reached,
            threads=1,
            device="table",
            precision="",
        )

    def _is_stopped(self, point: Point, epoch: EpochMetrics, tracker: OverfittingTracker) -> bool:
        if self._ledger is not None:
            return self._ledger.report(point, epoch)
        return bool(self._prune["name"] == "overfit" and tracker.is_final(epoch.epoch, self._prune["extra_epochs"]))


@cache
def _settings(prune: str) -> dict[str, Any]:
    """The tool's own settings of this way to prune."""
    return dict(plain(compose([f"prune={prune}"]))["prune"])
