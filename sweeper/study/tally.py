"""How far the trials of a study are, counted as they go on: a look at it does not go through those that have ended."""

from bisect import bisect_left, insort

from sweeper.study.record import TrialRecord
from sweeper.study.rows import Row
from sweeper.training.metrics import EpochMetrics


class Tally:
    """The rows of a study by their trials' keys, and what they come to.

    Attributes:
        rows: in the order in which their points came to be known.
        waiting: epochs of the trials that no worker has begun.
        ended: trials that have their record.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.waiting, self.ended = 0, 0
        self._running: dict[str, Row] = {}
        self._seconds: list[float] = []  # of all epochs, sorted

    def add(self, key: str, row: Row) -> None:
        """One more trial, which waits."""
        self.rows[key] = row
        self.waiting += row.epochs

    def start(self, key: str, worker: int) -> None:
        """A worker has begun the trial, perhaps again."""
        row = self._leave(key)
        self._forget(row)
        row.state, row.worker, row.curve, row.part = "running", worker, [], 0.0
        self._running[key] = row

    def epoch(self, key: str, epoch: EpochMetrics) -> None:
        """An epoch of it is done."""
        self.rows[key].add(epoch)
        insort(self._seconds, epoch.seconds)

    def end(self, key: str, record: TrialRecord) -> None:
        """It has its record."""
        row = self._leave(key)
        self._forget(row)
        row.end(record)
        for epoch in row.curve:
            insort(self._seconds, epoch.seconds)
        self.ended += 1

    @property
    def done(self) -> int:
        """Trials of which no epoch is left, though one may not have its record yet."""
        return self.ended + sum(row.left == 0 for row in list(self._running.values()))

    def left(self, unknown: int) -> tuple[float, float]:
        """Epochs left in all, and those of the trial that has most.

        Args:
            unknown: trials that are to be found yet; they are taken to be as long as the first.
        """
        running = [row.left for row in list(self._running.values())]
        each = next(iter(self.rows.values())).epochs
        waits = self.waiting + unknown * each
        return sum(running) + waits, max([*running, float(each if waits else 0)])

    @property
    def median(self) -> float | None:
        """Seconds of an epoch; None before the first."""
        count = len(self._seconds)
        return (self._seconds[(count - 1) // 2] + self._seconds[count // 2]) / 2 if count else None

    def _leave(self, key: str) -> Row:
        row = self.rows[key]
        self._running.pop(key, None)
        self.waiting -= row.epochs if row.state == "waiting" else 0
        return row

    def _forget(self, row: Row) -> None:
        for epoch in row.curve:
            del self._seconds[bisect_left(self._seconds, epoch.seconds)]
