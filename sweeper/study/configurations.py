"""A configuration is a trial's settings without its seed: which won by the mean of its seeds, and how sure that is.

Trials of equal data and settings belong together, whichever studies trained them. A configuration of one seed is its
trial, so all that ranks or compares goes through here, and without `study.seeds` ranks as trials alone do.
"""

import math
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from sweeper.intervals import Estimate, over_seeds
from sweeper.study.record import TrialRecord, rank, trial_name
from sweeper.study.space import IDENTITY, NOT_IDENTITY, PLACES, Value, digest, seeds_of

Verdict = Literal["winner", "same", "worse", "unknown", "none"]


@dataclass(frozen=True)
class Configuration:
    """Settings, and one trial of them for each seed.

    Attributes:
        trials: best first; none has another's seed.
        missing: seeds that a study asks for and whose trials have not ended.
    """

    trials: tuple[TrialRecord, ...]
    missing: tuple[int, ...] = ()

    @property
    def best(self) -> TrialRecord:
        """The trial of the best seed, whose weights are the configuration's."""
        return self.trials[0]

    @property
    def name(self) -> str:
        """`lr=2e-05 bs=64`."""
        return trial_name(without_seed(self.best.varied))

    @property
    def by_seed(self) -> tuple[TrialRecord, ...]:
        """The trials, lowest seed first."""
        return tuple(sorted(self.trials, key=seed_of))

    @property
    def broken(self) -> tuple[TrialRecord, ...]:
        """Trials that ended without a final score: diverged, failed, or stopped before their overfitting point."""
        return tuple(trial for trial in self.by_seed if not trial.is_candidate)

    @property
    def is_whole(self) -> bool:
        """Whether every seed that was asked for has a score."""
        return not self.broken and not self.missing

    @property
    def asked(self) -> int:
        """Number of seeds, those included that are not trained yet."""
        return len(self.trials) + len(self.missing)

    @cached_property
    def scores(self) -> dict[int, float]:
        """Each seed's score, lowest seed first; the higher the better. Those without one are left out."""
        return {seed_of(trial): trial.score for trial in self.by_seed if trial.is_candidate}

    @cached_property
    def estimate(self) -> Estimate | None:
        """Mean and 95% interval over the seeds of validation accuracy (regression: loss); None without a score."""
        if not self.scores:
            return None
        at, found = self.best.at_overfit, over_seeds(list(self.scores.values()))
        return found if at is not None and at.val_accuracy is not None else found.flipped

    def mean(self, figure: str) -> float | None:
        """Mean over the scored seeds of a figure at the overfitting point, e.g. `val_loss`; None without any."""
        points = (trial.at_overfit for trial in self.by_seed if trial.is_candidate)
        values = [getattr(at, figure) for at in points if at is not None]
        return math.fsum(values) / len(values) if values and None not in values else None


@dataclass(frozen=True)
class Standing:
    """A configuration against the winner.

    Attributes:
        lead: how much better the winner is, over the seeds that both have; None for fewer than two.
        verdict: `winner`; `worse` where the 95% interval of the lead is above 0; `same`: cannot be told from the
            winner; `unknown`: fewer than two common seeds, or a seed of it has no score; `none`: no seed of it has one.
    """

    configuration: Configuration
    lead: Estimate | None
    verdict: Verdict


def configurations(
    records: Iterable[TrialRecord], missing: Mapping[str, Sequence[int]] | None = None
) -> list[Configuration]:
    """The records by configuration, best first.

    The mean of the seeds' scores ranks, then the lower mean validation loss, then fewer epochs, then the key. One with
    a seed that ended without a score comes after all others, since the mean of what is left flatters; one that lacks
    trials after those that lack none. The best of many single seeds is lucky, so one seed is not held against a mean,
    but against the score that each configuration of several seeds has with that seed: one that beats them all comes
    before them, else after them.

    Args:
        records: where two are of the same settings and seed (of another encoder under the same name, say), the first
            counts for the configuration, and the other is one by itself.
        missing: see `missing_seeds`.
    """
    groups: dict[tuple[str, int], list[TrialRecord]] = {}
    met = Counter[tuple[str, int]]()
    for record in records:
        settings = settings_key(record)
        seed = (settings, seed_of(record))
        groups.setdefault((settings, met[seed]), []).append(record)
        met[seed] += 1
    found = [
        Configuration(tuple(rank(sorted(group, key=seed_of))), _open(group, missing or {})) for group in groups.values()
    ]
    several = [one for one in found if one.asked > 1 and one.scores and not one.broken]
    return sorted(found, key=lambda one: (_tier(one, several), *_merits(one), one.best.key))


def winner_of(records: Iterable[TrialRecord]) -> TrialRecord | None:
    """The best seed of the best configuration; None where no trial has a score. All have ended."""
    ranked = configurations(records)
    return ranked[0].best if ranked and ranked[0].scores else None


def standings(ranked: Sequence[Configuration]) -> list[Standing]:
    """Each configuration against the first.

    Each interval is at 95% for itself, not adjusted for the number of configurations: of twenty that are as good as
    the winner, one or more will be called worse.

    Args:
        ranked: best first, see `configurations`.
    """
    return [_standing(ranked[0], one) for one in ranked]


def _standing(winner: Configuration, one: Configuration) -> Standing:
    if not one.scores:
        return Standing(one, None, "none")
    if one is winner:
        return Standing(one, None, "winner")
    common = [seed for seed in winner.scores if seed in one.scores]
    lead = over_seeds([winner.scores[seed] - one.scores[seed] for seed in common]) if len(common) > 1 else None
    if lead is None or lead.interval is None or not one.is_whole:
        return Standing(one, lead, "unknown")
    return Standing(one, lead, "worse" if lead.interval.low > 0 else "same")


def missing_seeds(study: Mapping[str, Any], ended: Container[str]) -> dict[str, tuple[int, ...]]:
    """The seeds that each configuration of a study still lacks, by the key of every trial of it; empty where none.

    Args:
        study: what its file holds (`listing.py`).
        ended: keys of trials with a record.
    """
    asked, by_name = seeds_of(study.get("config", {})), dict[str, dict[Any, str]]()
    for key, varied in study["trials"].items() if asked else ():
        by_name.setdefault(trial_name(without_seed(varied)), {})[varied.get("seed")] = key
    found: dict[str, tuple[int, ...]] = {}
    for keys in by_name.values():
        open_ones = tuple(seed for seed in asked or () if seed in keys and keys[seed] not in ended)
        found |= {key: open_ones for key in keys.values() if open_ones}
    return found


def all_missing(studies: Iterable[Mapping[str, Any]], ended: Container[str]) -> dict[str, tuple[int, ...]]:
    """The same of several studies, which may share trials."""
    found: dict[str, set[int]] = {}
    for study in studies:
        for key, seeds in missing_seeds(study, ended).items():
            found.setdefault(key, set()).update(seeds)
    return {key: tuple(sorted(seeds)) for key, seeds in found.items()}


def has_seeds(ranked: Iterable[Configuration]) -> bool:
    """Whether any of them has several seeds, so that means are to be shown instead of trials."""
    return any(one.asked > 1 for one in ranked)


def seed_of(record: TrialRecord) -> int:
    """The seed of head, order of the rows, and dropout."""
    return int(record.varied.get("seed", record.config.get("train", {}).get("seed", 0)))


def without_seed(varied: Mapping[str, Value]) -> dict[str, Value]:
    """What varies besides the seed, by a study's names or the configuration's."""
    return {name: value for name, value in varied.items() if name not in ("seed", "train.seed")}


def settings_key(record: TrialRecord) -> str:
    """8 hexadecimal digits for all that changes the trial's result but the seed."""
    return configuration_tag(record.config, record.varied, data=record.data, precision=record.precision)


def configuration_tag(config: Mapping[str, Any], varied: Mapping[str, Value], *, data: str, precision: str) -> str:
    """The same of a point. The encoder counts by its name, so that no weights have to be at hand.

    Args:
        data: fingerprint of the corpus.
    """
    parts: dict[str, Any] = {
        section: {key: value for key, value in config[section].items() if key not in NOT_IDENTITY.get(section, ())}
        for section in IDENTITY
        if section in config
    }
    for name, value in varied.items():
        if name in PLACES:
            section, key = PLACES[name]
            parts.setdefault(section, {})[key] = value
    parts.setdefault("train", {}).pop("seed", None)
    parts["train"]["precision"] = precision
    return digest({**parts, "model": config.get("model"), "data_fingerprint": data})[:8]


def _open(group: Sequence[TrialRecord], missing: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    there = {seed_of(record) for record in group}
    return tuple(sorted({seed for record in group for seed in missing.get(record.key, ())} - there))


def _tier(one: Configuration, several: Sequence[Configuration]) -> int:
    if one.broken:
        return 4 if one.scores else 5
    if one.asked > 1:
        return 2 if one.missing else 1
    [(seed, score)] = one.scores.items()
    return 0 if all(score > other.scores.get(seed, max(other.scores.values())) for other in several) else 3


def _merits(one: Configuration) -> tuple[float, float, float]:
    if not one.scores:
        return (0.0, 0.0, 0.0)
    score = math.fsum(one.scores.values()) / len(one.scores)
    return (-score, one.mean("val_loss") or 0.0, one.mean("epoch") or 0.0)
