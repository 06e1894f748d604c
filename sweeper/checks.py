"""Plain values as one configuration, refused where they do not fit: the schema's rules, and what studies need.

All that is wrong is told at once, one key a line.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sweeper.errors import UserError
from sweeper.launcher import contradictions_of
from sweeper.schema import KEYS, SEARCH_ALONE, Budget, Config, contradictions
from sweeper.values import Ends, read_into, shown

RANGES = ("lr", "warmup", "weight_decay", "dropout")  # of a search: two numbers are the ends, more are choices
VARIED = (*RANGES, "batch_size", "schedule", "seed")


def read(values: Mapping[str, Any]) -> Config:
    """The typed configuration from nested plain values.

    Raises:
        UserError: an unknown or missing key, a wrong type, an impossible value; all of them, one a line.
    """
    problems: list[str] = []
    config: Config | None = read_into(Config, values, list(KEYS), problems)
    if config:
        of_launcher = contradictions_of(config.launcher, config.train.device)
        problems += [*contradictions(config), *_of_search(config), *_of_seeds(config), *of_launcher]
    if config is None or problems:
        raise UserError("\n".join(problems))
    return config


def _of_search(config: Config) -> Iterator[str]:
    """What only a search takes, and what does not make one."""
    study, budget = config.study, config.study.budget
    if study.name != "search":
        for key in SEARCH_ALONE:
            name = key.rpartition(".")[2]
            if (value := getattr(budget if key.startswith("study.budget.") else study, name)) is not None:
                instead = (
                    "study.seeds trains each configuration with several" if name == "seed" else "study=search takes it"
                )
                yield f"{key}: got {shown(value)}, takes null in study={study.name}; {instead}"
        return
    if study.lr is not None and not Ends.holds(study.lr):
        yield f"study.lr: got {shown(study.lr)}, takes numbers {Ends.takes} in study=search"
    if study.sampler is None:
        yield "study.sampler: got null, takes tpe, gp, random or qmc in study=search"
    if study.sampler_seed is None:
        yield "study.sampler_seed: got null, takes a whole number in study=search"
    if budget == Budget(None, None, None):
        yield "study.budget: got null, takes a number for one of study.budget.trials, .minutes and .epochs"
    if budget.epochs is not None and budget.epochs < config.train.epochs:
        yield f"study.budget.epochs: got {budget.epochs}, takes {config.train.epochs} (train.epochs, one trial) or more"
    points = number_of_points(asdict(study))
    if points is not None and budget.trials is not None and budget.trials > points:
        yield (
            f"study.budget.trials: got {budget.trials}, takes at most {points}: the choices hold no more points, and "
            "study=grid trains them all"
        )


def _of_seeds(config: Config) -> Iterator[str]:
    """Several seeds a configuration: not of a search, and none beyond the largest that a generator takes."""
    seeds, name, first = config.study.seeds, config.study.name, config.train.seed
    if seeds is not None and name == "search":
        yield (
            f"study.seeds: got {shown(seeds)}, takes null in study=search, which trains each point once. Search first, "
            "then train the best points with several seeds: study=grid study.lr=[...] study.batch_size=[...] "
            f"study.seeds={shown(seeds)}, with the other settings that won"
        )
    if isinstance(seeds, int) and first + seeds > 2**32:
        yield f"study.seeds: got {seeds} from train.seed={first} on, takes seeds up to {2**32 - 1}"


def number_of_points(study: Mapping[str, Any]) -> int | None:
    """How many a search can find, of a `study` section that may still be wrong; None where something has a range."""
    lists = {key: value for key in VARIED if isinstance(value := study.get(key), (list, tuple)) and value}
    if any(len(lists.get(key, ())) == 2 for key in RANGES):
        return None
    return math.prod(len(choices) for choices in lists.values())
