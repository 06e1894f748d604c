"""`python -m bench.savings`: what `prune=overfit` spares on the recorded experiments and the tables of whole grids.

Where a record holds its curves, they are gone through with the tool's own rule, and every score and the winner are
held to those of the whole trainings. A record from before curves were kept tells its overfitting points: from them the
same rule gives the epochs, but there is nothing to hold the scores to, and the table says so. `--write` puts the table
into `experiments/README.md` and its sum into the READMEs; a test holds the documents to the records.
"""

import argparse
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.curve_tables import CurveTable, tables
from bench.publish import put_between
from bench.strategies import GRID, Strategy, replay
from sweeper import cli
from sweeper.config import compose_studies
from sweeper.study.record import rank
from sweeper.training.overfitting import OverfittingTracker

REPO = Path(__file__).parent.parent
EXPERIMENTS = REPO / "experiments"
MARK = "bench.savings"


@dataclass(frozen=True)
class Saving:
    """What one experiment would have spared.

    Attributes:
        trainings: how many.
        whole, cut: epochs trained, without and with `prune=overfit`.
        cut_short: trainings that had ended before their last epoch anyway (early stopping, a loss that is no number).
        checked: scores that were found equal along the curve; None where the record has no curves.
    """

    name: str
    trainings: int
    whole: int
    cut: int
    cut_short: int
    checked: int | None

    @property
    def spared(self) -> float:
        """Share of the epochs."""
        return 1 - self.cut / self.whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(prog="python -m bench.savings", description="What prune=overfit spares.")
    parser.add_argument("--write", action="store_true", help="into experiments/README.md and the READMEs")
    given = parser.parse_args(arguments)
    found = savings()
    print(as_table(found))
    if given.write:
        write_documents(found)
    return 0


def write_documents(found: Sequence[Saving]) -> None:
    """Put table and sum where documents have them."""
    put_between(EXPERIMENTS / "README.md", MARK, as_table(found))
    put_between(REPO / "README.md", MARK, in_short(found))
    put_between(REPO / "README.ko.md", MARK, in_short_korean(found))


def savings() -> list[Saving]:
    """Of every recorded experiment, then of every table of a whole grid."""
    files = sorted(EXPERIMENTS.glob("*/result.json"))
    recorded = [of_record(json.loads(path.read_text(encoding="utf-8"))) for path in files]
    return [*recorded, *(of_table(table) for table in tables())]


def of_record(result: Mapping[str, Any]) -> Saving:
    """Of a `result.json`.

    Raises:
        ValueError: a score is another one where the training is cut.
    """
    config = compose_studies(shlex.split(result["commands"][0])[3:])[0]
    rule = {"min_delta": config.overfitting.min_delta, "patience": config.overfitting.patience}
    trials = result["trials"]
    have_curves = all("curve" in trial for trial in trials)
    if have_curves:
        cut = [_cut(result["experiment"], trial, rule) for trial in trials]
    else:
        cut = [_told(trial["epochs"], trial["overfitting"], config.overfitting.patience) for trial in trials]
    return Saving(
        result["experiment"],
        len(trials),
        sum(trial["epochs"] for trial in trials),
        sum(cut),
        sum(trial["epochs"] < config.train.epochs for trial in trials),
        len(trials) if have_curves else None,
    )


def _told(epochs: int, point: Mapping[str, Any], patience: int) -> int:
    """Epochs that are trained before the point is certain, from the point alone."""
    return min(epochs, point["epoch"] + patience) if point["reached"] else epochs


def _cut(name: str, trial: Mapping[str, Any], rule: Mapping[str, Any]) -> int:
    """Epochs that are trained, from the curve; its score must be that of the whole training."""
    tracker, trained = OverfittingTracker(**rule), 0
    losses = [math.nan if loss is None else loss for loss in trial["curve"]["val_loss"]]
    for trained, loss in enumerate(losses, start=1):
        tracker.update(loss)
        if tracker.is_final(trained):
            break
    epoch = tracker.point.epoch if tracker.keep else None
    score = None if epoch is None else trial["curve"]["val_accuracy"][epoch - 1]
    if (epoch, score) != (trial["overfitting"]["epoch"], trial["val_accuracy"]):
        raise ValueError(f"{name}, {trial['key']}: {score} at epoch {epoch} where the whole training has another score")
    return trained


def of_table(table: CurveTable) -> Saving:
    """Of a whole grid, by replaying it.

    Raises:
        ValueError: a score, or the winner, is another one where trainings are cut.
    """
    full, cut = (replay(table, Strategy(GRID, prune), 0) for prune in ("none", "overfit"))
    whole, early = ({one.key: one.score for one in records if one.is_candidate} for records in (full, cut))
    if not whole.items() <= early.items() or rank(full)[0].key != rank(cut)[0].key:
        raise ValueError(f"{table.name}: pruning at the overfitting point changed a score or the winner")
    lengths = [len(curve) for curve in table.curves.values()]
    short = sum(length < table.epochs for length in lengths)
    name = f"{table.about['data']}, whole grid"
    return Saving(name, len(full), table.spent, sum(len(one.curve) for one in cut), short, len(whole))


def total(found: Sequence[Saving]) -> Saving:
    """All of them as one."""
    checked = [one.checked for one in found if one.checked is not None]
    return Saving(
        "together",
        sum(one.trainings for one in found),
        sum(one.whole for one in found),
        sum(one.cut for one in found),
        sum(one.cut_short for one in found),
        sum(checked) if len(checked) == len(found) else None,
    )


def as_table(found: Sequence[Saving]) -> str:
    """Markdown: a line an experiment and one for all."""
    lines = [
        "| | trainings | epochs | with `prune=overfit` | spared | scores and winner |",
        "|---|--:|--:|--:|--:|---|",
        *(_row(one) for one in [*found, total(found)]),
    ]
    if short := [one for one in found if one.cut_short]:
        named = ", ".join(f"{one.name} ({one.cut_short})" for one in short)
        lines += ["", f"Trainings whose loss stopped being a number before their last epoch: {named}."]
    return "\n".join(lines)


def _row(one: Saving) -> str:
    checked = "curves not recorded yet" if one.checked is None else f"equal, {one.checked} compared"
    return f"| {one.name} | {one.trainings} | {one.whole:,} | {one.cut:,} | {one.spared:.0%} | {checked} |"


def in_short(found: Sequence[Saving]) -> str:
    """The sentence of README."""
    least, most = _range(found)
    return (
        f"On the recorded trainings it spares {total(found).spared:.0%} of the epochs, {least:.0%} to {most:.0%} of an "
        "experiment's ([table](experiments/README.md#what-pruneoverfit-spares), `python -m bench.savings`)."
    )


def in_short_korean(found: Sequence[Saving]) -> str:
    """The sentence of README.ko.md."""
    least, most = _range(found)
    return (
        f"기록된 학습에서는 에포크의 {total(found).spared:.0%}를 아낍니다. "
        f"실험마다 {least:.0%}에서 {most:.0%}까지입니다"
        "([표](experiments/README.md#what-pruneoverfit-spares), `python -m bench.savings`)."
    )


def _range(found: Sequence[Saving]) -> tuple[float, float]:
    shares = [one.spared for one in found]
    return min(shares), max(shares)


if __name__ == "__main__":
    cli.run(main)
