"""What failed how often in one start of a study, and what is done about it: again, in smaller pieces, or no more.

Counts live as long as the start; giving the command again counts anew. In how many micro-batches a point's
batches are computed lies beside its trial's files, so that a later start does not run out of memory as this one did.
"""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path

from sweeper.study.space import Point
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


def _most_micro_batches(point: Point) -> int:
    rows = int(point.varied["batch_size"]) // int(point.config["train"]["accumulate"])
    return max(1, min(rows, MOST_MICRO_BATCHES))


def _read_number(path: Path) -> int:
    """1 where there is no number, or a damaged one."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return 1
