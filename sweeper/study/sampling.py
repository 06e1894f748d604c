"""What a search tries next, asked of Optuna: the same past gives the same next point, in whichever process.

A sampler's random state lives in memory, where a kill takes it. So every point is asked of a fresh sampler, seeded
with the search's seed and the number of points before it, on a study in memory that holds just these points. Those
that are being trained are in it as running: TPE takes them for bad ones (constant liar), GP averages over what may
come of them, so that workers do not crowd together. A trial that diverged counts as the worst there was, since a
sampler that did not hear of it would go there again. Limit: a point costs time in proportion to the points before it.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import count, product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.config import RANGES
from sweeper.study.record import TrialRecord, merit
from sweeper.study.space import Value

Past = Sequence[tuple[Mapping[str, Value], TrialRecord | None]]

LOGARITHMIC = ("lr", "weight_decay")  # where the lower end is above 0
ORDERED = (*RANGES, "batch_size")  # choices of which neighbours are alike
BLIND = ("random", "qmc")  # samplers that do not look at the past
STARTUP = 10  # points that TPE draws at random before it looks at how they went
DIGITS = 3  # significant ones of a value from an interval: a person can read them and type them


class Space:
    """The ranges of a search as Optuna's distributions; choices are known to it by their numbers.

    Args:
        ranges: by setting, the two ends of an interval or the values to choose from; one value alone is fixed. Two
            batch sizes are choices, as seeds and schedules are.
    """

    def __init__(self, ranges: Mapping[str, Sequence[Value]]) -> None:
        self.ranges = {name: sorted(given, key=float) if name in ORDERED else given for name, given in ranges.items()}
        self.distributions = {name: _distribution(name, given) for name, given in self.ranges.items() if len(given) > 1}

    def values(self, params: Mapping[str, Any]) -> dict[str, Value]:
        """The settings that Optuna's parameters stand for."""
        return {name: self._value(name, params.get(name)) for name in self.ranges}

    def params(self, varied: Mapping[str, Value]) -> dict[str, Any]:
        """Optuna's parameters for these settings."""
        return {
            name: varied[name] if isinstance(kind, FloatDistribution) else list(self.ranges[name]).index(varied[name])
            for name, kind in self.distributions.items()
        }

    def everything(self) -> Iterator[dict[str, Value]]:
        """Every point, where there are finitely many; else nothing."""
        if not any(isinstance(kind, FloatDistribution) for kind in self.distributions.values()):
            yield from (dict(zip(self.ranges, choice, strict=True)) for choice in product(*self.ranges.values()))

    def _value(self, name: str, param: Any) -> Value:
        choices = self.ranges[name]
        if name not in self.distributions:
            return choices[0]
        if not isinstance(self.distributions[name], FloatDistribution):
            return choices[int(param)]
        low, high = (float(end) for end in choices)
        return min(max(float(f"{param:.{DIGITS}g}"), low), high)


def _distribution(name: str, ends: Sequence[Value]) -> BaseDistribution:
    if name in RANGES and len(ends) == 2:
        low, high = (float(end) for end in ends)
        return FloatDistribution(low, high, log=name in LOGARITHMIC and low > 0)
    return IntDistribution(0, len(ends) - 1) if name in ORDERED else CategoricalDistribution(tuple(range(len(ends))))


def propose(sampler: str, seed: int, space: Space, past: Past) -> dict[str, Value]:
    """The point after these, which may be one of them; see `proposals`."""
    return next(proposals(sampler, seed, space, past))


def proposals(
    sampler: str, seed: int, space: Space, past: Past, *, first: int = 0, startup: int = STARTUP
) -> Iterator[dict[str, Value]]:
    """Points to try after these, any of which may be one of them; there is always one more.

    Args:
        sampler: tpe, gp, random or qmc.
        past: the settings of every point so far, in their order, with its record if it has ended.
        first: number of the first proposal; each is drawn by a sampler of its own, whatever was proposed before it.
        startup: points that have ended before TPE looks at them.
    """
    study = optuna.create_study(direction="maximize")
    study.add_trials(() if sampler in BLIND else _trials(space, past))
    for attempt in count(first):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Optuna calls experimental
            study.sampler = _sampler(sampler, seed, len(past), attempt, space, startup)
            trial = study.ask(space.distributions)
        study.tell(trial, state=TrialState.FAIL)  # so that no later proposal takes it for one of the past
        yield space.values(trial.params)


def _trials(space: Space, past: Past) -> Iterator[FrozenTrial]:
    """The points of the past that a sampler can learn something from."""
    scores = [record.score for _, record in past if record is not None and record.is_candidate]
    trials = (_trial(space, varied, record, min(scores, default=None)) for varied, record in past)
    yield from (trial for trial in trials if trial is not None)


def _trial(
    space: Space, varied: Mapping[str, Value], record: TrialRecord | None, worst: float | None
) -> FrozenTrial | None:
    """A point as the sampler shall know it; None where it can learn nothing from it."""
    about: dict[str, Any] = {"params": space.params(varied), "distributions": dict(space.distributions)}
    if record is None:
        return create_trial(state=TrialState.RUNNING, **about)
    if record.is_candidate:
        return create_trial(state=TrialState.COMPLETE, value=record.score, **about)
    if record.state == "pruned":
        steps = {epoch.epoch: merit(epoch) for epoch in record.curve if math.isfinite(merit(epoch))}
        return create_trial(state=TrialState.PRUNED, intermediate_values=steps, **about)
    if record.state == "diverged" and worst is not None:
        return create_trial(state=TrialState.COMPLETE, value=worst, **about)
    return None


def _sampler(name: str, seed: int, number: int, attempt: int, space: Space, startup: int) -> BaseSampler:
    own = _seed(seed, number, attempt)
    if name == "tpe":
        return TPESampler(seed=own, constant_liar=True, n_startup_trials=startup)
    if name == "gp":
        return GPSampler(seed=own)
    if name == "qmc":
        return _Sequence(_seed(seed), number + attempt, space.distributions)
    return RandomSampler(seed=own)


def _seed(*parts: int) -> int:
    """32 bits that follow from the parts alone and are unlike those of their neighbours."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big")


class _Sequence(QMCSampler):
    """A scrambled Sobol sequence at one of its numbers.

    Optuna's own counts in the storage and draws its first point at random. The method that counts is private;
    nothing else tells it where in the sequence to go on.
    """

    def __init__(self, seed: int, number: int, distributions: Mapping[str, BaseDistribution]) -> None:
        super().__init__(scramble=True, seed=seed)
        self._number, self._distributions = number, dict(sorted(distributions.items()))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All that varies, from the first point on."""
        return self._distributions

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number
