"""`python -m bench.startup`: from the command to the first step on the sample, and from one trial to the next.

The cache of cleaned and tokenised rows is warm, as on every start but the very first. Two starts are told
apart: into a runs folder that holds nothing else (MLflow makes its database), and into one that has been used.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.compare import spread
from bench.machine import cores, describe
from bench.publish import RESULTS, write_json
from bench.sweeps import watch
from sweeper import cli

SAMPLE = ("experiment=emotion58_sample", "study=lr", "train.epochs=1")
LEARNING_RATES = "study.lr=[1e-4,5e-5,2e-5,1e-5,5e-6,1e-6]"
FIRST_STEP, GAP = 10.0, 0.5  # seconds allowed: beyond them people wonder whether it hangs, and cores idle


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 1 if start-up or gap take longer than allowed."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description="Seconds until training trains.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    machine = describe(cores())
    result = {**measure(given.rounds), "machine": machine}
    write_json(result, given.results / "startup.json")
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["met"] else 1


def measure(rounds: int, settings: Sequence[str] = (*SAMPLE, LEARNING_RATES)) -> dict[str, Any]:
    """Start-up of new and used runs folders, and all gaps between trials, each start in a fresh process."""
    new, used, gaps = [], [], []
    with TemporaryDirectory(prefix="bench-") as folder:
        runs = Path(folder) / "runs"
        _start(runs, settings, seed=0)
        for number in range(rounds):
            fresh = Path(folder) / f"runs-{number}"
            fresh.mkdir()
            (fresh / "cache").symlink_to(runs / "cache")
            new.append(_start(fresh, settings, seed=1)[0])
            first_step, between = _start(runs, settings, seed=2 + number)
            used.append(first_step)
            gaps += between
    found = {"first_step_new_runs": spread(new), "first_step": spread(used), "gap": spread(gaps)}
    met = found["first_step"]["median"] <= FIRST_STEP and found["gap"]["median"] <= GAP
    allowed = {"first_step": FIRST_STEP, "gap": GAP}
    return {"case": "startup", "unit": "s", **found, "gaps": gaps, "allowed": allowed, "met": met}


def _start(runs: Path, settings: Sequence[str], seed: int) -> tuple[float, list[float]]:
    seen = watch([*settings, f"paths.runs={runs}", f"train.seed={seed}"])
    return seen.first_step, seen.gaps


if __name__ == "__main__":
    cli.run(main)
