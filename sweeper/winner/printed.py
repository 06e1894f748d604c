"""`best` on a terminal: the table of trials, the winner, and how it did on the test split."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sweeper.scores import largest_confusions
from sweeper.study.printed import print_results
from sweeper.study.seeds_table import winner_lines
from sweeper.winner.card import also_read_for
from sweeper.winner.choice import Winner

MOST_CLASSES = 20  # of a confusion matrix on a terminal
MOST_CONFUSIONS = 10
MOST_ROWS = 60  # of the classification report on a terminal
FIGURES = ("precision", "recall", "f1")


def show(best: Winner, *, trials: bool = False) -> None:
    """Print everything; the test split is read here if it never was.

    Args:
        trials: a row for every trial, also where configurations have several seeds.
    """
    console, choice = Console(soft_wrap=False), best.choice
    if choice.others:
        others = ", ".join(sorted(choice.others))
        console.print(
            f"Experiment {choice.name}, the one trained last; --experiment takes also: {others}", markup=False
        )
    print_results(console, choice.configurations, choice.name, trials=trials)
    if choice.left_out:
        data = choice.winner.config["data"]
        these = data["path"] or data["train"]
        console.print(
            f"{choice.left_out} more trials of {choice.name} saw other data and are left out; these saw {these}.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    for line in winner_lines(choice.configurations):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for part in report_lines(best.report):
        console.print()
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, str))
    if before := also_read_for(best.tested_before):
        console.print(f"\nThe test split was read for this winner{before}.", markup=False, soft_wrap=True)
    console.print(f"\nTest report, with the surest mistakes: {best.report_file}", markup=False, soft_wrap=True)


def report_lines(report: Mapping[str, Any] | None) -> list[str | Table]:
    """The test report as lines and tables for a terminal."""
    if report is None:
        return ["The data has no test split."]
    if report["task"] == "regression":
        r2 = "–" if report["r2"] is None else f"{report['r2']:.4f}"
        return [f"Test: {report['rows']:,} rows, MSE {report['mse']:.4f}, MAE {report['mae']:.4f}, R² {r2}"]
    figures = ", ".join(
        f"{name.replace('_', ' ')} {report[name]:.4f}"
        for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1")
    )
    small = len(report["labels"]) <= MOST_CLASSES
    return [f"Test: {report['rows']:,} rows, {figures}", _classes(report), _matrix(report) if small else _pairs(report)]


def _table(title: str, *columns: str) -> Table:
    """A light table, first column left, the others right; Korean names take two cells a letter, which rich knows."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    for number, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if number else "left")
    return table


def _classes(report: Mapping[str, Any]) -> Table:
    """scikit-learn's classification report; of very many labels those with the most rows."""
    table = _table("Classification report", "label", "precision", "recall", "F1", "rows")
    ranked = sorted(report["classes"], key=lambda one: -one["rows"])[:MOST_ROWS]
    for one in (one for one in report["classes"] if one in ranked):
        table.add_row(Text(one["label"]), *(f"{one[name]:.4f}" for name in FIGURES), f"{one['rows']:,}")
    if len(report["classes"]) > MOST_ROWS:
        table.add_row(f"… {len(report['classes']) - MOST_ROWS} more labels in the file")
    macro = (f"{report[f'macro_{name}']:.4f}" for name in FIGURES)
    table.add_row("macro average", *macro, f"{report['rows']:,}", style="bold")
    return table


def _matrix(report: Mapping[str, Any]) -> Table:
    table = _table("Confusion matrix: truth down, prediction across", "", *report["labels"])
    for label, row in zip(report["labels"], report["confusion"], strict=True):
        table.add_row(Text(label), *(str(count) for count in row))
    return table


def _pairs(report: Mapping[str, Any]) -> Table:
    table = _table(f"Largest confusions of {len(report['labels'])} labels", "truth", "prediction", "rows")
    for truth, guess, rows in largest_confusions(report, MOST_CONFUSIONS):
        table.add_row(Text(truth), Text(guess), str(rows))
    return table
