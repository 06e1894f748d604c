"""What a person sees while a study runs: which trial is at which epoch, its figures, and the time left.

A live table on a terminal; one line an epoch elsewhere (a pipe, CI, `progress=plain`). Both take the
same calls, so whoever runs a study does not ask which it has.
"""

import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sweeper.study.record import TrialRecord, trial_name
from sweeper.study.space import Point
from sweeper.study.table import overfitting_text
from sweeper.study.wording import count, duration, figures, number
from sweeper.training.metrics import EpochMetrics

MOST_ABOVE = 8  # lines of a terminal that the table needs beside its rows: title, heading, rules, caption


@dataclass(eq=False)
class _Row:
    """One point as the terminal shows it."""

    name: str
    epochs: int
    state: str = "waiting"
    worker: int | None = None
    curve: list[EpochMetrics] = field(default_factory=list)
    part: float = 0.0  # of the epoch under way

    @property
    def left(self) -> float:
        """Epochs still to train."""
        return 0.0 if self.state not in ("waiting", "running") else self.epochs - len(self.curve) - self.part

    def add(self, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        self.curve.append(epoch)
        self.part = 0.0

    def end(self, record: TrialRecord) -> None:
        """The trial has its record."""
        self.state, self.curve, self.part = record.state, list(record.curve), 0.0


class Progress(Protocol):
    """What a running study tells whoever watches."""

    def open(self, title: str, points: Sequence[Point], workers: int) -> None: ...
    def started(self, point: Point, worker: int) -> None: ...
    def step(self, point: Point, step: int, steps: int) -> None: ...
    def epoch(self, point: Point, epoch: EpochMetrics) -> None: ...
    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


class NoProgress:
    """Says nothing."""

    def open(self, title: str, points: Sequence[Point], workers: int) -> None:
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
        self.rows: dict[str, _Row] = {}
        self.workers = 1
        self.title = ""
        self.opened = time.monotonic()

    def open(self, title: str, points: Sequence[Point], workers: int) -> None:
        """Begin a study of these points."""
        self._begin(title, points, workers)
        self.say(f"{title}: {count(len(points), 'trial')}, {workers} at a time")

    def _begin(self, title: str, points: Sequence[Point], workers: int) -> None:
        self.rows = {p.key: _Row(trial_name(p.varied), int(p.config["train"]["epochs"])) for p in points}
        self.workers, self.title, self.opened = workers, title, time.monotonic()

    def started(self, point: Point, worker: int) -> None:
        """A worker has begun the point."""
        row = self.rows[point.key]
        row.state, row.worker, row.curve, row.part = "running", worker, [], 0.0

    def step(self, point: Point, step: int, steps: int) -> None:
        """An epoch is under way."""
        self.rows[point.key].part = step / max(1, steps)

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        row = self.rows[point.key]
        row.add(epoch)
        self.say(f"{row.name}  epoch {epoch.epoch}/{row.epochs}  {figures(epoch)}  {epoch.seconds:.1f} s  {self.eta()}")

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        row = self.rows[point.key]
        row.end(record)
        at = f"overfitting point: {overfitting_text(record)}"
        done = sum(r.left == 0 for r in self.rows.values())
        why = f" ({note or record.reason})" if note or record.reason else ""
        self.say(f"{row.name}  {record.state}{why}, {at}  [{done}/{len(self.rows)} trials]")

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

        Where studies follow: `about 3 min left, 5 min with the studies after it`.
        """
        seconds = [epoch.seconds for row in self.rows.values() for epoch in row.curve]
        left = [row.left for row in self.rows.values()]
        if not seconds or not any(left):
            return ""
        median = statistics.median(seconds)
        total = max(sum(left) / self.workers, max(left)) * median
        after = f", {duration(total + self.later / self.workers * median)} with the studies after it"
        return f"about {duration(total)} left{after if self.later else ''}"


class NotebookProgress(PlainProgress):
    """A table in a notebook's output, put in place of the one before; a terminal's redrawing would leave junk there."""

    REDRAW = 0.5  # seconds; every redrawing goes to the browser

    def open(self, title: str, points: Sequence[Point], workers: int) -> None:
        """Begin a study of these points."""
        from IPython.display import display  # a notebook has it

        self._begin(title, points, workers)
        self._drawn = time.monotonic()
        self._shown = display(progress_table(self), display_id=True)

    def step(self, point: Point, step: int, steps: int) -> None:
        """An epoch is under way."""
        super().step(point, step, steps)
        if time.monotonic() - self._drawn > self.REDRAW:
            self._redraw()

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        self.rows[point.key].add(epoch)
        self._redraw()

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        self.rows[point.key].end(record)
        self._redraw()

    def _redraw(self) -> None:
        self._drawn = time.monotonic()
        self._shown.update(progress_table(self))


class LiveProgress(PlainProgress):
    """A table redrawn in place, one row a trial."""

    def __init__(self, console: Console, later: int = 0) -> None:
        super().__init__(console, later)
        self._live: Live | None = None

    def open(self, title: str, points: Sequence[Point], workers: int) -> None:
        """Begin a study of these points."""
        super().open(title, points, workers)
        self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4, transient=True)
        self._live.start()

    def _table(self) -> Table:
        return progress_table(self, most=max(MOST_ABOVE + 1, self.console.height) - MOST_ABOVE)

    def epoch(self, point: Point, epoch: EpochMetrics) -> None:
        """An epoch is done."""
        self.rows[point.key].add(epoch)

    def ended(self, point: Point, record: TrialRecord, note: str | None = None) -> None:
        """The point has its record."""
        row = self.rows[point.key]
        row.end(record)
        if note or record.reason:
            self.say(f"{row.name}: {note or record.reason}")

    def close(self) -> None:
        """Take the table off the screen; the final one is printed by the caller."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def progress_table(progress: PlainProgress, most: int | None = None) -> Table:
    """The trials as they are now; of more than `most`, those under way before those that wait or have ended."""
    elapsed = duration(time.monotonic() - progress.opened)
    left = progress.eta() or ("time left: after the first epoch" if any(r.left for r in progress.rows.values()) else "")
    title = " · ".join(part for part in (progress.title, f"{elapsed} so far", left) if part)
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)  # 80 columns hold it
    for column in ("trial", "state", "epoch", "train loss", "val loss", "train acc", "val acc", "s/epoch"):
        wide = column in ("trial", "state")
        table.add_column(column.replace(" ", "\n"), justify="left" if wide else "right", no_wrap=True)
    rows = list(progress.rows.values())
    shown = rows if most is None else _fitting(rows, most)
    for row in shown:
        table.add_row(*_cells(row))
    if len(shown) < len(rows):
        hidden = Counter(row.state for row in rows if row not in shown)
        table.caption = f"and {', '.join(f'{number_of} {state}' for state, number_of in hidden.items())}"
    return table


def _fitting(rows: Sequence[_Row], most: int) -> list[_Row]:
    """At most so many rows in their order: those that are running, then the next to run, then those that have ended."""
    weight = {"running": 0, "waiting": 1}
    chosen = sorted(range(len(rows)), key=lambda place: (weight.get(rows[place].state, 2), place))[:most]
    return [rows[place] for place in sorted(chosen)]


def _cells(row: _Row) -> list[str]:
    epoch = f"{len(row.curve) + row.part:.1f}" if row.state == "running" else str(len(row.curve))
    cells = [row.name, row.state, f"{epoch}/{row.epochs}"]
    if not row.curve:
        return [*cells, *["–"] * 5]
    last = row.curve[-1]
    losses = [f"{last.train_loss:.4f}", f"{last.val_loss:.4f}"]
    return [*cells, *losses, number(last.train_accuracy), number(last.val_accuracy), f"{last.seconds:.1f}"]


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
