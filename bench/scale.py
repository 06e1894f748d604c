"""`python -m bench.scale`: what a sweep costs beside training, at 1,000 and 10,000 trials with 1, 8 and 64 workers.

Training is played back (`bench.recorded`): workers are processes of their own that write curves, weights, resume
states and records as real ones do, and the coordinator (`bench.coordinator`) has its study, its MLflow database and its
terminal. Then `status`, `report` and `best` are timed on what the sweep left. `--write` keeps the figures.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.machine import cores, describe, load
from bench.materials import TINY, make_encoder
from bench.publish import RESULTS, write_json
from bench.scale_page import draw_costs
from bench.summary import write_page
from bench.sweeps import run_module
from sweeper import cli
from sweeper.errors import UserError

TRIALS, WORKERS = (1_000, 10_000), (1, 8, 64)
ALLOWED = {"epoch_seconds": 0.05, "trial_seconds": 0.3, "growth": 1.5}
EPOCHS, BINS, TENTH = 5, 20, 10
EXPERIMENT, MIB = "emotion58_sample", 2**20
COMMANDS = {"status": (), "report": ("--no-baseline",), "best": ()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 1 if a target is missed.

    Raises:
        UserError: `--only` is not TRIALSxWORKERS.
    """
    given = parse(arguments)
    missed = False
    for trials, workers in given.only or [(trials, workers) for trials in TRIALS for workers in WORKERS]:
        result = measure(trials, workers)
        print(json.dumps({name: value for name, value in result.items() if name not in ("course", "machine")}))
        missed |= any(result[name] > allowed for name, allowed in ALLOWED.items())
        if given.write:
            write_json(result, RESULTS / f"scale-{trials}x{workers}.json")
            draw_costs(RESULTS)
            write_page()
    return int(missed)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="Cost beside training, by simulation.")
    parser.add_argument("--only", nargs="+", type=_size, metavar="TRIALSxWORKERS", help="1000x8 10000x64; default: all")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    trials, _, workers = text.partition("x")
    if not (trials.isdigit() and workers.isdigit() and int(trials) >= 2 * TENTH and int(workers) >= 1):
        raise UserError(f"--only {text}: TRIALSxWORKERS is expected, of at least {2 * TENTH} trials: 1000x8")
    return int(trials), int(workers)


def measure(trials: int, workers: int) -> dict[str, Any]:
    """One sweep, and the commands on what it left."""
    machine = describe(cores())
    with TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        make_encoder(work / "tiny", {**TINY, "max_position_embeddings": 160})
        file, runs = work / "seen.json", work / "runs"
        started = time.perf_counter()
        run_module("sweep", ["bench.coordinator", str(file), *sweep_arguments(trials, workers, work / "tiny", runs)])
        seconds = time.perf_counter() - started
        seen = json.loads(file.read_text(encoding="utf-8"))
        commands = {name: timed(name, more, runs) for name, more in COMMANDS.items()}
        sizes = {name: _mib(path) for name, path in databases(runs).items()}
    return {
        "case": "scale", "trials": trials, "workers": workers, **figures(seen, trials), "seconds": round(seconds, 1),
        "commands": commands, "mib": sizes, "allowed": ALLOWED, "machine": {**machine, "load_at_end": load()},
    }  # fmt: skip


def sweep_arguments(trials: int, workers: int, model: Path, runs: Path) -> list[str]:
    """A study of so many learning rates."""
    rates = ",".join(f"{rate:.6g}" for rate in np.geomspace(1e-6, 5e-3, trials))
    return [
        f"experiment={EXPERIMENT}", "study=lr", f"study.lr=[{rates}]", f"model={model}", f"train.epochs={EPOCHS}",
        f"launcher.workers={workers}", "launcher.threads=1", f"paths.runs={runs}",
    ]  # fmt: skip


def figures(seen: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """What the coordinator's notes come to.

    Args:
        seen: as `bench.coordinator` writes it.
        trials: of the sweep.

    Returns:
        `epoch_seconds`, `trial_seconds`: of the main thread and of tracking's together, by the clock, for one epoch,
        and for one trial beside its epochs. `growth`: processor seconds of a trial in the last tenth, as a multiple of
        those in the second. `whole_seconds`: by the clock from the first trial to the last, for each trial.
        `peak_mib`: the coordinator's memory. `course`: processor milliseconds a trial, by trials done.
    """
    events, delivered = seen["events"], seen["delivered"]
    ends = np.array(seen["ends"])
    if len(ends) < trials - 1:  # what follows the last end is no look into the queue any more
        raise RuntimeError(f"{len(ends)} of {trials} trials have ended")
    epochs = [took for kind, took, _ in events if kind == "epoch"]
    others = [took for kind, took, _ in events if kind != "epoch"]
    tracked = {kind: sum(took for took, _ in some) for kind, some in delivered.items()}
    tenth = trials // TENTH
    return {
        "epoch_seconds": round(mean(epochs) + tracked.get("epoch", 0.0) / len(epochs), 5),
        "trial_seconds": round((sum(others) + sum(tracked.values()) - tracked.get("epoch", 0.0)) / trials, 5),
        "growth": round(_per_trial(ends[-tenth - 1 :]) / _per_trial(ends[tenth - 1 : 2 * tenth]), 3),
        "whole_seconds": round((seen["ended"] - seen["began"]) / trials, 4),
        "epochs": len(epochs),
        "peak_mib": round(seen["peak_mib"]),
        "course": course(ends),
    }


def _per_trial(ends: np.ndarray[Any, Any]) -> float:
    """Processor seconds from the first of these ends to the last, for each trial."""
    return float(ends[-1, 1] - ends[0, 1]) / (len(ends) - 1)


def course(ends: np.ndarray[Any, Any]) -> list[tuple[int, float]]:
    """Trials done and processor milliseconds a trial, of each twentieth of the sweep."""
    at = np.unique(np.linspace(0, len(ends) - 1, BINS + 1).astype(int))
    return [(int(last) + 1, round(1000 * _per_trial(ends[first : last + 1]), 2)) for first, last in pairwise(at)]


def timed(name: str, more: Sequence[str], runs: Path) -> float:
    """Seconds of a command on these runs, from its start to its exit."""
    started = time.perf_counter()
    run_module(name, [f"sweeper.{name}", "--runs", str(runs), "--experiment", EXPERIMENT, *more])
    return round(time.perf_counter() - started, 2)


def databases(runs: Path) -> dict[str, Path]:
    """What a sweep leaves: its databases by name, and the whole folder."""
    found = {path.stem: path for path in sorted(runs.rglob("*.db"))}
    return {**found, "runs folder": runs}


def _mib(path: Path) -> float:
    """MiB of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return round(sum(one.stat().st_size for one in files) / MIB, 1)


if __name__ == "__main__":
    cli.run(main)
