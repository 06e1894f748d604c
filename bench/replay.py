"""`python -m bench.replay`: what a search is worth beside the grid, from the tables of `bench.curve_tables`.

Every strategy looks for the best point of every table with 100 seeds. Its cost is epochs trained; its regret is the
score of the table's best point minus that of its own best so far. Both are scores at the overfitting point, and a trial
counts from its end on, if its score is final; before the first such trial the regret is the whole score. Strategies
are held against a grid in shuffled order, since the order of a grid says nothing of its worth.

What is counted is the sampler's luck. That of the training seed and of the validation sentences is not: a regret far
below the interval of the best point's accuracy, which is told beside it, is no difference that a user would meet.
"""

import argparse
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.curve_tables import TABLES, CurveTable, tables
from bench.machine import cores
from bench.publish import RESULTS, write_json
from bench.replay_page import CHECKPOINTS, SHARES, draw_regret, write_documents, write_steps
from bench.strategies import SHUFFLED, STRATEGIES, Strategy, replay
from bench.summary import write_page
from sweeper import cli
from sweeper.errors import UserError
from sweeper.reporting.comparison import wilson
from sweeper.study.record import rank

Regrets = NDArray[np.float64]  # (seeds, epochs spent)
CHANCE = 1.96  # standard errors to each side of a mean: 95%


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay every table and write figures, pictures and documents.

    Raises:
        UserError: there is no table.
    """
    given = parse(arguments)
    found = list(tables(given.tables))
    if not found:
        raise UserError(f"{given.tables}: holds no table. `python -m bench.curve_tables` makes them.")
    for table in found:
        result, curves = measure(table, given.seeds, given.processes)
        write_json(result, given.results / f"replay-{table.name}.json")
        write_steps(curves, given.results / f"replay-{table.name}.csv")
        draw_regret(result, curves, given.results / f"replay-{table.name}.svg")
        print(given.results / f"replay-{table.name}.json", flush=True)
    if given.results == RESULTS:
        write_page()
        write_documents()
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.replay", description="Search against the grid, replayed.")
    add = parser.add_argument
    add("--tables", type=Path, default=TABLES, metavar="FOLDER", help="of the curves (default: bench/tables)")
    add("--results", type=Path, default=RESULTS, metavar="FOLDER", help="for figures (default: bench/results)")
    add("--seeds", type=int, default=100, metavar="N", help="of each strategy (default: 100)")
    add("--processes", type=int, default=cores(), metavar="N", help="at a time; no figure depends on it")
    given = parser.parse_args(arguments)
    if min(given.seeds, given.processes) < 1:
        raise UserError("--seeds and --processes take a whole number above 0")
    return given


def measure(table: CurveTable, seeds: int, processes: int) -> tuple[dict[str, Any], dict[str, dict[str, list[float]]]]:
    """Replay one table.

    Returns:
        The result as JSON-able values, and for its picture the regret of each strategy at equally spaced budgets.
    """
    best = rank(replay(table, STRATEGIES[0], 0))[0]
    if best.at_overfit is None or not best.is_candidate or best.at_overfit.val_accuracy is None:
        raise UserError(f"{table.name}: no training of this table has a final accuracy")
    played = _play(table, seeds, processes)
    regrets = {name: np.array([regret(run, best.score, table.spent) for run in runs]) for name, runs in played.items()}
    interval = wilson(round(best.score * table.about["rows"]["validation"]), table.about["rows"]["validation"])
    result = {
        "table": table.name,
        "about": dict(table.about),
        "epochs": table.spent,
        "best": {**best.varied, "score": best.score, "epoch": best.overfit_epoch, "reached": best.overfit_reached},
        "interval": [interval.low, interval.high],
        "strategies": [
            {
                "name": name,
                "seeds": len(runs),
                "epochs": _spread(np.array([sum(epochs for epochs, _ in run) for run in runs])),
                "trials": _spread(np.array([len(run) for run in runs])),
                "at": _at(regrets[name], regrets[SHUFFLED], table.spent),
            }
            for name, runs in played.items()
        ],
    }
    budgets = np.linspace(0, table.spent, SHARES + 1).astype(int)
    return result, {name: _bands(found, budgets) for name, found in regrets.items()}


Run = list[tuple[int, float]]  # a trial each: epochs it trained, its score


def _play(table: CurveTable, seeds: int, processes: int) -> dict[str, list[Run]]:
    """Every strategy with every seed; one whose seed changes nothing once."""
    jobs = [(one, seed) for one in STRATEGIES for seed in range(seeds if one.is_drawn else 1)]
    if processes == 1:
        runs = [play(table, job) for job in jobs]
    else:
        with ProcessPoolExecutor(processes) as pool:
            runs = list(pool.map(partial(play, table), jobs, chunksize=8))
    played: dict[str, list[Run]] = {}
    for (strategy, _), run in zip(jobs, runs, strict=True):
        played.setdefault(strategy.name, []).append(run)
    return played


def play(table: CurveTable, job: tuple[Strategy, int]) -> Run:
    """One strategy with one seed, as what its regret needs."""
    return [(len(one.curve), one.score) for one in replay(table, *job)]


def regret(run: Run, best: float, spent: int) -> Regrets:
    """The regret after 0, 1, ... epochs, (spent + 1,).

    Args:
        best: the score of the best point.
        spent: epochs of the whole grid.
    """
    found, at, ahead = np.full(spent + 1, best), 0, 0.0
    for epochs, score in run:
        at += epochs
        ahead = max(ahead, score)
        found[at:] = best - ahead
    return found


def _at(own: Regrets, shuffled: Regrets, spent: int) -> dict[str, dict[str, Any]]:
    """Figures at the checkpoints, by percentage of the grid's epochs."""
    found = {}
    for share in CHECKPOINTS:
        at = spent * share // 100
        low, high = difference(own[:, at], shuffled[:, at])
        against = "better" if high < 0 else "worse" if low > 0 else "same"
        found[f"{share}"] = {
            "epochs": at, **_spread(own[:, at]), "less_than_shuffled": [-high, -low], "against_shuffled": against
        }  # fmt: skip
    return found


def difference(own: Regrets, other: Regrets) -> tuple[float, float]:
    """The 95% interval of the difference of two means; a strategy that knows no seed has one run, without spread."""
    means = float(own.mean() - other.mean())
    error = math.sqrt(sum(float(one.var(ddof=1)) / len(one) for one in (own, other) if len(one) > 1))
    return means - CHANCE * error, means + CHANCE * error


def _spread(values: NDArray[Any]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"median": float(middle), "low": float(low), "high": float(high), "mean": float(values.mean())}


def _bands(found: Regrets, budgets: NDArray[np.int64]) -> dict[str, list[float]]:
    low, middle, high = np.quantile(found[:, budgets], [0.1, 0.5, 0.9], axis=0)
    bands = {"epochs": budgets, "median": middle, "low": low, "high": high, "mean": found[:, budgets].mean(axis=0)}
    return {name: [float(value) for value in values] for name, values in bands.items()}


if __name__ == "__main__":
    cli.run(main)
