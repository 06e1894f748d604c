"""Which trial won, and all that follows from it: its classifier, its one test, its export.

Trials are compared by their records on disk alone, and only where they saw equal data. The report of the
test split is kept under `runs/<name>/test/`, so that the split is read once a winner.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import UserError
from sweeper.study.configurations import Configuration, configurations, seed_of
from sweeper.study.latest import (
    data_in_use,
    experiments,
    read_records,
    seeds_to_come,
    tested,
    tested_file,
    under_way,
)
from sweeper.study.record import PREDICTIONS, WEIGHTS, TrialRecord
from sweeper.values import suggest

if TYPE_CHECKING:  # seconds of imports that `--help` and a missing study do not need
    from sweeper.data.corpus import Corpus
    from sweeper.export import Trained


@dataclass(frozen=True)
class Choice:
    """The winner and whom it was compared with.

    Attributes:
        name: the experiment's.
        runs: `paths.runs`.
        records: trials of one data fingerprint, those of the best configuration first, in each the best first.
        left_out: trials of the experiment on other data.
        others: experiments that could have been meant where none was named.
        missing: seeds still to be trained, see `configurations.missing_seeds`.
    """

    name: str
    runs: Path
    records: tuple[TrialRecord, ...]
    left_out: int
    others: tuple[str, ...]
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The trials by configuration, best first."""
        return configurations(self.records, self.missing)

    @property
    def winner(self) -> TrialRecord:
        """The best trial of the best configuration."""
        return self.records[0]

    @property
    def exports(self) -> Path:
        """Where exports go: `paths.exports` of the winner's sweep."""
        return Path(self.winner.config.get("paths", {}).get("exports", "exports"))

    @property
    def folder(self) -> Path:
        """The winner's trial folder."""
        return self.runs / self.name / "trials" / self.winner.key


def choose(runs: Path, experiment: str | None = None) -> Choice:
    """Find the winner among the experiment's complete trials, once none is under way.

    Args:
        experiment: its name; None takes the one swept last.

    Raises:
        UserError: there is no such experiment, no complete trial, a record that cannot be read, or a sweep that
            still trains: its winner is not known, and the test split is for the winner alone.
    """
    names = experiments(runs)
    if not names:
        raise UserError(
            f"{runs}: no trial has been trained here yet. Run `make sweep` first (python -m sweeper study=lr,batch)."
        )
    name = experiment or names[0]
    if name not in names:
        near = suggest(name, names) or ". Name one of them, or train it first."
        raise UserError(f"experiment {name}: {runs} has trials of {', '.join(sorted(names))} only{near}")
    if running := under_way(runs / name):
        raise UserError(
            f"{name}: {running} of its trials are being trained, so the winner is not known yet, and the test split is "
            "for the winner alone. Wait until the sweep has ended (python -m sweeper.status), or stop it first."
        )
    records = read_records(runs / name)
    data = data_in_use(runs / name, records)
    missing = seeds_to_come(runs / name, records)
    newest_first = [record for record in reversed(records) if record.data == data]
    same = [trial for one in configurations(newest_first, missing) for trial in one.trials]
    if not same[0].is_candidate:
        reasons = sorted({f"{record.name} {record.state}: {record.reason}" for record in same})
        raise UserError(f"{name}: no trial is complete, so there is no winner. {'; '.join(reasons)}")
    others = () if experiment else tuple(sorted(set(names) - {name}))
    return Choice(name, runs, tuple(same), len(records) - len(same), others, missing)


class Winner:
    """What is to be known of a choice; each part is worked out when it is asked for, once.

    Args:
        note: told what takes time.
    """

    def __init__(self, choice: Choice, note: Callable[[str], None] = lambda _: None) -> None:
        self.choice = choice
        self.config = choice.winner.config
        self._note = note

    @cached_property
    def corpus(self) -> "Corpus":
        """The data that the trials saw.

        Raises:
            UserError: the data is gone or has changed since.
        """
        from sweeper.data.corpus import DataSettings, load_corpus

        settings = DataSettings.of(self.config["data"])
        corpus = load_corpus(settings, self.config["model"], self.choice.runs / "cache", self._note)
        if corpus.fingerprint != self.choice.winner.data:
            raise UserError(
                f"{self.choice.name}: the data has changed since the sweep (fingerprint {corpus.fingerprint}, trained "
                f"on {self.choice.winner.data}). Put the old data back, or run the sweep again on the new."
            )
        return corpus

    @cached_property
    def trained(self) -> "Trained":
        """The classifier with the weights of the overfitting epoch, where and as it was trained if possible."""
        from sweeper.export import Trained
        from sweeper.restore import restore
        from sweeper.training.compute import resolve_device

        winner, train = self.choice.winner, self.config["train"]
        device = resolve_device("cpu" if train["device"] == "cpu" else "auto")
        classifier = restore(
            self.choice.folder / WEIGHTS,
            model=self.config["model"],
            label_names=self.corpus.label_names,
            loss=train["loss"],
            dropout=self.config["head"]["dropout"],
            sha256=winner.weights_sha256,
        )
        precision = winner.precision if device.type == winner.device.split(":")[0] else "float32"
        return Trained(classifier, self.config["model"], device, precision, train["batching"])

    @property
    def tested_before(self) -> tuple[TrialRecord, ...]:
        """Other trials that were winners once and met the test split then."""
        return tested(self.choice.runs / self.choice.name, self.choice.records[1:])

    @property
    def report_file(self) -> Path:
        """Where the test report is kept."""
        return tested_file(self.choice.runs / self.choice.name, self.choice.winner)

    @cached_property
    def report(self) -> dict[str, Any] | None:
        """The winner's test report; the test split is read if it never was for this winner."""
        from sweeper.export import test_report
        from sweeper.training.checkpoint import write_atomically

        if self.report_file.exists():
            kept: dict[str, Any] | None = json.loads(self.report_file.read_text(encoding="utf-8"))
            return kept
        report = test_report(self.trained, self.corpus)
        write_atomically(self.report_file, json.dumps(report, ensure_ascii=False, indent=1).encode())
        return report

    def is_frozen_in(self, target: Path) -> bool:
        """Whether the folder is an export of this very winner, which need not be made again."""
        try:
            key: object = json.loads((target / "winner.json").read_text(encoding="utf-8"))["key"]
        except (OSError, ValueError, KeyError):
            return False
        return key == self.choice.winner.key

    def export(self, target: Path) -> None:
        """Freeze the winner as a model folder.

        Raises:
            UserError: the target is taken or cannot be written.
        """
        import numpy as np

        from sweeper.export import freeze
        from sweeper.winner.card import files_of

        recorded = self.choice.folder / PREDICTIONS
        predictions = np.load(recorded, allow_pickle=False) if recorded.exists() else None
        files = files_of(self.choice.configurations, self.corpus.card, self.report, tested_before=self.tested_before)
        freeze(target, self.trained, self.corpus, predictions=predictions, files=files)

    def summary(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        from sweeper.study.seeds_table import plain_seeds
        from sweeper.winner.card import figures, summary

        trials = [
            {
                "key": record.key,
                "varied": dict(record.varied),
                "seed": seed_of(record),
                "state": record.state,
                "reason": record.reason,
                "overfitting": {"epoch": record.overfit_epoch, "reached": record.overfit_reached},
                "at_overfitting_point": None if (at := record.at_overfit) is None else figures(at),
                "seconds": record.seconds,
            }
            for record in self.choice.records
        ]
        return {
            "winner": summary(self.choice.configurations, self.report),
            "configurations": plain_seeds(self.choice.configurations),
            "trials": trials,
            "trials_on_other_data": self.choice.left_out,
            "test": self.report,
        }
