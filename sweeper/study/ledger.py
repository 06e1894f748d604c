"""The Optuna study as a ledger: which points there are, who has begun one, how each ended.

Optuna's own GridSampler would neither retry a failed point nor notice one that a dead process left
RUNNING, so the points are ours and Optuna holds their states (a search asks its samplers for points in
`sampling.py`, before they come here). A point enters Optuna when it is begun, and is RUNNING until its
record is told; a RUNNING point whose trial folder nobody has locked was left by a dead process and is
begun again under the same number. All changes are made under one file lock, so that two sweeps started
together do not begin a point twice. A storage that is away is waited for; what it may have changed
before it went is looked for before it is changed again.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.storages import RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.errors import UserError, redact
from sweeper.study.entries import KEY, STATE, Entries, Fate
from sweeper.study.locks import LOCK_SECONDS, locked
from sweeper.study.patience import patiently
from sweeper.study.pruning import judge
from sweeper.study.record import TrialRecord, merit
from sweeper.study.space import Point, Value
from sweeper.training.metrics import EpochMetrics

JOURNAL = "optuna.journal"
VARIED, STOPPED_AT = "varied", "stopped_at"
STORAGE_LOCK = "storage.lock"
SCHEDULES = ("constant", "linear")  # Optuna wants the same choices in every trial

OPTUNA_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.FAIL,
    "failed": TrialState.FAIL,
}


class _KernelLock:
    """A journal lock that dies with its holder, and mends the line that a killed writer left half-written.

    Optuna's own locks are files that a killed process leaves behind (then everybody waits 30 s), and
    a half-written line would make the journal unreadable once the next one is appended to it. Optuna's
    base class for locks is private; it asks for these two methods alone.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held: AbstractContextManager[None] | None = None

    def acquire(self) -> bool:
        self._held = locked(self._journal.with_suffix(".lock"), wait=LOCK_SECONDS)
        self._held.__enter__()
        self._mend()
        return True

    def release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.__exit__(None, None, None)

    def _mend(self) -> None:
        with self._journal.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) == b"\n":
                return
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(url: str | None, runs: Path) -> Any:
    """The Optuna storage behind a URL; without one, a journal file under `runs`.

    Raises:
        UserError: the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        journal = runs / JOURNAL
        journal.touch(exist_ok=True)
        lock: Any = _KernelLock(journal)
        return optuna.storages.JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # a lost connection is told without a traceback
    try:
        with locked(runs / STORAGE_LOCK, wait=LOCK_SECONDS):  # two that make the tables at once would both fail
            return optuna.storages.get_storage(RDBStorage(with_driver(url), {"pool_pre_ping": True}))
    except Exception as error:
        raise UserError(f"storage: {_why_not(error)}; paths.runs and what is in it stay as they are") from None


def _why_not(error: Exception) -> str:
    """Why a storage cannot be opened, and what to do; of its URL what the driver says of it, passwords left out."""
    if type(error).__name__ == "ArgumentError":  # SQLAlchemy's, which is Optuna's affair
        return (
            "it is no URL; expected postgresql://USER@HOST/DATABASE, mysql://..., or null for a file under paths.runs"
        )
    if isinstance(error, ImportError):
        postgres = "PostgreSQL's is the extra: python -m pip install -e '.[postgres]' in sweeper's checkout"
        return f"the driver of its database is not installed ({redact(str(error))}); {postgres}"
    known = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return f"it cannot be opened ({redact(known)}); check its URL (user, host, database), and that the server runs"


def with_driver(url: str) -> str:
    """`postgresql://` with the driver that the extra `postgres` installs; other URLs as they are."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


class Ledger:
    """The Optuna study of one sweeper study.

    Args:
        storage: what `open_storage` gives.
        name: the Optuna study's name.
        lock: file under whose lock all changes are made.
        pruner: judges every epoch; None never stops a trial.
        say: told when the storage is away.

    Raises:
        UserError: the storage stays away; every method may raise it.
    """

    def __init__(
        self,
        storage: Any,
        name: str,
        lock: Path,
        pruner: BasePruner | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.say, self._lock, self._pruner = say, lock, pruner or NopPruner()
        self._lost: set[str] = set()  # points that Optuna has ended, but whose record is gone
        self._study = self._open(storage, name)
        self._entries = Entries(self._study)

    @patiently
    def _open(self, storage: Any, name: str) -> optuna.Study:
        with locked(self._lock, wait=LOCK_SECONDS):
            return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)

    @patiently
    def claim(self, points: Sequence[Point], is_open: Callable[[Point], bool]) -> Point | None:
        """Begin the first of these points that nobody has ended and nobody is training, or None.

        Args:
            is_open: whether the point's trial folder has no record and no living process holds it. The
                folder is the truth: a point that Optuna has ended but whose record is gone is begun anew.
        """
        with locked(self._lock, wait=LOCK_SECONDS):
            for point in points:
                trial = self._entries.last(point.key)
                if trial is None or is_open(point):
                    if trial is None:
                        self._begin(point)
                    elif trial.state.is_finished():
                        self._lost.add(point.key)
                    elif len(trial.params) < len(point.varied):
                        self._suggest(Trial(self._study, trial._trial_id), point.varied)
                    return point
        return None

    @patiently
    def report(self, point: Point, epoch: EpochMetrics) -> bool:
        """Add an epoch's validation accuracy (regression: minus the loss) and give the pruner's verdict on the trial.

        A verdict is kept: after a restart, when restored epochs are reported again, it is the same. So it is where a
        trial that was pruned is trained again because its record was lost.
        """
        with locked(self._lock, wait=LOCK_SECONDS):
            if (trial := self._entries.last(point.key)) is None:
                return False
            self._report(trial, (epoch,))
            trial = self._study._storage.get_trial(trial._trial_id)
            stopped_at = trial.user_attrs.get(STOPPED_AT, math.inf)
            if trial.state.is_finished():
                return bool(trial.state == TrialState.PRUNED and epoch.epoch >= stopped_at)
            if epoch.epoch == trial.last_step and epoch.epoch <= stopped_at:
                stopped_at = self._judge(trial, epoch.epoch, stopped_at)
            return bool(epoch.epoch >= stopped_at)

    def _judge(self, trial: FrozenTrial, epoch: int, stopped_at: float) -> float:
        """Ask the pruner, and write down what it says: the verdict before its notes, or a kill would lose it."""
        stop, noted = judge(self._pruner, self._study, trial)
        if stop and stopped_at == math.inf:
            Trial(self._study, trial._trial_id).set_user_attr(STOPPED_AT, epoch)
            stopped_at = epoch
        for name, value in noted.items():
            self._study._storage.set_trial_system_attr(trial._trial_id, name, value)
        return stopped_at

    def _report(self, trial: FrozenTrial, epochs: Sequence[EpochMetrics]) -> None:
        """Tell the figures that a trial lacks; Optuna takes no more of one that has ended."""
        missing = [] if trial.state.is_finished() else [e for e in epochs if e.epoch not in trial.intermediate_values]
        for epoch in missing:
            if math.isfinite(value := merit(epoch)):
                Trial(self._study, trial._trial_id).report(value, epoch.epoch)

    @patiently
    def tell(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """End the point with its record; a point that has ended is left as it is.

        One that was trained anew because its record was lost comes to the same end. Only where it does not
        (another machine, or one that had failed) a second is entered: Optuna's ended trials cannot be changed.

        Args:
            note: why the point was not trained here, where it was taken over from another study.
        """
        with locked(self._lock, wait=LOCK_SECONDS):
            trial = self._entries.last(point.key)
            state = OPTUNA_STATES[record.state]
            score = record.score if state == TrialState.COMPLETE else None
            if trial is not None and trial.state.is_finished():
                value = trial.value if trial.state == TrialState.COMPLETE else None
                given_up = trial.user_attrs.get("state") == "failed"  # and tried again since
                if not (given_up or point.key in self._lost) or (trial.state, value) == (state, score):
                    return
                trial = None
            trial = trial or self._begin(point)
            live = Trial(self._study, trial._trial_id)
            self._suggest(live, point.varied)
            for name, value in _attributes(record, note).items():
                live.set_user_attr(name, value)
            self._report(trial, record.curve)
            self._study.tell(trial.number, values=score, state=state, skip_if_finished=True)

    @patiently
    def fates(self) -> dict[str, Fate]:
        """What became of every point that was ever put in, by its key."""
        with locked(self._lock, wait=LOCK_SECONDS):
            return self._entries.fates()

    @patiently
    def let_go(self, point: Point) -> None:
        """End an open point that nobody asks for any more; if somebody does again, it is begun as a new trial."""
        with locked(self._lock, wait=LOCK_SECONDS):
            if (trial := self._entries.newest(point.key)) is None or trial.state.is_finished():
                return
            number = self._begin(point).number if trial.state == TrialState.WAITING else trial.number
            self._study.tell(number, state=TrialState.FAIL, skip_if_finished=True)

    def _begin(self, point: Point) -> FrozenTrial:
        """Enter the point as RUNNING; under the lock, so that the trial asked for is the one put in."""
        if not self._entries.waits(point.key):
            self._study.enqueue_trial(dict(point.varied), user_attrs={KEY: point.key, VARIED: dict(point.varied)})
        while True:  # a killed process may have left others waiting: they become RUNNING, to be claimed
            trial = self._study.ask()
            self._suggest(trial, trial.user_attrs.get(VARIED, point.varied))
            begun = self._study._storage.get_trial(trial._trial_id)
            self._entries.add(begun)
            if begun.user_attrs.get(KEY) == point.key:
                return begun

    def _suggest(self, trial: Trial, varied: Mapping[str, Value]) -> None:
        """Make the point's values the trial's parameters; those it has stay. A kill may have left it without."""
        for name, value in varied.items():
            if isinstance(value, str):
                trial.suggest_categorical(name, SCHEDULES)
            elif name == "lr":
                trial.suggest_float(name, min(1e-7, value), max(1.0, value), log=True)
            elif isinstance(value, int):
                trial.suggest_int(name, 0 if name == "seed" else 1, max(4096, value))
            else:
                trial.suggest_float(name, 0.0, max(1.0, value))


def _attributes(record: TrialRecord, note: str | None) -> dict[str, Any]:
    at = record.at_overfit
    attributes = {
        STATE: record.state,
        "overfit_epoch": record.overfit_epoch,
        "overfit_reached": record.overfit_reached,
        "val_loss": at.val_loss if at else None,
        "seconds": round(record.seconds, 3),
        "reason": record.reason,
        "note": note,
    }
    return {name: value for name, value in attributes.items() if value is not None}
