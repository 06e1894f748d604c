"""The trials of a running study as a table: one row each, as many as the terminal has room for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.table import Table

from sweeper.study.record import TrialRecord
from sweeper.study.wording import number
from sweeper.training.metrics import EpochMetrics

ABOVE = 8  # lines of a terminal that the table needs beside its rows: title, heading, rules, caption
BESIDE = 62  # columns that it needs beside a trial's name
AS_LONG = 20  # names of which the number of lines is counted
SHORTEST_NAME = 18  # what is left for it on a terminal of 80 columns; a search's longer names take several lines


@dataclass(eq=False)
class Row:
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


def most_rows(rows: Sequence[Row], *, width: int, height: int) -> int:
    """How many rows of a table fit a terminal of this size, whichever of them are shown."""
    room = max(SHORTEST_NAME, width - BESIDE)
    longest = sorted({row.name for row in rows}, key=len)[-AS_LONG:]  # one of them takes most lines
    lines = max((len(wrap(name, room)) for name in longest), default=1)
    return max(1, (height - ABOVE) // lines)


def rows_table(rows: Sequence[Row], title: str, most: int | None = None) -> Table:
    """The trials as they are now; of more than `most`, those under way before those that wait or have ended."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)  # 80 columns hold it
    for column in ("trial", "state", "epoch", "train loss", "val loss", "train acc", "val acc", "s/epoch"):
        wide = column in ("trial", "state")
        table.add_column(column.replace(" ", "\n"), justify="left" if wide else "right", no_wrap=column != "trial")
    shown = rows if most is None else _fitting(rows, most)
    for row in shown:
        table.add_row(*_cells(row))
    if len(shown) < len(rows):
        hidden = Counter(row.state for row in rows)
        hidden.subtract(row.state for row in shown)
        table.caption = f"and {', '.join(f'{number_of} {state}' for state, number_of in hidden.items() if number_of)}"
    return table


def _fitting(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many rows in their order: those that are running, then the next to run, then those that have ended."""
    weight = {"running": 0, "waiting": 1}
    chosen = nsmallest(most, range(len(rows)), key=lambda place: (weight.get(rows[place].state, 2), place))
    return [rows[place] for place in sorted(chosen)]


def _cells(row: Row) -> list[str]:
    epoch = f"{len(row.curve) + row.part:.1f}" if row.state == "running" else str(len(row.curve))
    cells = [row.name, row.state, f"{epoch}/{row.epochs}"]
    if not row.curve:
        return [*cells, *["–"] * 5]
    last = row.curve[-1]
    losses = [f"{last.train_loss:.4f}", f"{last.val_loss:.4f}"]
    return [*cells, *losses, number(last.train_accuracy), number(last.val_accuracy), f"{last.seconds:.1f}"]
