"""The commands as functions, for notebooks and scripts: `from sweeper import sweep, best, predict`.

Settings have the names of the command line, figures come back as pandas DataFrames and plain dataclasses, and a
mistake that the user can mend is raised as a `UserError`. Nothing here decides anything: the functions put the same
rooms together as the commands do.
"""

import csv
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweeper.config import compose_studies
from sweeper.errors import UserError
from sweeper.study.configurations import Configuration
from sweeper.study.record import TrialRecord
from sweeper.study.result import together
from sweeper.study.seeds_table import plain_seeds
from sweeper.study.table import batch_of, lr_of, told_apart

if TYPE_CHECKING:
    from sweeper.winner.choice import Winner

__all__ = ["Best", "Sweep", "UserError", "best", "predict", "sweep"]

AT_OVERFIT = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_macro_f1")
Overrides = Mapping[str, Any] | Iterable[str]

# Our progress is a table of its own; that a library's bars would look nicer with another package is no news to a user.
warnings.filterwarnings("ignore", message="IProgress not found")


@dataclass(frozen=True)
class Sweep:
    """What `sweep` trained.

    Attributes:
        experiment: its name, which `best` takes.
        runs: where it lies (`paths.runs`), which `best` takes.
        configurations: a row a configuration, best first: number of seeds, mean and 95% interval over them (`low`,
            `high`) of validation accuracy (regression: loss), and how it stands to the winner.
        trials: a row a trial, those of the best configuration first; the figures are those at the overfitting point.
        curves: a row a trial and epoch.
        winner: the best trial's record; None where none has a final score.
    """

    experiment: str
    runs: Path
    configurations: pd.DataFrame = field(repr=False)
    trials: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    winner: TrialRecord | None = field(repr=False)


@dataclass(frozen=True)
class Best:
    """What `best` knows of an experiment's winner.

    Attributes:
        configurations, trials, curves: as in `Sweep`, of every study of the experiment on the same data.
        test: figures on the test split (`accuracy`, `macro_f1`, `loss`, ...); empty without one.
        classes: a row a class: precision, recall, f1, rows; empty for a regression.
        confusion: rows of the test split by true class (index) and predicted class (columns).
        mistakes: the most confident ones: text, truth, prediction, probability.
        export: the model folder; None where none was asked for.
    """

    experiment: str
    winner: TrialRecord = field(repr=False)
    configurations: pd.DataFrame = field(repr=False)
    trials: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    test: Mapping[str, Any]
    classes: pd.DataFrame = field(repr=False)
    confusion: pd.DataFrame = field(repr=False)
    mistakes: pd.DataFrame = field(repr=False)
    export: Path | None


def sweep(overrides: Overrides = ()) -> Sweep:
    """Train what is not trained yet; `python -m sweeper` as a function.

    Args:
        overrides: `{"data": "table", "data.path": "my.csv", "study": ["lr", "batch"], "study.lr": [1e-4, 2e-5]}`,
            or a list of strings as on the command line, `["study=lr", "train.epochs=3"]`.

    Raises:
        UserError: a setting, the data or a folder cannot be used.
    """
    from rich.console import Console

    from sweeper.study import start

    configs = compose_studies(spelled(overrides))
    results = start.run(configs, Console(quiet=configs[0].progress == "none"))
    ranked = together(results)
    records = [trial for one in ranked for trial in one.trials]
    return Sweep(
        configs[0].name,
        Path(configs[0].paths.runs),
        configurations_frame(ranked),
        trials_frame(records),
        curves_frame(records),
        ranked[0].best if ranked[0].scores else None,
    )


def best(
    experiment: str | None = None,
    *,
    runs: Path | str = "runs",
    export: bool | Path | str = False,
    exports: Path | str | None = None,
) -> Best:
    """The winner, its one test and its export; `python -m sweeper.best` as a function.

    Args:
        experiment: None takes the one trained last.
        runs: where the trials are (`paths.runs`).
        export: True freezes the winner as `<exports>/<experiment>`; a folder freezes it there.
        exports: None takes `paths.exports` of the sweep.

    Raises:
        UserError: there is no winner, or it cannot be tested or exported.
    """
    from sweeper.winner.choice import Winner, choose

    winner = Winner(choose(Path(runs), experiment))
    choice = winner.choice
    usual = (choice.exports if exports is None else Path(exports)) / choice.name
    target = None if export is False else usual if export is True else Path(export)
    if target is not None:
        _freeze(winner, target)
    report = winner.report or {}
    classes, labels = report.get("classes", ()), report.get("labels", ())
    return Best(
        choice.name,
        choice.winner,
        configurations_frame(choice.configurations),
        trials_frame(choice.records),
        curves_frame(choice.records),
        test={name: value for name, value in report.items() if isinstance(value, int | float)},
        classes=pd.DataFrame(classes, columns=["label", "precision", "recall", "f1", "rows"]).set_index("label"),
        confusion=pd.DataFrame(report.get("confusion", ()), index=list(labels), columns=list(labels)),
        mistakes=pd.DataFrame(report.get("mistakes", ())),
        export=target,
    )


def _freeze(winner: "Winner", target: Path) -> None:
    from sweeper.export import check_target

    if not winner.is_frozen_in(target):
        check_target(target)  # before the test split is read
        winner.export(target)


def predict(
    folder: Path | str,
    texts: str | Path | Iterable[str | None],
    top_k: int = 1,
    *,
    column: str | None = None,
    header: bool = True,
) -> pd.DataFrame:
    """Labels with probabilities for new sentences; `python -m sweeper.predict` as a function.

    Args:
        folder: what `best(export=True)` wrote.
        texts: sentences (a list, a pandas Series; missing ones are blank), one sentence as a string, or a file as a
            `Path`.
        top_k: labels a sentence, most probable first.
        column: of a file that is a table: the sentences' column, by name or number.
        header: of a file that is a table: whether its first row holds the names.

    Returns:
        A row a sentence, in order: `text`, `label`, `probability`, then `label_2`, `probability_2` and so on; of a
        regression `text` and `value`. A blank sentence has neither.

    Raises:
        UserError: the folder holds no model, the file cannot be read, or `top_k` is below 1.
    """
    from sweeper.inputs import read_texts
    from sweeper.prediction import Classifier

    if top_k < 1:
        raise UserError(f"top_k={top_k}: takes a whole number from 1")
    classifier = Classifier(Path(folder))
    several = [texts] if isinstance(texts, str) else texts
    given = (
        read_texts(str(several), column, header)
        if isinstance(several, Path)
        else ("" if pd.isna(text) else str(text) for text in several)
    )
    top_k = 0 if classifier.is_regression else min(top_k, len(classifier.names))
    numbers = ["", *(f"_{number}" for number in range(2, top_k + 1))]
    names = [f"{name}{number}" for number in numbers for name in ("label", "probability")] if top_k else ["value"]
    rows = []
    for one in classifier.predict(given, max(1, top_k)):
        figures = [part for pair in one.labels for part in pair] if top_k else [one.value]
        rows.append([one.text, *(figures or [None] * len(names))])
    return pd.DataFrame(rows, columns=["text", *names])


def configurations_frame(ranked: Sequence[Configuration]) -> pd.DataFrame:
    """A row a configuration, in the order given."""
    rows = []
    for one in plain_seeds(ranked):
        low, high = one["interval"] or (None, None)
        seeds = {"seeds": one["scored_seeds"], "mean": one["mean"], "low": low, "high": high}
        rows.append(
            {"lr": one["lr"], "batch_size": one["batch_size"], "also": one["also"], **seeds, "verdict": one["verdict"]}
        )
    return pd.DataFrame(rows)


def trials_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row a trial, in the order given, with its figures at the overfitting point.

    Whatever else differs among the trials has a column, of its name in a study (`dropout`) or of its key's
    (`optimizer.name`): numbers where all are, else text.
    """
    rows, apart = [], told_apart(records)
    for record, others in zip(records, apart, strict=True):
        at = record.at_overfit
        rows.append(
            {
                "lr": lr_of(record),
                "batch_size": batch_of(record),
                **others,
                "state": record.state,
                "overfit_epoch": record.overfit_epoch,
                "overfit_reached": record.overfit_reached,
                **{name: None if at is None else getattr(at, name) for name in AT_OVERFIT},
                "epochs": len(record.curve),
                "seconds": record.seconds,
                "key": record.key,
            }
        )
    frame = pd.DataFrame(rows)
    for name in {name for others in apart for name in others}:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        frame[name] = frame[name] if numbers.hasnans else numbers
    return frame


def curves_frame(records: Sequence[TrialRecord]) -> pd.DataFrame:
    """A row a trial and epoch; `lr` is the trial's, `step_lr` the rate at the epoch's last step."""
    rows = []
    for record in records:
        trial = {"key": record.key, "lr": lr_of(record), "batch_size": batch_of(record)}
        rows += [{**trial, "step_lr": epoch.lr, **_figures(asdict(epoch))} for epoch in record.curve]
    return pd.DataFrame(rows)


def _figures(epoch: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name != "lr"}


def spelled(overrides: Overrides) -> list[str]:
    """Settings as the command line spells them.

    Raises:
        UserError: neither a mapping nor strings.
    """
    if isinstance(overrides, Mapping):
        return [f"{key}={_value(key, value)}" for key, value in overrides.items()]
    given = [overrides] if isinstance(overrides, str) else list(overrides)
    if wrong := [one for one in given if not isinstance(one, str)]:
        raise UserError(f"{wrong[0]!r}: takes a mapping such as {{'study': 'lr'}} or strings such as 'study=lr'")
    return given


def _value(key: str, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path) or not isinstance(value, Iterable):
        return str(value)
    items = list(value)
    if key == "study":
        return ",".join(map(str, items))
    return f"[{_quoted(items) if any(isinstance(one, str) for one in items) else ','.join(map(str, items))}]"


def _quoted(items: Sequence[Any]) -> str:
    """Texts so that commas, blanks and quotation marks inside them survive (`sweeper.config` reads them as csv)."""
    line = io.StringIO()
    quote = "'" if any("'" in str(one) for one in items) else '"'
    csv.writer(line, quotechar=quote, quoting=csv.QUOTE_ALL, lineterminator="").writerow(items)
    return line.getvalue()
