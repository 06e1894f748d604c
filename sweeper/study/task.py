"""What a worker is asked to do: one point of a study, as plain values that travel as JSON.

Knows the files of a trial but not how to train, so that the parent of a sweep starts without
importing what only its workers need.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sweeper.study.files import clear_up, drop_final, read_curve, remove_half_written
from sweeper.study.locks import Busy, locked
from sweeper.study.record import RECORD, TrialRecord
from sweeper.study.space import Value

LOCK = "lock"
START = "trial.json"  # how the trial was first computed; a resumed trial keeps it
JUDGED = ("median", "halving", "hyperband")  # pruners that compare trials: the parent answers every epoch
A_LOOK = 0.2  # seconds; whoever looks whether the trial is free holds its lock for an instant


@dataclass(frozen=True)
class TrialTask:
    """All that a worker needs to train one point: plain values, sent as JSON.

    Attributes:
        folder: the trial's own folder.
        corpus: folder of the tokenised corpus (`Corpus.open`).
        threads: CPU threads; a trial that was begun with another number keeps that.
        precision: float32, bf16 or fp16.
        prune: what may stop the trial before its last epoch (`prune.name`).
        extra_epochs: of `overfit`.
        stopped_by: for the record of a trial that is stopped; None where the whole curve is asked for.
    """

    key: str
    varied: Mapping[str, Value]
    config: Mapping[str, Any]
    folder: str
    corpus: str
    threads: int
    device: str
    precision: str
    accumulate: int = 1
    prune: str = "none"
    extra_epochs: int = 0
    stopped_by: str | None = None


def task_from(plain: Mapping[str, Any]) -> TrialTask:
    """A task from its JSON form."""
    return TrialTask(**{field.name: plain[field.name] for field in fields(TrialTask)})


def tidy_up(folder: Path, record: TrialRecord) -> None:
    """Remove what a kill has left of a trial that has its record, unless the trial is being trained anew.

    A pruned trial's folder may be in use by whoever wants its whole curve, or wait to be gone on with by them.
    """
    with suppress(Busy), locked(folder / LOCK, wait=A_LOOK):
        if record.state != "pruned" or tuple(read_curve(folder)) == record.curve:
            clear_up(folder)


def failed_record(task: TrialTask, data: str, reason: str) -> TrialRecord:
    """Write and give the record of a point that cannot be finished, with the curve it had.

    A trial that has a record keeps it: its worker may have died with everything done but said, or it was pruned
    once, which says more than that it could not go on.

    Raises:
        Busy: another process trains this trial at this moment.
    """
    folder = Path(task.folder)
    with locked(folder / LOCK, wait=A_LOOK):
        remove_half_written(folder)
        if (folder / RECORD).exists():
            return TrialRecord.read(folder)
        record = TrialRecord(
            key=task.key,
            state="failed",
            config=task.config,
            varied=task.varied,
            data=data,
            curve=tuple(read_curve(folder)),
            overfit_epoch=None,
            overfit_reached=False,
            threads=task.threads,
            device=task.device,
            precision=task.precision,
            reason=reason,
        )
        record.write(folder)
        clear_up(folder)
        drop_final(folder)
    return record
