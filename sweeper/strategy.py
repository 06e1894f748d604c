"""What a study tries, as the configuration may say it: a grid with one seed or several, or a search and its budget.

A part of `sweeper.schema`, and as pure.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sweeper.values import BelowOne, Count, Ends, Name, NotNegative, Positive, Seed, Several, shown

SEARCH_ALONE = (  # keys that only a search takes
    *(f"study.{name}" for name in ("warmup", "weight_decay", "dropout", "schedule", "seed", "sampler", "sampler_seed")),
    *(f"study.budget.{name}" for name in ("trials", "minutes", "epochs")),
)


@dataclass(frozen=True)
class Budget:
    trials: Count | None
    minutes: Positive | None
    epochs: Count | None


@dataclass(frozen=True)
class Study:
    name: Name
    lr: Annotated[tuple[Positive, ...], Several] | None
    batch_size: Annotated[tuple[Count, ...], Several] | None
    warmup: Annotated[tuple[BelowOne, ...], Ends] | None
    weight_decay: Annotated[tuple[NotNegative, ...], Ends] | None
    dropout: Annotated[tuple[BelowOne, ...], Ends] | None
    schedule: Annotated[tuple[Literal["constant", "linear"], ...], Several] | None
    seed: Annotated[tuple[Seed, ...], Several] | None
    seeds: Count | Annotated[tuple[Seed, ...], Several] | None
    sampler: Literal["tpe", "gp", "random", "qmc"] | None
    sampler_seed: Seed | None
    budget: Budget


def contradictions_of(study: Study, *, epochs: int, seed: int) -> Iterator[str]:
    """Values of the study that are possible one by one but not together.

    Args:
        epochs: `train.epochs`.
        seed: `train.seed`.
    """
    yield from _of_search(study, epochs)
    yield from _of_seeds(study, seed)


def _of_search(study: Study, epochs: int) -> Iterator[str]:
    """What only a search takes, and what does not make one."""
    budget = study.budget
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
    if budget.epochs is not None and budget.epochs < epochs:
        yield f"study.budget.epochs: got {budget.epochs}, takes {epochs} (train.epochs, one trial) or more"
    points = _number_of_points(study)
    if points is not None and budget.trials is not None and budget.trials > points:
        yield f"study.budget.trials: got {budget.trials}, takes at most {points}: the ranges hold no more points"


def _of_seeds(study: Study, first: int) -> Iterator[str]:
    """Several seeds a configuration: not of a search, and none beyond the largest that a generator takes."""
    seeds = study.seeds
    if seeds is not None and study.name == "search":
        yield (
            f"study.seeds: got {shown(seeds)}, takes null in study=search, which trains each point once. Search first, "
            "then train the best points with several seeds: study=grid study.lr=[...] study.batch_size=[...] "
            f"study.seeds={shown(seeds)}, with the other settings that won"
        )
    if isinstance(seeds, int) and first + seeds > 2**32:
        yield f"study.seeds: got {seeds} from train.seed={first} on, takes seeds up to {2**32 - 1}"


def _number_of_points(study: Study) -> int | None:
    """How many a search can find; None where something varies continuously."""
    ranges = [choices for choices in (study.lr, study.warmup, study.weight_decay, study.dropout) if choices]
    if any(len(ends) == 2 for ends in ranges):
        return None
    return math.prod(len(choices) for choices in (*ranges, study.batch_size, study.schedule, study.seed) if choices)
