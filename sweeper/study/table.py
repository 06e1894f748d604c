"""The table of trials that ends a sweep and opens `best`: one function, so that both show the same.

Figures are those at the overfitting point; what does not exist (no finite epoch, regression's
accuracies) is a dash, never a zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sweeper.study.record import SHORT, TrialRecord, rank
from sweeper.study.space import GRID, PLACES
from sweeper.tracked import flat

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

COLUMNS = ("", "lr", "batch", "overfitting epoch", "train loss", "val loss", "train acc", "val acc", "seconds", "state")
SECTIONS = ("model", "head", "optimizer", "schedule", "train", "overfitting")
NOT_SHOWN = ("optimizer.lr", "train.batch_size", "train.device", "train.keep_weights", "train.cuda_graphs")
NAMES = {".".join(place): name for name, place in PLACES.items()}  # what a study may vary is called as there
ACCURACIES = ("train acc", "val acc")
NONE = "–"
WINNER = "★"
MOST = 100  # rows: nobody reads more on a terminal


def results_table(records: Iterable[TrialRecord], winner_key: str | None, title: str | None = None) -> "Table":
    """The trials, best first, the winner marked; of very many the best.

    Args:
        records: trials of one data fingerprint.
        winner_key: key of the trial to mark; None marks none.
    """
    from rich.text import Text

    everything = rank(records)
    ranked = everything[:MOST]
    others = differing(ranked)
    table = new_table(headings(others, ranked), title, wide=("state", "also"), hidden=len(everything) - len(ranked))
    for record in ranked:
        style = "bold green" if record.key == winner_key else "dim" if record.state == "failed" else None
        row = cells(record, winner_key, others, ranked)
        table.add_row(*(Text(cell) for cell in row), style=style)
    return table


def new_table(names: Sequence[str], title: str | None, wide: Sequence[str], hidden: int = 0) -> "Table":
    """An empty table with these columns.

    Args:
        wide: the only ones that may be broken into lines: the rest fits 80 columns.
        hidden: how many rows are left out.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(title, style="bold")
    table = Table(title=heading, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in names:
        justify: JustifyMethod = "left" if name in wide or not name else "right"
        short = "sec." if name == "seconds" else name.replace(" ", "\n")
        table.add_column(short, justify=justify, no_wrap=name not in wide, overflow="fold")
    if hidden:
        table.caption = f"and {hidden:,} more: python -m sweeper.best --json prints all"
    return table


def headings(others: Sequence[str], records: Sequence[TrialRecord]) -> list[str]:
    """Column names; `also` is there if anything but lr and batch size differs, accuracies where there are any."""
    columns = [name for name in COLUMNS if name not in ACCURACIES or _have_accuracies(records)]
    return [*columns, "also"] if others else columns


def _have_accuracies(records: Sequence[TrialRecord]) -> bool:
    return any(epoch.val_accuracy is not None for record in records for epoch in record.curve)


def differing(records: Sequence[TrialRecord]) -> list[str]:
    """Names of settings, besides lr and batch size, that change results and are not the same in all trials.

    What a study may vary has its name there (`dropout`), the rest its key's (`optimizer.name`).
    """
    return _differing([_settings(record) for record in records])


def _differing(values: Sequence[Mapping[str, str]]) -> list[str]:
    keys = sorted({key for one in values for key in one})
    return [key for key in keys if len({one.get(key) for one in values}) > 1]


def told_apart(records: Sequence[TrialRecord]) -> list[dict[str, str]]:
    """For each trial the values of what differs besides lr and batch size, as a command line spells them."""
    values = [_settings(record) for record in records]
    others = _differing(values)
    return [{key: settings.get(key, NONE) for key in others} for settings in values]


def all_varied(records: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """For each trial its learning rate and batch size as its study varies them, and whatever else differs."""
    own = [{name: value for name, value in one.varied.items() if name in GRID or name not in PLACES} for one in records]
    return [varied | others for varied, others in zip(own, told_apart(records), strict=True)]


def cells(
    record: TrialRecord, winner_key: str | None, others: Sequence[str] = (), records: Sequence[TrialRecord] = ()
) -> list[str]:
    """One trial's row as text; `others` are the keys shown under `also`, `records` all that are in the table."""
    at = record.at_overfit
    losses = [NONE] * 2 if at is None else [f"{at.train_loss:.4f}", f"{at.val_loss:.4f}"]
    accuracies = [NONE] * 2 if at is None else [_share(at.train_accuracy), _share(at.val_accuracy)]
    accuracies = accuracies if _have_accuracies(records or [record]) else []
    row = [
        WINNER if record.key == winner_key else "",
        f"{lr_of(record):g}",
        str(batch_of(record)),
        overfitting_text(record).split(" (")[0],  # it is the last epoch, and the column is narrow
        *losses,
        *accuracies,
        f"{record.seconds:.1f}",
        record.state if record.reason is None else f"{record.state}: {record.reason}",
    ]
    return [*row, also_text(record, others)] if others else row


def also_text(record: TrialRecord, others: Sequence[str]) -> str:
    """`optimizer.name=sgd dropout=0.1`: the values of these keys."""
    settings = _settings(record)
    return " ".join(f"{SHORT.get(key, key)}={settings.get(key, NONE)}" for key in others)


def markdown_table(records: Iterable[TrialRecord], winner_key: str | None) -> str:
    """The same table for a model card."""
    everything = rank(records)
    ranked = everything[:MOST]
    others = differing(ranked)
    names = headings(others, ranked)
    rows = [names, ["---"] * len(names), *(cells(one, winner_key, others, ranked) for one in ranked)]
    lines = "\n".join("| " + " | ".join(one_line(cell) for cell in row) + " |" for row in rows)
    return lines + more_text(len(everything))


def more_text(rows: int) -> str:
    """What ends a table in markdown that shows the best of so many rows."""
    return f"\n\n… and {rows - MOST:,} more." if rows > MOST else ""


def overfitting_text(record: TrialRecord) -> str:
    """`4`, `not reached (10)` or a dash."""
    if record.overfit_epoch is None:
        return NONE
    return str(record.overfit_epoch) if record.overfit_reached else f"not reached ({record.overfit_epoch})"


def lr_of(record: TrialRecord) -> float:
    """The learning rate, whether it varies or not."""
    return float(record.varied.get("lr", record.config["optimizer"]["lr"]))


def batch_of(record: TrialRecord) -> int:
    """The batch size, whether it varies or not."""
    return int(record.varied.get("batch_size", record.config["train"]["batch_size"]))


def _settings(record: TrialRecord) -> dict[str, str]:
    whole = flat({section: record.config[section] for section in SECTIONS if section in record.config})
    varied = flat({key: value for key, value in record.varied.items() if key not in PLACES})  # the others are in it
    return {NAMES.get(key, key): value for key, value in (whole | varied).items() if key not in NOT_SHOWN}


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def one_line(text: str) -> str:
    """A cell of a table in markdown."""
    return " ".join(text.split()).replace("|", "\\|")
