"""`python -m bench.memory`: what 100 small trials one after another leave behind in one worker.

Measured is the highest resident memory so far, which every trial records; it can only grow, so its growth
after the third trial is the most that a worker can have kept.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.machine import cores, describe
from bench.publish import RESULTS, write_json
from bench.sweeps import watch
from sweeper import cli
from sweeper.errors import UserError

SETTINGS = (
    *("experiment=emotion58_sample", "study=lr", "train.epochs=1", "train.batch_size=16", "tracking=none"),
    *("data.rows.train=128", "data.rows.validation=64", "launcher.workers=1", "launcher.threads=1"),
)
SETTLED = 3  # trials after which nothing should grow
ALLOWED = 0.05


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 1 if memory grows by more than allowed.

    Raises:
        UserError: too few trials to see growth.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description="Memory over many trials.")
    parser.add_argument("--trials", type=int, default=100, metavar="N")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16"), default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    if given.trials < SETTLED:
        raise UserError(f"--trials {given.trials}: takes {SETTLED} or more; growth is counted after the third")
    machine = describe(cores())
    result = {**measure(given.trials, given.precision), "machine": machine}
    write_json(result, given.results / "memory.json")
    print(json.dumps(result, ensure_ascii=False))
    return 0 if result["met"] else 1


def measure(trials: int, precision: str, settings: Sequence[str] = SETTINGS) -> dict[str, Any]:
    """Peak memory after each of so many trials, and its growth after the third."""
    rates = ",".join(f"{(number + 1) * 1e-6:.6f}" for number in range(trials))
    with TemporaryDirectory(prefix="bench-") as folder:
        seen = watch([*settings, f"study.lr=[{rates}]", f"train.precision={precision}", f"paths.runs={folder}/runs"])
    peaks = seen.peaks
    growth = peaks[-1] / peaks[SETTLED - 1] - 1
    return {
        "case": "memory", "unit": "MiB", "trials": len(peaks), "precision": precision,
        "after_third": peaks[SETTLED - 1], "after_last": peaks[-1], "growth": growth, "allowed": ALLOWED,
        "met": growth <= ALLOWED, "peaks": peaks,
    }  # fmt: skip


if __name__ == "__main__":
    cli.run(main)
