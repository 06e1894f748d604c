"""`python -m bench.curve_tables`: the full grid on three data sets, kept epoch by epoch as `bench/tables/*.parquet`.

Every point of `study=grid` is trained to its last epoch, so that whatever a search would have seen, spent and chosen
can be read off afterwards (`bench.replay`, `bench.savings`). The studies lie under `--runs`, so a second start trains
what is missing and nothing else. A table holds what its command trained and what it was trained on; no sentence of the
data, and no name of a machine, is in it.
"""

import argparse
import json
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.bundled_encoder.compare import data_sets
from sweeper import assets, cli
from sweeper.api import sweep
from sweeper.config import compose, plain
from sweeper.data.corpus import Corpus, load_corpus
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError
from sweeper.reporting.machine import describe
from sweeper.study.prepare import trials_folder
from sweeper.study.record import TrialRecord
from sweeper.study.space import grid, model_fingerprint
from sweeper.study.table import batch_of, lr_of
from sweeper.training.metrics import EpochMetrics

TABLES = Path(__file__).parent / "tables"
RUNS = Path("runs/curve_tables")
DATA = "../shared/data"  # as documents name it; a machine's own path stays out of the tables
SETS = {"sample": "sample, 6 emotions", "nsmc": "NSMC, 2,000 rows", "kor_3i4k": "kor_3i4k, 5,000 rows"}
KEPT_APART = ("tracking=none", "progress=plain")  # changes no figure
ABOUT = b"sweeper"  # the key of what is known about a table, in the file's own metadata
FIGURES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_macro_f1", "seconds")
COLUMNS = pa.schema(
    [("lr", pa.float64()), ("batch_size", pa.int64()), ("epoch", pa.int64())]
    + [(name, pa.float64()) for name in FIGURES]
)

Place = tuple[float, int]  # learning rate and batch size


@dataclass(frozen=True)
class CurveTable:
    """Every epoch of every point of a grid.

    Attributes:
        about: how it was made: `name`, `command`, `epochs`, `overfitting`, `rows`, `encoder`, ...
        curves: the epochs of each point, in the order in which the study trains them. A curve that is shorter than
            `epochs` ends with a loss that is no number.
    """

    about: Mapping[str, Any]
    curves: Mapping[Place, tuple[EpochMetrics, ...]]

    @property
    def name(self) -> str:
        """`sample`: names its file."""
        return str(self.about["name"])

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return int(self.about["epochs"])

    @cached_property
    def spent(self) -> int:
        """Epochs that the whole grid has trained."""
        return sum(len(curve) for curve in self.curves.values())

    @cached_property
    def rates(self) -> list[float]:
        """The grid's learning rates, in the study's order."""
        return list(dict.fromkeys(lr for lr, _ in self.curves))

    @cached_property
    def batch_sizes(self) -> list[int]:
        """The grid's batch sizes, in the study's order."""
        return list(dict.fromkeys(size for _, size in self.curves))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the tables, one after the other.

    Raises:
        UserError: the data is not there, or a trial failed.
    """
    given = parse(arguments)
    for name in given.only or SETS:
        table = train(name, given.data, given.runs, given.overrides)
        path = write(table, given.tables)
        print(f"{path}: {len(table.curves)} trainings, {table.spent} epochs, {table.about['seconds']:,.0f} s")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.curve_tables", description="Keep whole grids as tables.")
    add = parser.add_argument
    add("--data", default=DATA, metavar="FOLDER", help=f"of the corpora (default: {DATA})")
    add("--only", nargs="+", choices=SETS, metavar="NAME", help=f"some of {', '.join(SETS)}")
    add("--runs", type=Path, default=RUNS, metavar="FOLDER", help=f"of the studies (default: {RUNS})")
    add("--tables", type=Path, default=TABLES, metavar="FOLDER", help="for the files (default: bench/tables)")
    add("--with", dest="overrides", nargs="+", default=[], metavar="KEY=VALUE", help="more settings: train.epochs=2")
    return parser.parse_args(arguments)


def settings(name: str, data: str = DATA) -> list[str]:
    """The grid study of a data set on the bundled encoder, as settings of the command line."""
    return [*data_sets(data)[SETS[name]], "model=ko-mini", "study=grid", f"name={name}"]


def train(name: str, data: str, runs: Path, more: Sequence[str] = ()) -> CurveTable:
    """Train what is missing of one grid and read all of it.

    Args:
        data: folder of the corpora.
        more: further settings.

    Raises:
        UserError: the study cannot be run, or not all of it is trained.
    """
    overrides = [*settings(name, data), *more]
    found = sweep([*overrides, *KEPT_APART, f"paths.runs={runs}"])
    folder = trials_folder(runs, name)
    records = [TrialRecord.read(folder / key) for key in found.trials["key"]]
    command = shlex.join(["python", "-m", "sweeper", *settings(name), *more])
    about = {"name": name, "data": SETS[name], "command": command, **_about(records[0], runs)}
    return collect(records, about | {"lr_study_batch_size": compose(overrides).train.batch_size})


def _about(record: TrialRecord, runs: Path) -> dict[str, Any]:
    """What all trials of a grid share."""
    config, tags = record.config, record.tags
    corpus: Corpus = load_corpus(DataSettings.of(config["data"]), config["model"], runs / "cache")
    return {
        "epochs": config["train"]["epochs"],
        "overfitting": dict(config["overfitting"]),
        "encoder": {"name": config["model"], "fingerprint": model_fingerprint(assets.encoder(config["model"]))},
        "rows": dict(corpus.card["rows"]),
        "classes": corpus.card["classes"],
        "data_fingerprint": record.data,
        "seed": config["train"]["seed"],
        "threads": record.threads,
        "precision": record.precision,
        "versions": {key.removeprefix("version."): tags[key] for key in sorted(tags) if key.startswith("version.")},
        "commit": tags.get("git.commit"),
        "machine": describe(gpu=record.device.startswith("cuda")),
    }


def collect(records: Iterable[TrialRecord], about: Mapping[str, Any]) -> CurveTable:
    """The table of a grid's records, in the study's order.

    Raises:
        UserError: a point was not trained to its end, or is missing.
    """
    curves = {(lr_of(one), batch_of(one)): _whole(one, about["epochs"]) for one in records}
    study = plain(compose(shlex.split(about["command"])[3:]))["study"]
    order = [(float(str(one["lr"])), int(one["batch_size"])) for one in grid(study["lr"], study["batch_size"])]
    if missing := [place for place in order if place not in curves]:
        lr, size = missing[0]
        raise UserError(f"{about['name']}: {len(missing)} points have no record, the first lr={lr:g} bs={size}")
    curves = {place: curves[place] for place in order}
    seconds = sum(epoch.seconds for curve in curves.values() for epoch in curve)
    return CurveTable({**about, "trainings": len(curves), "seconds": seconds}, curves)


def _whole(record: TrialRecord, epochs: int) -> tuple[EpochMetrics, ...]:
    if record.state == "diverged" or (record.state == "complete" and len(record.curve) == epochs):
        return record.curve
    raise UserError(
        f"{record.name}: {record.state} after {len(record.curve)} of {epochs} epochs, and a table has whole curves. "
        f"Train it with prune=none and without early stopping ({record.reason or 'no reason is known'})."
    )


def write(table: CurveTable, folder: Path = TABLES) -> Path:
    """Write `<folder>/<name>.parquet` and give its path."""
    rows = [
        {"lr": lr, "batch_size": size, **{name: value for name, value in asdict(epoch).items() if name != "lr"}}
        for (lr, size), curve in table.curves.items()
        for epoch in curve
    ]
    about = json.dumps(table.about, ensure_ascii=False)
    written = pa.Table.from_pylist(rows, schema=COLUMNS).replace_schema_metadata({ABOUT: about})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{table.name}.parquet"
    pq.write_table(written, path)
    return path


def read(path: Path) -> CurveTable:
    """Read what `write` wrote.

    Raises:
        UserError: there is no such table, or it is another kind of file.
    """
    try:
        found = pq.read_table(path)
        about = json.loads((found.schema.metadata or {})[ABOUT])
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise UserError(f"{path}: holds no curves ({error}). `python -m bench.curve_tables` makes them.") from None
    curves: dict[Place, list[EpochMetrics]] = {}
    for row in found.to_pylist():
        lr, size = row.pop("lr"), row.pop("batch_size")
        curves.setdefault((lr, size), []).append(EpochMetrics(lr=math.nan, sentences_per_second=math.nan, **row))
    return CurveTable(about, {place: tuple(curve) for place, curve in curves.items()})


def tables(folder: Path = TABLES) -> Iterator[CurveTable]:
    """Every table there is, in the order of the data sets, others after them."""
    found = {path.stem: path for path in sorted(folder.glob("*.parquet"))}
    yield from (read(found[name]) for name in [*(one for one in SETS if one in found), *sorted(set(found) - set(SETS))])


if __name__ == "__main__":
    cli.run(main)
