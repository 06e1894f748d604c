"""What is compared with what: one `Case` a line of the benchmark's table, as plain values.

A case's first side is ours. Cases of one `group` are measured together, in turn, and a measurement that two
of them share is taken once. Sizes and rounds are chosen so that the whole run fits into 35 minutes on two cores.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.materials import BASE, TINY

SAMPLE = ("experiment=emotion58_sample", "study=lr", "data.label=감정_소분류")
LEARNING_RATE = 5e-6  # of random weights: at 2e-5 the first steps throw the loss about from seed to seed
LOOP = "training and validation of one epoch; loading, tokenising and saving are not counted on either side"


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        shape: of the large encoder.
        rows, fewer_rows, max_length_rows: training rows of the headline, of other batch sizes, of the slowest case.
        rounds, cheap_rounds: how often each side is measured, each time with another seed.
    """

    shape: Mapping[str, int] = field(default_factory=lambda: {**BASE, "max_position_embeddings": 160})
    rows: int = 1280
    fewer_rows: int = 256
    max_length_rows: int = 192
    validation_rows: int = 128
    batch_size: int = 64
    other_batch_sizes: tuple[int, ...] = (16, 32, 128)
    max_length: int = 128
    sentences: int = 5000
    one_by_one: int = 500
    squares: tuple[int, ...] = (1024, 2048, 4096)
    sample_overrides: tuple[str, ...] = (*SAMPLE, "train.epochs=3")
    rounds: int = 2
    cheap_rounds: int = 3


QUICK = Sizes(
    shape={**TINY, "max_position_embeddings": 160}, rows=96, fewer_rows=64, max_length_rows=48, validation_rows=32,
    batch_size=16, other_batch_sizes=(8,), sentences=40, one_by_one=10, squares=(64,),
    sample_overrides=(
        *SAMPLE, "train.epochs=1", "study.lr=[1e-4,2e-5]", "data.rows.train=64", "data.rows.validation=32",
    ),
    rounds=1, cheap_rounds=1,
)  # fmt: skip


@dataclass(frozen=True)
class Side:
    """One way to do the work: `function` (`module:function` of this package) is given `job` and the round's seed."""

    name: str
    function: str
    job: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        name: on the command line, and of the result's file.
        about: what is measured, in words.
        counted: what the seconds contain.
        sides: ours first.
        rounds: measurements of each side.
        targets: by side, how many times faster ours should be (efficiency: the share of the ceiling).
        check: what must agree between sides: `losses`, `labels`, or nothing.
        group: cases measured together.
    """

    name: str
    about: str
    counted: str
    sides: tuple[Side, ...]
    rounds: int
    targets: Mapping[str, float] = field(default_factory=dict)
    check: str | None = "losses"
    group: str = ""
    needs_nsmc: bool = True


def all_cases(work: Path, sizes: Sizes, precision: str, device: str) -> list[Case]:
    """Every case of the benchmark, in the order in which they run.

    Args:
        work: folder of `materials.prepare`.
        precision: of both sides.
    """
    how = {"work": str(work), "precision": precision, "device": device}
    training = {
        **how, "model": str(work / "encoder"), "epochs": 1, "lr": LEARNING_RATE, "max_length": sizes.max_length,
        "batch_size": sizes.batch_size,
    }  # fmt: skip
    others = [_batch(sizes, {**training, "batch_size": size}) for size in sizes.other_batch_sizes]
    return [
        *_base(sizes, training),
        *others,
        _max_length(sizes, training),
        _sample(sizes, how),
        _prediction(sizes, how),
    ]


def _ours(job: Mapping[str, Any], rows: str) -> Side:
    return Side("sweeper", "sweeper_side:trial", {**job, "rows": f"{job['work']}/{rows}.json"})


def _trainer(name: str, job: Mapping[str, Any], rows: str, padding: str = "longest", sampling: str = "random") -> Side:
    more = {"rows": f"{job['work']}/{rows}.json", "padding": padding, "sampling": sampling}
    return Side(name, "trainer_side:trial", {**job, **more})


def _base(sizes: Sizes, job: Mapping[str, Any]) -> list[Case]:
    shape, size = sizes.shape, sizes.batch_size
    ours = _ours(job, "rows")
    matrices = {
        **{name: job[name] for name in ("precision", "device")}, "hidden": shape["hidden_size"],
        "inner": shape["intermediate_size"], "tokens": 18 * size, "squares": sizes.squares,
        "layers": shape["num_hidden_layers"],
    }  # fmt: skip
    sides = (
        ours,
        _trainer("Trainer, default padding", job, "rows"),
        _trainer("Trainer, length grouping", job, "rows", sampling="group_by_length"),
    )
    about = f"BERT-base shape, NSMC, {sizes.rows} rows, batch {size}, 1 epoch"
    return [
        Case(
            "base", about, LOOP, sides, sizes.rounds,
            {"Trainer, default padding": 2.7, "Trainer, length grouping": 1.1}, group="base",
        ),
        Case(
            "efficiency", f"useful FLOPs a second of training: {about}",
            "training steps alone; the ceiling is the fastest matrix product found",
            (ours, Side("ceiling", "flops:ceiling", matrices)), sizes.rounds, {"ceiling": 0.6}, None, group="base",
        ),
    ]  # fmt: skip


def _batch(sizes: Sizes, job: Mapping[str, Any]) -> Case:
    sides = (_ours(job, "fewer_rows"), _trainer("Trainer, default padding", job, "fewer_rows"))
    about = f"BERT-base shape, NSMC, {sizes.fewer_rows} rows, batch {job['batch_size']}, 1 epoch"
    return Case(f"batch-{job['batch_size']}", about, LOOP, sides, sizes.rounds)


def _max_length(sizes: Sizes, job: Mapping[str, Any]) -> Case:
    padded = f"Trainer, padded to {sizes.max_length}"
    rows = "max_length_rows"
    about = f"BERT-base shape, NSMC, {sizes.max_length_rows} rows, batch {job['batch_size']}, 1 epoch"
    return Case(
        "max-length", about, LOOP, (_ours(job, rows), _trainer(padded, job, rows, padding="max_length")),
        sizes.rounds, {padded: 5.0},
    )  # fmt: skip


def _sample(sizes: Sizes, how: Mapping[str, Any]) -> Case:
    search = "Trainer.hyperparameter_search"
    ours = {**how, "overrides": list(sizes.sample_overrides)}
    return Case(
        "sample",
        "the sample's lr study, bundled encoder, batch 64: " + " ".join(sizes.sample_overrides[2:]),
        "whole processes, tokenising included; ours also writes weights, resume states, Optuna's journal and MLflow, "
        "and shares the cores out among workers",
        (
            Side("sweeper", "sweeper_side:study", ours),
            Side(search, "trainer_side:study", {**how, "sample": f"{how['work']}/sample.json"}),
        ),
        sizes.rounds, {search: 2.5}, needs_nsmc=False,
    )  # fmt: skip


def _prediction(sizes: Sizes, how: Mapping[str, Any]) -> Case:
    job = {**how, "model": f"{how['work']}/frozen", "sentences": f"{how['work']}/sentences.json"}
    one_by_one, batched = f"pipeline, one by one ({sizes.one_by_one})", "pipeline, batch_size=64"
    return Case(
        "prediction",
        f"labels for {sizes.sentences:,} NSMC sentences, bundled encoder",
        f"tokenising and scoring, the model loaded before; one by one is measured on {sizes.one_by_one} sentences and "
        "compared by sentences a second",
        (
            Side("sweeper.predict", "sweeper_side:predict", job),
            Side(one_by_one, "trainer_side:predict", {**job, "batch_size": None, "first": sizes.one_by_one}),
            Side(batched, "trainer_side:predict", {**job, "batch_size": 64, "first": sizes.sentences}),
        ),
        sizes.cheap_rounds, {one_by_one: 10.0}, "labels",
    )  # fmt: skip
