"""What failed how often in one start of a study, and what is done about it: again, in smaller pieces, or no more.

Counts live as long as the start; giving the command again counts anew. In how many micro-batches a point's
batches are computed lies beside its trial's files, so that a later start does not run out of memory as this one did.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from sweeper.study.locks import Busy, locked
from sweeper.study.record import RECORD, WEIGHTS, TrialRecord, trial_name
from sweeper.study.space import Point
from sweeper.study.task import A_LOOK, LOCK
from sweeper.training.checkpoint import write_atomically

MICRO_BATCHES = "micro_batches.json"
MOST_MICRO_BATCHES = 1024


class Retries:
    """Counts the failures of points and of workers.

    Args:
        most: how often a point that failed for a passing cause is begun again, and a worker that did not start.
        trials: folder of the trials' folders.
    """

    def __init__(self, most: int, trials: Path) -> None:
        self.most, self._trials = most, trials
        self._failures: Counter[str] = Counter()
        self._starts: Counter[int] = Counter()
        self._micro_batches: dict[str, int] = {}

    def failed(self, point: Point) -> int:
        """Count one failure more; gives how many there are."""
        self._failures[point.key] += 1
        return self._failures[point.key]

    def started(self, worker: int) -> None:
        """A worker process is ready for trials."""
        del self._starts[worker]

    def may_start(self, worker: int) -> bool:
        """Whether a worker that ended without a trial is started again; not for ever if it never gets ready."""
        self._starts[worker] += 1
        return self._starts[worker] <= self.most

    def micro_batches(self, point: Point) -> int:
        """In how many pieces each of the configuration's pieces of a batch is computed, to save memory."""
        if point.key not in self._micro_batches:
            stored = _read_number(self._trials / point.key / MICRO_BATCHES)
            self._micro_batches[point.key] = max(1, min(stored, _most_micro_batches(point)))
        return self._micro_batches[point.key]

    def halve(self, point: Point) -> bool:
        """Smaller micro-batches of the same effective batch; False where one has a single row already."""
        now, most = self.micro_batches(point), _most_micro_batches(point)
        if now >= most:
            return False
        self._micro_batches[point.key] = min(now * 2, most)
        with suppress(OSError):  # a full disk: this start knows the number, and the worker says that the disk is full
            path = self._trials / point.key / MICRO_BATCHES
            write_atomically(path, json.dumps(self._micro_batches[point.key]).encode())
        return True


def open_failed(trials: Path, points: Iterable[Point], say: Callable[[str], None]) -> None:
    """Open the points that an earlier start of the command has given up: giving it again means to try them again.

    To be called once a start for each point, before it is trained. Of two sweeps side by side each takes
    over what the other gives up from then on, so they do not repeat each other's failures for ever.
    """
    for point in points:
        folder = trials / point.key
        if not _has_failed(folder):
            continue
        with suppress(Busy), locked(folder / LOCK, wait=A_LOOK):
            if _has_failed(folder):  # still, now that nobody else can change it
                say(f"{trial_name(point.varied)}: had failed ({TrialRecord.read(folder).reason}); trying it again")
                (folder / MICRO_BATCHES).unlink(missing_ok=True)
                (folder / RECORD).unlink()


def open_without_weights(folder: Path) -> bool:
    """Open an ended trial whose weights are gone, so that it is trained again; False where they are there.

    Where another sweep trains it at this moment it is open already.
    """
    with suppress(Busy), locked(folder / LOCK, wait=A_LOOK):
        if (folder / WEIGHTS).exists():
            return False
        (folder / RECORD).unlink(missing_ok=True)
    return True


def _has_failed(folder: Path) -> bool:
    try:
        return TrialRecord.read(folder).state == "failed"
    except FileNotFoundError:
        return False


def _most_micro_batches(point: Point) -> int:
    rows = int(point.varied["batch_size"]) // int(point.config["train"]["accumulate"])
    return max(1, min(rows, MOST_MICRO_BATCHES))


def _read_number(path: Path) -> int:
    """1 where there is no number, or a damaged one."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return 1
