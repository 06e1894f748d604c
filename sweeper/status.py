"""`python -m sweeper.status`: how every study stands, read from the trials' folders alone.

A trial is running if a living process holds its folder's lock, whatever any database says.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper import cli
from sweeper.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.study.budget import Budget
    from sweeper.study.record import TrialRecord
    from sweeper.training.metrics import EpochMetrics

MOST = 100  # rows of a study that are listed without being asked for
USUAL = ("complete", "pruned", "waiting")
COLUMNS = ("trial", "state", "epoch", "val loss", "since", "where")
SEEDS_COLUMNS = ("configuration", "seeds", "epochs", "mean", "± 95%", "where")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sweeper.status", description="How every study stands.")
    parser.add_argument("--experiment", help="only this one")
    parser.add_argument("--runs", default="runs", type=Path, help="paths.runs of the sweep (default: runs)")
    parser.add_argument("--all", action="store_true", help=f"list every row of a study, though more than {MOST}")
    parser.add_argument("--trials", action="store_true", help="a row for every trial, where there are several seeds")
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds until Ctrl-C")
    options = parser.parse_args(arguments)
    show(options.runs, options.experiment, everything=options.all, watch=options.watch, by_trial=options.trials)
    return 0


def show(runs: Path, experiment: str | None, *, everything: bool, watch: bool, by_trial: bool = False) -> None:
    """Print one table a study.

    Args:
        everything, by_trial: see `study_table`.
        watch: again and again, until Ctrl-C.

    Raises:
        UserError: there is no study.
    """
    from rich.console import Console, Group
    from rich.live import Live

    def tables() -> Group:
        files = study_files(runs, experiment)
        return Group(*(study_table(runs, path, everything=everything, by_trial=by_trial) for path in files))

    if not watch:
        return Console().print(tables())
    with Live(get_renderable=tables, refresh_per_second=0.5):
        while True:
            time.sleep(1)


def study_files(runs: Path, experiment: str | None) -> list[Path]:
    """The file of every study.

    Raises:
        UserError: there is none.
    """
    files = sorted(runs.glob("*/studies/*.json"), key=lambda path: path.stat().st_mtime)
    chosen = [path for path in files if experiment in (None, path.parent.parent.name)]
    if not chosen:
        names = ", ".join(sorted({path.parent.parent.name for path in files})) or "none"
        wanted = f" of {experiment}" if experiment else ""
        raise UserError(
            f"{runs}: no study{wanted} yet (experiments there: {names}). Run `make sweep` first; a sweep that has just "
            "begun is listed once its data is read."
        )
    return chosen


def study_table(runs: Path, file: Path, *, everything: bool = False, by_trial: bool = False) -> "Table":
    """One study: each trial's state, epoch, since when and where; of several seeds, how many of each configuration.

    Args:
        everything: list every row, however many; else of many those alone that are not simply done or to be done.
        by_trial: a row a trial also where configurations have several seeds.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from sweeper.study.budget import Budget
    from sweeper.study.prepare import trials_folder
    from sweeper.study.record import trial_name
    from sweeper.study.space import seeds_of

    study = json.loads(file.read_text(encoding="utf-8"))
    budget = Budget.of(study["config"].get("study", {}))
    trials = trials_folder(runs, file.parent.parent.name)
    several = not by_trial and len(seeds_of(study["config"]) or ()) > 1
    found = [_look(trials / key, trial_name(varied), whole=several) for key, varied in study["trials"].items()]
    counts = Counter(one.state for one in found)
    of = f", budget {budget}" if budget else ""
    told = ", ".join(f"{number} {state}" for state, number in counts.items())
    title = f"{study['id']}: {told or 'no trial yet'}{of}{_time_left(found, study, budget)}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for column in SEEDS_COLUMNS if several else COLUMNS:
        table.add_column(column)
    rows = _by_configuration(study["trials"].values(), found) if several else [_of_trial(one) for one in found]
    shown = rows if everything else _most_wanted(rows)
    for row in shown:
        table.add_row(*row.cells)
    if len(shown) < len(rows):
        table.caption = f"and {len(rows) - len(shown):,} more: --all lists them"
    return table


@dataclass(frozen=True)
class _Seen:
    """What a trial's folder tells."""

    name: str
    state: str
    curve: "Sequence[EpochMetrics]" = ()
    since: str = ""
    where: str = ""
    record: "TrialRecord | None" = None  # where it is asked for


@dataclass(frozen=True)
class _Row:
    cells: tuple[str, ...]
    usual: bool  # nothing of it is under way or in trouble


def _most_wanted(rows: Sequence[_Row]) -> list[_Row]:
    """Of many rows those under way or in trouble first; the rest as they are listed."""
    chosen = sorted(range(len(rows)), key=lambda place: (rows[place].usual, place))[:MOST]
    return [rows[place] for place in sorted(chosen)]


def _of_trial(one: _Seen) -> _Row:
    cells = (one.name, one.state, str(len(one.curve)), _loss(one.curve), one.since, one.where)
    return _Row(cells, one.state in USUAL)


def _by_configuration(points: Iterable[Mapping[str, Any]], found: Sequence[_Seen]) -> list[_Row]:
    """A row a configuration: how many of its seeds are in which state, its epochs, its mean so far, and where it runs.

    Args:
        points: what varies in the trials that were found, in their order.
    """
    from sweeper.study.configurations import without_seed
    from sweeper.study.record import trial_name

    groups: dict[str, list[_Seen]] = {}
    for varied, one in zip(points, found, strict=True):
        groups.setdefault(trial_name(without_seed(varied)), []).append(one)
    return [_of_configuration(name, group) for name, group in groups.items()]


def _of_configuration(name: str, group: Sequence[_Seen]) -> _Row:
    from sweeper.study.configurations import Configuration
    from sweeper.study.record import rank
    from sweeper.study.wording import number

    states = Counter(one.state for one in group)
    ended = [one.record for one in group if one.record is not None]
    found = Configuration(tuple(rank(ended))).estimate if ended else None
    cells = (
        name,
        ", ".join(f"{number_of} {state}" for state, number_of in states.items()),
        str(sum(len(one.curve) for one in group)),
        number(found.mean if found else None),
        number(found.half if found else None),
        ", ".join(one.where for one in group if one.state == "running"),
    )
    return _Row(cells, all(state in USUAL for state in states))


def _look(folder: Path, name: str, *, whole: bool) -> _Seen:
    from sweeper.study.files import read_curve
    from sweeper.study.locks import holder, is_free
    from sweeper.study.record import RECORD, TrialRecord
    from sweeper.study.task import LOCK, START

    if is_free(folder / LOCK) and (folder / RECORD).exists():  # a pruned one may be trained on to its last epoch
        try:
            record = TrialRecord.read(folder)
            return _Seen(name, record.state, record.curve, where=record.device, record=record if whole else None)
        except FileNotFoundError:
            pass  # a sweep tries a failed trial again
        except (ValueError, TypeError, KeyError):
            return _Seen(name, "damaged", where=f"{RECORD}; the next sweep makes it again")
    if not (folder / START).exists():
        return _Seen(name, "waiting")
    curve = read_curve(folder)
    state = "stopped" if is_free(folder / LOCK) else "running"
    since = time.strftime("%m-%d %H:%M", time.localtime((folder / START).stat().st_mtime))
    return _Seen(name, state, curve, since, f"process {holder(folder / LOCK)}" if state == "running" else "")


def _loss(curve: "Sequence[EpochMetrics]") -> str:
    return f"{curve[-1].val_loss:.4f}" if curve else "–"


def _time_left(found: Sequence[_Seen], study: Mapping[str, Any], budget: "Budget | None") -> str:
    """From the median epoch so far; empty where nothing is left or known, or where only minutes limit a search."""
    from sweeper.study.wording import duration

    epochs, running = int(study["config"]["train"]["epochs"]), sum(one.state == "running" for one in found)
    is_open = [one.state in ("waiting", "running", "stopped") for one in found]
    spent = sum(epochs if still else len(one.curve) for one, still in zip(found, is_open, strict=True))
    minutes = study.get("minutes", 0.0)
    room = budget.room(trials=len(found), epochs=spent, minutes=minutes, epochs_each=epochs) if budget else 0
    seconds = [epoch.seconds for one in found for epoch in one.curve]
    if room is None or not seconds or not running:
        return ""
    left = room * epochs + sum(epochs - len(one.curve) for one, still in zip(found, is_open, strict=True) if still)
    return f", about {duration(left * statistics.median(seconds) / running)} left" if left else ""


if __name__ == "__main__":
    cli.run(main)
