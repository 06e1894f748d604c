"""What the configuration may hold: a type and a rule for every key, and how a wrong value is refused.

Pure values: neither Hydra nor any other room is known here. Whether files, models and columns exist is
theirs to say; this module says whether a value makes sense at all. Defaults and meanings stand in `conf/`.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from sweeper.launcher import Launcher
from sweeper.values import (
    BelowOne,
    Count,
    Ends,
    NotNegative,
    Positive,
    Rule,
    Seed,
    Several,
    Share,
    Text,
    Whole,
    keys,
    shown,
)

LONGEST_NAME = 80
SEARCH_ALONE = (  # keys that only a search takes
    *(f"study.{name}" for name in ("warmup", "weight_decay", "dropout", "schedule", "seed", "sampler", "sampler_seed")),
    *(f"study.budget.{name}" for name in ("trials", "minutes", "epochs")),
)
PATHS = {
    "table": "a file or a glob, e.g. data.path=my.csv",
    "workbook": "a workbook or a glob, e.g. data.path='emotions/*.xlsx'",
    "folder": "a folder with one sub-folder a class",
    "hub": "a data set of the hub, e.g. data.path=owner/name",
}
TAKEN = ("cache", "logs", "mlartifacts", "mlflow.db", "optuna.journal")  # what else lies under paths.runs
Name = Annotated[
    str,
    Rule(
        f"of letters, digits, '_', '-' and '.', at most {LONGEST_NAME}, the first no '.' or '-'",
        lambda x: re.fullmatch(rf"\w[\w.-]{{0,{LONGEST_NAME - 1}}}", x) is not None,
    ),
    Rule(f"(none of {', '.join(TAKEN)})", lambda x: x not in TAKEN),
]


@dataclass(frozen=True)
class Head:
    dropout: BelowOne | None


@dataclass(frozen=True)
class Split:
    train: Share
    validation: Share
    test: Share
    seed: Seed
    stratify: bool
    group: Text | None


@dataclass(frozen=True)
class Rows:
    train: Count | None
    validation: Count | None
    test: Count | None
    shuffle_seed: Seed | None


@dataclass(frozen=True)
class Data:
    source: Literal["table", "workbook", "folder", "hub"]
    path: Text | None
    train: Text | None
    validation: Text | None
    test: Text | None
    text: Text
    label: Text
    header: bool
    encoding: Literal["auto", "utf-8", "utf-8-sig", "cp949"]
    delimiter: Annotated[
        str, Rule("that is auto or one character (\\t for a tab)", lambda x: x == "auto" or len(x) == 1)
    ]
    quoting: bool
    config: Text | None
    revision: Text | None
    task: Literal["classification", "regression"]
    labels: Annotated[tuple[Text, ...], Several] | None
    unknown_labels: Literal["drop", "error"]
    duplicates: Literal["drop", "keep"]
    conflicts: Literal["keep_first", "drop", "keep"]
    overlap: Literal["drop", "keep"]
    max_length: Annotated[int, Rule("3 or more (two mark the ends)", lambda x: x >= 3)]
    split: Split
    rows: Rows


@dataclass(frozen=True)
class Optimizer:
    name: Literal["adam", "adamw", "sgd"]
    lr: Positive | None
    weight_decay: NotNegative
    momentum: BelowOne


@dataclass(frozen=True)
class Schedule:
    name: Literal["constant", "linear"]
    warmup: Whole | BelowOne


@dataclass(frozen=True)
class EarlyStop:
    monitor: Literal["val_loss", "val_accuracy"] | None
    min_delta: NotNegative
    patience: Whole


@dataclass(frozen=True)
class Train:
    batch_size: Count
    epochs: Count
    precision: Literal["auto", "float32", "bf16", "fp16"]
    seed: Seed
    loss: Literal["auto", "cross_entropy", "bce", "mse"]
    clip_norm: Positive | None
    accumulate: Count
    batching: Literal["packed", "longest", "max_length"]
    freeze_encoder: bool
    device: Literal["auto", "cpu", "cuda"]
    cuda_graphs: bool
    keep_weights: Literal["best", "all"]
    early_stop: EarlyStop


@dataclass(frozen=True)
class Overfitting:
    min_delta: NotNegative
    patience: Count


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


@dataclass(frozen=True)
class Prune:
    name: Literal["none", "overfit", "median", "halving", "hyperband"]
    extra_epochs: Whole
    first_epoch: Count
    startup_trials: Whole
    factor: Annotated[int, Rule("2 or more", lambda x: x >= 2)]


@dataclass(frozen=True)
class Tracking:
    name: Literal["mlflow", "none"]
    uri: Text | None


@dataclass(frozen=True)
class Paths:
    runs: Text
    exports: Text


@dataclass(frozen=True)
class Config:
    """Everything that one study is told; `conf/config.yaml` has a line of meaning for every key."""

    name: Name
    experiment: Name
    model: Text
    head: Head
    data: Data
    optimizer: Optimizer
    schedule: Schedule
    train: Train
    overfitting: Overfitting
    study: Study
    prune: Prune
    launcher: Launcher
    storage: Text | None
    tracking: Tracking
    paths: Paths
    progress: Literal["auto", "live", "plain", "none"]


KEYS = keys(Config)


def contradictions(config: Config) -> Iterator[str]:
    """Values that are possible one by one but not together."""
    data, split, train = config.data, config.data.split, config.train
    shares = {"train": split.train, "validation": split.validation, "test": split.test}
    total = sum(shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        terms = " + ".join(f"{name} {share:g}" for name, share in shares.items())
        yield f"data.split: got {terms} = {total:g}, takes the sum 1"
    if split.train == 0:
        yield "data.split.train: got 0, takes a number above 0"
    if split.validation == 0 and data.validation is None and data.source in ("table", "workbook"):
        yield "data.split.validation: got 0, takes a number above 0 where data.validation is not given"
    if data.path is None and (data.train is None or data.source == "hub"):
        yield f"data.path: got null, takes {PATHS[data.source]}"
    for name in ("train", "validation", "test"):
        if (place := getattr(data, name)) and data.path and data.source != "hub":
            yield f"data.{name}: got {place} beside data.path={data.path}, takes null: all splits come from data.path"
    for key, sizes in (("train.batch_size", [train.batch_size]), ("study.batch_size", config.study.batch_size or ())):
        odd = [size for size in sizes if size % train.accumulate]
        if odd and not (key == "train.batch_size" and config.study.batch_size):
            yield f"train.accumulate: got {train.accumulate}, takes a divisor of {key}, which is {shown(odd)}"
    prune = config.prune
    if prune.name not in ("none", "overfit") and 1 < prune.first_epoch >= train.epochs:
        most = max(1, train.epochs - 1)
        yield f"prune.first_epoch: got {prune.first_epoch}, takes 1 to {most} (before train.epochs), to stop anything"
    if config.optimizer.lr is None and config.study.lr is None and config.study.name != "batch":
        yield "optimizer.lr: got null, takes a number above 0 (only the batch study takes the lr study's winner)"
    if data.task == "regression" and train.loss not in ("auto", "mse"):
        yield f"train.loss: got {train.loss}, takes auto or mse where data.task is regression"
    if data.task == "classification" and train.loss == "mse":
        yield "train.loss: got mse, takes auto, cross_entropy or bce where data.task is classification"
    if data.task == "regression" and train.early_stop.monitor == "val_accuracy":
        yield "train.early_stop.monitor: got val_accuracy, takes val_loss or null where data.task is regression"
    if data.task == "regression" and split.stratify:
        yield "data.split.stratify: got true, takes false where data.task is regression: a number has no classes"
    if split.stratify and split.group is not None:
        yield f"data.split.stratify: got true beside data.split.group={split.group}, takes false: only one can hold"
