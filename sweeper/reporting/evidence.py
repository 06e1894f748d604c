"""What lies on disk about one experiment, read once, as values. Nothing here writes, trains or downloads.

The data itself is read through the corpus cache. Where it cannot be had any more (files moved, settings of
another version), the report goes without what needs it and says why.
"""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.config import compose, plain
from sweeper.data.corpus import Corpus, load_corpus
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError
from sweeper.reporting.comparison import Comparison, compare
from sweeper.study.configurations import Configuration, Standing, configurations, has_seeds, standings
from sweeper.study.latest import data_in_use, read_records, seeds_to_come, tested, tested_file
from sweeper.study.latest import experiments as experiments_in
from sweeper.study.record import PREDICTIONS, TrialRecord
from sweeper.study.table import all_varied

TRIALS, STUDIES, CACHE = "trials", "studies", "cache"
PUBLISHED = "published.yaml"
MOST_SHOWN = 200  # trials that a page lists and draws one by one: a browser draws no ten thousand pictures
# keys of `data` that say where and in which wrapping the rows lie, and how many of them are taken
PLACES = (
    "source", "path", "train", "validation", "test", "header", "encoding", "delimiter", "quoting", "config",
    "revision", "rows",
)  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """An experiment as its files tell it.

    Attributes:
        records: trials of one data fingerprint, those of the best configuration first, in each the best first; `varied`
            names all that differs among them.
        left_out: number of trials on other data, which do not compare.
        predictions: validation predictions (n,) at the overfitting point, by trial key.
        corpus: None where the data cannot be read; `corpus_trouble` says why.
        test: what `best` wrote about the winner on the test split; None before that.
        tested_before: other trials of these, which were winners once and met the test split then.
        studies: the trial keys of every study, by `<study>@<configuration>`.
        unfinished: by a study's name, how many of its trials have no result yet, and of how many.
        missing: seeds without a result yet, see `configurations.missing_seeds`.
        published: the experiment's published figures; None where there are none.
    """

    name: str
    folder: Path
    records: tuple[TrialRecord, ...]
    left_out: int
    predictions: Mapping[str, NDArray[Any]]
    corpus: Corpus | None
    corpus_trouble: str | None
    test: Mapping[str, Any] | None
    published: Mapping[str, Any] | None
    tested_before: tuple[TrialRecord, ...] = ()
    studies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unfinished: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def configurations(self) -> list[Configuration]:
        """The trials by configuration, best first."""
        return configurations(self.records, self.missing)

    @cached_property
    def standings(self) -> list[Standing]:
        """Each configuration against the winner, over the seeds that both have."""
        return standings(self.configurations)

    @property
    def has_seeds(self) -> bool:
        """Whether a configuration has several seeds."""
        return has_seeds(self.configurations)

    @property
    def winner(self) -> TrialRecord | None:
        """The best trial of the best configuration."""
        return self.records[0] if self.records[0].score > -np.inf else None

    @cached_property
    def shown_configurations(self) -> list[Configuration]:
        """The best configurations, as many as are listed and drawn with all their trials."""
        upto = list(accumulate(len(one.trials) for one in self.configurations))
        return self.configurations[: max(1, bisect_right(upto, MOST_SHOWN))]

    @property
    def shown(self) -> tuple[TrialRecord, ...]:
        """The trials of these configurations."""
        return self.records[: sum(len(one.trials) for one in self.shown_configurations)]

    @property
    def regression(self) -> bool:
        """Whether the labels are numbers: no accuracy exists then."""
        return bool(self.records[0].config["data"].get("task") == "regression")

    @property
    def rows(self) -> int | None:
        """Number of validation rows, if anything tells it."""
        if self.corpus is not None:
            return len(self.corpus.validation.rows)
        return next((len(one) for one in self.predictions.values()), None)

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Every trial against the winner, by key."""
        labels = None if self.corpus is None else self.corpus.validation.labels
        return compare(self.records, self.predictions, labels, self.rows)


def gather(runs: Path, name: str, experiments: Sequence[Path]) -> Evidence:
    """Read everything about an experiment.

    Args:
        experiments: folders that may hold `<name>/published.yaml`, first found wins.

    Raises:
        UserError: there is no trial.
    """
    folder = runs / name
    everything = read_records(folder)
    if not everything:
        raise UserError(f"{folder}: there is no finished trial of {name}. Run `make sweep` first.{_others(runs, name)}")
    data = data_in_use(folder, everything)
    missing = seeds_to_come(folder, everything)
    ranked = configurations((record for record in reversed(everything) if record.data == data), missing)
    records = tuple(distinct([trial for one in ranked for trial in one.trials]))
    corpus, trouble = _corpus(records[0], runs)
    studies = _studies(folder)
    return Evidence(
        name,
        folder,
        records,
        left_out=len(everything) - len(records),
        predictions={one.key: array for one in records if (array := _predictions(folder, one.key)) is not None},
        corpus=corpus,
        corpus_trouble=trouble,
        test=_json(tested_file(folder, records[0])),
        published=_published(name, records[0].config, experiments),
        tested_before=tested(folder, records[1:]),
        studies=studies,
        unfinished=_unfinished(studies, {one.key: one.data for one in everything}, data),
        missing=missing,
    )


def distinct(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The records with everything that differs among them under `varied`.

    A study writes down only what it varies itself; beside trials of another study, encoder or optimizer that is too
    little to tell one from the other.
    """
    return [replace(one, varied=varied) for one, varied in zip(records, all_varied(records), strict=True)]


def _others(runs: Path, name: str) -> str:
    others = [other for other in experiments_in(runs) if other != name]
    return f" (--experiment takes: {', '.join(others)})" if others else ""


def _corpus(record: TrialRecord, runs: Path) -> tuple[Corpus | None, str | None]:
    """The data of a trial through the cache, if it is still the same data."""
    try:
        settings = DataSettings.of(record.config["data"])
        corpus = load_corpus(settings, record.config["model"], runs / CACHE)
    except (UserError, OSError) as error:
        return None, str(error)
    if corpus.fingerprint != record.data:
        return None, "the data has changed since these trials were trained"
    return corpus, None


def _studies(folder: Path) -> dict[str, list[str]]:
    """The studies' lists; a damaged one is left out, the next sweep makes it again."""
    found = {}
    for path in sorted((folder / STUDIES).glob("*.json")):
        trials = (_json(path) or {}).get("trials")
        if isinstance(trials, dict):
            found[path.stem] = list(trials)
    return found


def _unfinished(
    studies: Mapping[str, Sequence[str]], ended: Mapping[str, str], data: str
) -> dict[str, tuple[int, int]]:
    """Trials without a result and all trials, by the name of each study that lacks some and is not of other data.

    Args:
        ended: fingerprint of the data of every trial that has a record, by key.
    """
    found: dict[str, tuple[int, int]] = {}
    for study, keys in studies.items():
        known = {ended[key] for key in keys if key in ended}
        open_ones = sum(key not in ended for key in keys)
        if open_ones and (data in known or not known):
            before = found.get(name := study.split("@")[0], (0, 0))
            found[name] = (before[0] + open_ones, before[1] + len(keys))
    return found


def _predictions(folder: Path, key: str) -> NDArray[Any] | None:
    try:
        return np.asarray(np.load(folder / TRIALS / key / PREDICTIONS, allow_pickle=False))
    except (OSError, ValueError):
        return None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _published(name: str, config: Mapping[str, Any], experiments: Sequence[Path]) -> Mapping[str, Any] | None:
    """The figures under the runs' own name, or those of the experiment that another name was given to."""
    own = _figures(name, experiments)
    experiment = str(config.get("experiment"))
    if own is not None or experiment == name:
        return own
    found = _figures(experiment, experiments)
    return found if found is not None and _is_data_of(experiment, config["data"]) else None


def _figures(name: str, experiments: Sequence[Path]) -> Mapping[str, Any] | None:
    import yaml

    for folder in experiments:
        path = folder / name / PUBLISHED
        if path.is_file():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else None
    return None


def _is_data_of(experiment: str, data: Mapping[str, Any]) -> bool:
    """Whether the rows are read, cleaned and split as the experiment's, wherever they lie and however few they are."""
    try:
        theirs = plain(compose([f"experiment={experiment}"]))["data"]
    except UserError:  # an experiment that is gone
        return False
    return all(data.get(key, value) == value for key, value in theirs.items() if key not in PLACES)
