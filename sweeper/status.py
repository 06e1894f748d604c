"""`python -m sweeper.status`: how every study stands, read from the trials' folders alone.

A trial is running if a living process holds its folder's lock, whatever any database says.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper import cli
from sweeper.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.study.budget import Budget
    from sweeper.study.record import TrialRecord
    from sweeper.training.metrics import EpochMetrics

COLUMNS = ("trial", "state", "epoch", "val loss", "since", "where")
SEEDS_COLUMNS = ("configuration", "seeds", "epochs", "mean", "± 95%", "where")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    parser = argparse.ArgumentParser(prog="python -m sweeper.status", description="How every study stands.")
    parser.add_argument("--experiment", help="only this one")
    parser.add_argument("--runs", default="runs", type=Path, help="paths.runs of the sweep (default: runs)")
    parser.add_argument("--trials", action="store_true", help="a row for every trial, where there are several seeds")
    parser.add_argument("--watch", action="store_true", help="show it again every two seconds until Ctrl-C")
    options = parser.parse_args(arguments)
    show(options.runs, options.experiment, watch=options.watch, trials=options.trials)
    return 0


def show(runs: Path, experiment: str | None, *, watch: bool, trials: bool = False) -> None:
    """Print one table a study.

    Args:
        trials: see `study_table`.

    Raises:
        UserError: there is no study.
    """
    from rich.console import Console, Group
    from rich.live import Live

    def tables() -> Group:
        return Group(*(study_table(runs, path, by_trial=trials) for path in study_files(runs, experiment)))

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
        raise UserError(f"{runs}: no study{wanted} yet (experiments there: {names}). Run `make sweep` first.")
    return chosen


def study_table(runs: Path, file: Path, *, by_trial: bool = False) -> "Table":
    """One study: each trial's state, epoch, since when and where; of several seeds, how many of each configuration.

    Args:
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
    rows = [_row(trials / key, trial_name(varied)) for key, varied in study["trials"].items()]
    counts = ", ".join(f"{sum(row[1] == state for row in rows)} {state}" for state in dict.fromkeys(r[1] for r in rows))
    left = _time_left(trials, study, budget, running=sum(row[1] == "running" for row in rows))
    of = f", budget {budget}" if budget else ""
    title = f"{study['id']}: {counts or 'no trial yet'}{of}{left}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    several = not by_trial and len(seeds_of(study["config"]) or ()) > 1
    for column in SEEDS_COLUMNS if several else COLUMNS:
        table.add_column(column)
    for row in _by_configuration(trials, study["trials"], rows) if several else rows:
        table.add_row(*row)
    return table


def _by_configuration(
    trials: Path, points: Mapping[str, Mapping[str, Any]], rows: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """A row a configuration: how many of its seeds are in which state, its epochs, its mean so far, and where it runs.

    Args:
        rows: of the trials, in the order of `points`.
    """
    from sweeper.study.configurations import Configuration, without_seed
    from sweeper.study.record import rank, trial_name
    from sweeper.study.wording import number

    groups: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for (key, varied), row in zip(points.items(), rows, strict=True):
        groups.setdefault(trial_name(without_seed(varied)), []).append((key, row))
    for name, group in groups.items():
        states = Counter(row[1] for _, row in group)
        ended = [record for key, _ in group if (record := _record(trials / key)) is not None]
        found = Configuration(tuple(rank(ended))).estimate if ended else None
        yield (
            name,
            ", ".join(f"{number_of} {state}" for state, number_of in states.items()),
            str(sum(int(row[2]) for _, row in group)),
            number(found.mean if found else None),
            number(found.half if found else None),
            ", ".join(row[5] for _, row in group if row[1] == "running"),
        )


def _record(folder: Path) -> "TrialRecord | None":
    """The record of a trial that has ended; None where there is none that can be read."""
    from sweeper.study.record import TrialRecord

    try:
        return TrialRecord.read(folder) if _has_ended(folder) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _row(folder: Path, name: str) -> tuple[str, ...]:
    from sweeper.study.files import read_curve
    from sweeper.study.locks import holder, is_free
    from sweeper.study.record import RECORD, TrialRecord
    from sweeper.study.task import LOCK, START

    if _has_ended(folder):
        try:
            record = TrialRecord.read(folder)
            return (name, record.state, str(len(record.curve)), _loss(record.curve), "", record.device)
        except FileNotFoundError:
            pass  # a sweep tries a failed trial again
        except (ValueError, TypeError, KeyError):
            return (name, "damaged", "0", "–", "", f"{RECORD}; the next sweep makes it again")
    if not (folder / START).exists():
        return (name, "waiting", "0", "–", "", "")
    curve = read_curve(folder)
    state = "stopped" if is_free(folder / LOCK) else "running"
    since = time.strftime("%m-%d %H:%M", time.localtime((folder / START).stat().st_mtime))
    where = f"process {holder(folder / LOCK)}" if state == "running" else ""
    return (name, state, str(len(curve)), _loss(curve), since, where)


def _loss(curve: "Sequence[EpochMetrics]") -> str:
    return f"{curve[-1].val_loss:.4f}" if curve else "–"


def _has_ended(folder: Path) -> bool:
    """Whether it has its record and nobody trains it: a pruned trial may be trained on to its last epoch."""
    from sweeper.study.locks import is_free
    from sweeper.study.record import RECORD
    from sweeper.study.task import LOCK

    return is_free(folder / LOCK) and (folder / RECORD).exists()


def _time_left(trials: Path, study: Mapping[str, Any], budget: "Budget | None", *, running: int) -> str:
    """From the median epoch so far; empty where nothing is left or known, or where only minutes limit a search."""
    from sweeper.study.files import read_curve
    from sweeper.study.wording import duration

    epochs = int(study["config"]["train"]["epochs"])
    curves = {key: read_curve(trials / key) for key in study["trials"]}
    ended = {key for key in curves if _has_ended(trials / key)}
    spent = sum(len(curve) if key in ended else epochs for key, curve in curves.items())
    minutes = study.get("minutes", 0.0)
    room = budget.room(trials=len(curves), epochs=spent, minutes=minutes, epochs_each=epochs) if budget else 0
    seconds = [epoch.seconds for curve in curves.values() for epoch in curve]
    if room is None or not seconds or not running:
        return ""
    left = room * epochs + sum(epochs - len(curve) for key, curve in curves.items() if key not in ended)
    return f", about {duration(left * statistics.median(seconds) / running)} left" if left else ""


if __name__ == "__main__":
    cli.run(main)
