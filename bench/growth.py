"""`python -m bench.growth`: cost as work grows, one picture and one CSV file each.

Rows through the data room (cold and warm), classes, trials, and the length of sentences. Axes are
logarithmic: cost in proportion is a straight line at the slope of the dashed one.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import measure
from bench.machine import cores, describe
from bench.materials import NSMC, TINY, TRAIN_FILE, check_nsmc, make_encoder, nsmc_rows
from bench.publish import RESULTS, Series, draw, exponent, write_csv, write_json
from bench.sweeps import watch
from sweeper import cli
from sweeper.errors import UserError

MIDDLE = {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}


@dataclass(frozen=True)
class Sizes:
    """The points of each curve."""

    rows: tuple[int, ...] = (1000, 3000, 10_000, 30_000, 100_000)
    classes: tuple[int, ...] = (2, 10, 100, 1000)
    trials: tuple[int, ...] = (1, 3, 10, 30, 100)
    lengths: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    training_rows: int = 1024
    tokens: int = 32_768


QUICK = Sizes((50, 100), (2, 20), (1, 2), (16, 32), 64, 512)


@dataclass(frozen=True)
class Curve:
    """What is drawn: title, names of the axes, and how it is measured."""

    title: str
    x: str
    y: str
    measured: Callable[["Bench"], Series]


@dataclass(frozen=True)
class Bench:
    """What a curve's measurements need."""

    work: Path
    nsmc: Path
    sizes: Sizes
    rounds: int

    def seconds(self, function: str, job: Callable[[int], dict[str, Any]]) -> float:
        """Median of the rounds, each in a fresh process; `job` is told the round."""
        return median(float(measure(function, job(number), cores())["seconds"]) for number in range(self.rounds))


def rows(bench: Bench) -> Series:
    """The data room, with an empty cache and with one that holds the corpus."""
    cold, warm = [], []
    for count in bench.sizes.rows:
        file = bench.work / f"rows-{count}.tsv"
        lines = [f"{number}\t{text}\t{label}" for number, (text, label) in enumerate(_nsmc(bench, count))]
        file.write_text("\n".join(["id\tdocument\tlabel", *lines]) + "\n", encoding="utf-8")

        def job(number: int, file: Path = file) -> dict[str, Any]:
            return {"file": str(file), "cache": str(bench.work / f"cache-{file.stem}-{number}")}

        cold.append((count, bench.seconds("scaling:data_room", job)))
        warm.append((count, bench.seconds("scaling:data_room", job)))
    return {"cold": cold, "warm": warm}


def _nsmc(bench: Bench, count: int) -> Iterable[tuple[str, int]]:
    return nsmc_rows(check_nsmc(bench.nsmc) / TRAIN_FILE, count)


def classes(bench: Bench) -> Series:
    """One epoch of the bundled encoder under so many labels."""
    job = {"model": "ko-mini", "rows": bench.sizes.training_rows, "length": None, "batch_size": 64}
    points = [
        (count, bench.seconds("scaling:training", lambda _, count=count: {**job, "classes": count}))  # type: ignore[misc]
        for count in bench.sizes.classes
    ]
    return {"one epoch": points}


def trials(bench: Bench) -> Series:
    """A whole sweep of a tiny encoder, and what of it is not training."""
    everything, overhead = [], []
    model = bench.work / "tiny"
    make_encoder(model, {**TINY, "max_position_embeddings": 160})
    for count in bench.sizes.trials:
        rates = ",".join(f"{(number + 1) * 1e-6:.6f}" for number in range(count))
        seen = watch(
            [
                *("experiment=emotion58_sample", "study=lr", f"model={model}", f"study.lr=[{rates}]"),
                *("train.epochs=1", "train.batch_size=16", "data.rows.train=128", "data.rows.validation=64"),
                *("launcher.workers=1", "launcher.threads=1", f"paths.runs={bench.work}/runs-{count}"),
            ]
        )
        everything.append((count, seen.seconds))
        overhead.append((count, seen.seconds - seen.training_seconds))
    return {"whole sweep": everything, "without training": overhead}


def lengths(bench: Bench) -> Series:
    """One epoch over equally many tokens in sentences of so many each."""
    model = make_encoder(bench.work / "middle", {**MIDDLE, "max_position_embeddings": 512})
    points = []
    for length in bench.sizes.lengths:
        count = bench.sizes.tokens // length
        job = {"model": str(model), "classes": 2, "rows": count, "length": length, "batch_size": min(16, count)}
        seconds = bench.seconds("scaling:training", lambda _, job=job: job)  # type: ignore[misc]
        points.append((length, seconds / count * 1000))
    return {"a sentence": points}


CURVES = {
    "rows": Curve("The data room: read, clean, split, tokenise", "rows", "seconds", rows),
    "classes": Curve("One epoch of the bundled encoder", "classes", "seconds", classes),
    "trials": Curve("A sweep of a tiny encoder, one worker", "trials", "seconds", trials),
    "length": Curve("Training a 4 × 256 encoder", "tokens a sentence", "milliseconds a sentence", lengths),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Raises:
        UserError: an unknown curve, or NSMC is not there.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description="Cost as work grows.")
    parser.add_argument("--curve", action="append", metavar="NAME", help=f"one of {', '.join(CURVES)}; repeatable")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each point; sweeps are run once")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--nsmc", type=Path, default=NSMC, metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    for name in given.curve or ():
        if name not in CURVES:
            raise UserError(f"--curve {name}: there is no such curve; the curves are {', '.join(CURVES)}")
    machine = describe(cores())
    with TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), given.nsmc, QUICK if given.quick else Sizes(), given.rounds)
        for name in given.curve or CURVES:
            publish(name, CURVES[name], CURVES[name].measured(bench), given.results, machine)
    return 0


def publish(name: str, curve: Curve, series: Series, results: Path, machine: Mapping[str, Any]) -> None:
    """Picture, CSV file and JSON file, and a line on the terminal."""
    draw(series, results / f"growth-{name}.svg", curve.title, curve.x, curve.y)
    write_csv(series, results / f"growth-{name}.csv", curve.x, curve.y)
    growth = {line: round(exponent(points), 3) for line, points in series.items()}
    write_json(
        {"case": f"growth-{name}", "about": curve.title, "exponent": growth, "machine": dict(machine)},
        results / f"growth-{name}.json",
    )
    for line, points in series.items():
        print(f"{name}, {line}: " + ", ".join(f"{at:g} → {cost:.3g}" for at, cost in points), file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
