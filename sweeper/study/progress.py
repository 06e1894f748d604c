"""What a person sees while a study runs: which trial is at which epoch, its figures, and the time left.

A live table on a terminal; one line an epoch elsewhere (a pipe, CI, `progress=plain`). Both take the
same calls, so whoever runs a study does not ask which it has.
"""

import os
import time
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sweeper.study.points import GridPoints, Points
from sweeper.study.record import TrialRecord, trial_name
from sweeper.study.rows import Row, most_rows, rows_table
from sweeper.study.space import Point
from sweeper.study.table import overfitting_text
from sweeper.study.tally import Tally
from sweeper.study.wording import duration, figures
from sweeper.training.metrics import EpochMetrics


class Progress(Protocol):
    """What a running study tells whoever watches."""

    def open(self, title: str, points: Points, workers: int) -> None: ...
    def started(self, point: Point, worker: int) -> None: ...
    def step(self, point: Point, step: int, steps: int) -> None: ...
    def epoch(self, point: Point, epoch: EpochMetrics) -> None: ...
    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


class NoProgress:
    """Says nothing."""

    def open(self, title: str, points: Points, workers: int) -> None:
        """Nothing."""

    def started(self, point: Point, worker: int) -> None:
        """Nothing."""

    def step(self, point: Point, step: int, steps: int) -> None:
        """Nothing."""

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """Nothing."""

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class PlainProgress:
    """One line an epoch, for pipes, CI and logs; also the bookkeeping of the live table.

    Args:
        later: epochs of the studies that follow this one, for the time that is left of all of them.
    """

    def __init__(self, console: Console, later: int = 0) -> None:
        self.console = console
        self.later = later
        self.tally = Tally()
        self.points: Points = GridPoints(())
        self.workers = 1
        self.title = ""
        self.opened = time.monotonic()

    def open(self, title: str, points: Points, workers: int) -> None:
        """Begin a study of these points."""
        self._begin(title, points, workers)
        self.say(f"{title}: {points.size}, {workers} at a time")

    def _begin(self, title: str, points: Points, workers: int) -> None:
        self.tally = Tally()
        for point in points.known:
            self._row(point)
        self.points, self.workers, self.title, self.opened = points, workers, title, time.monotonic()

    def _row(self, point: Point) -> Row:
        """The point's row; a point that a search has just found gets one."""
        if point.key not in self.tally.rows:
            self.tally.add(point.key, Row(trial_name(point.varied), int(point.config["train"]["epochs"])))
        return self.tally.rows[point.key]

    def started(self, point: Point, worker: int) -> None:
        """A worker has begun the point."""
        self._row(point)
        self.tally.start(point.key, worker)

    def step(self, point: Point, step: int, steps: int) -> None:
        """An epoch is under way."""
        self._row(point).part = step / max(1, steps)

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        row = self._row(point)
        self.tally.epoch(point.key, epoch)
        self.say(f"{row.name}  epoch {epoch.epoch}/{row.epochs}  {figures(epoch)}  {epoch.seconds:.1f} s  {self.eta()}")

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        row = self._row(point)
        self.tally.end(point.key, record)
        at = f"overfitting point: {overfitting_text(record)}"
        most, known = self.points.most, len(self.tally.rows)
        of = "" if most is None else f"/{max(most, known)}"
        why = f" ({note or record.reason})" if note or record.reason else ""
        self.say(f"{row.name}  {record.state}{why}, {at}  [{self.tally.done}{of} trials]")

    def note(self, text: str) -> None:
        """Something worth a line."""
        self.say(text)

    def close(self) -> None:
        """The study has ended."""

    def say(self, text: str) -> None:
        """Print a line; user's text is never read as markup."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def eta(self) -> str:
        """`about 3 min left`, from the median epoch so far and the number of workers; empty until one is known.

        Where studies follow: `about 3 min left, 5 min with the studies after it`. Trials that a
        search has not found yet are taken to train all their epochs; where only minutes limit them, nothing is said.
        """
        median, most = self.tally.median, self.points.most
        if median is None or most is None:
            return ""
        left, longest = self.tally.left(max(0, most - len(self.tally.rows)))
        if not left:
            return ""
        total = max(left / self.workers, longest) * median
        after = f", {duration(total + self.later / self.workers * median)} with the studies after it"
        return f"about {duration(total)} left{after if self.later else ''}"


class NotebookProgress(PlainProgress):
    """A table in a notebook's output, put in place of the one before; a terminal's redrawing would leave junk there."""

    REDRAW = 0.5  # seconds; every redrawing goes to the browser
    MOST_ROWS = 100

    def open(self, title: str, points: Points, workers: int) -> None:
        """Begin a study of these points."""
        from IPython.display import display  # a notebook has it

        self._begin(title, points, workers)
        self._drawn = time.monotonic()
        self._shown = display(progress_table(self, most=self.MOST_ROWS), display_id=True)

    def step(self, point: Point, step: int, steps: int) -> None:
        """An epoch is under way."""
        super().step(point, step, steps)
        if time.monotonic() - self._drawn > self.REDRAW:
            self._redraw()

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        self._row(point)
        self.tally.epoch(point.key, epoch)
        self._redraw()

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        self._row(point)
        self.tally.end(point.key, record)
        self._redraw()

    def _redraw(self) -> None:
        self._drawn = time.monotonic()
        self._shown.update(progress_table(self, most=self.MOST_ROWS))


class LiveProgress(PlainProgress):
    """A table redrawn in place, one row a trial."""

    def __init__(self, console: Console, later: int = 0) -> None:
        super().__init__(console, later)
        self._live: Live | None = None

    def open(self, title: str, points: Points, workers: int) -> None:
        """Begin a study of these points."""
        super().open(title, points, workers)
        self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4, transient=True)
        self._live.start()

    def _table(self) -> Table:
        height, width = self.console.height, self.console.width
        return progress_table(self, most=most_rows(list(self.tally.rows.values()), width=width, height=height))

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        self._row(point)
        self.tally.epoch(point.key, epoch)

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        row = self._row(point)
        self.tally.end(point.key, record)
        if note or record.reason:
            self.say(f"{row.name}: {note or record.reason}")

    def close(self) -> None:
        """Take the table off the screen; the final one is printed by the caller."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_table(progress: PlainProgress, *, most: int | None = None) -> Table:
    """The trials as they are now.

    Args:
        most: rows; None shows all.
    """
    elapsed = duration(time.monotonic() - progress.opened)
    rows = list(progress.tally.rows.values())  # of its own: a search may add one while this is drawn
    waits = progress.tally.median is None and bool(rows) and any(progress.tally.left(0))
    left = progress.eta() or ("time left: after the first epoch" if waits else "")
    title = " · ".join(part for part in (progress.title, f"{elapsed} so far", left) if part)
    return rows_table(rows, title, most)


def make_progress(kind: str, console: Console, later: int = 0) -> Progress:
    """The progress of this kind: `auto` is a table on a terminal and in a notebook, and plain elsewhere.

    Args:
        later: epochs of the studies that follow.
    """
    if kind == "none":
        return NoProgress()
    if console.is_jupyter and kind in ("auto", "live"):
        return NotebookProgress(console, later)
    live = kind == "live" or (kind == "auto" and _is_watched(console))
    return LiveProgress(console, later) if live else PlainProgress(console, later)


def _is_watched(console: Console) -> bool:
    """Whether a person sits before a terminal that can redraw. FORCE_COLOR and a CI's pseudo-terminal are nobody."""
    return (
        console.file.isatty() and console.is_interactive and not console.is_dumb_terminal and not os.environ.get("CI")
    )
