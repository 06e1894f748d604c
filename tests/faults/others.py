"""Faults that are no kills: damaged files, a full or read-only disk, a clock set back, too little memory.

Each is a function that gets a `Bench`, and raises `Lost` with what went wrong or `Skipped` with why
it cannot be tried here.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.sweep import EPOCHS, Inputs, Lost, Sweep, check

FAULTS: dict[str, Callable[["Bench"], None]] = {}


class Skipped(Exception):
    """This fault cannot be put in on this machine."""


@dataclass(frozen=True)
class Bench:
    """What a fault has to work with: a folder of its own and what an undisturbed sweep leaves."""

    folder: Path
    inputs: Inputs
    undisturbed: Mapping[str, Any]

    def sweep(
        self,
        name: str = "sweep",
        *,
        workers: int = 1,
        faults: Sequence[Mapping[str, Any]] = (),
        more: Sequence[str] = (),
    ) -> Sweep:
        """A sweep that has not been started."""
        return Sweep(self.folder / name, self.inputs, workers=workers, faults=faults, more=more)

    def check(self, sweep: Sweep, again: int = 0, **elsewhere: Any) -> None:
        """A finished sweep is the undisturbed one, with at most so many epochs trained again."""
        check(sweep, self.undisturbed, epochs=EPOCHS + again, **elsewhere)


def fault(name: str) -> Callable[[Callable[[Bench], None]], Callable[[Bench], None]]:
    """Enter a function under the name that the table shows."""

    def enter(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
        FAULTS[name] = function
        return function

    return enter


def demand(true: Any, what: str, sweep: Sweep) -> None:
    """Raises: Lost: it is not true."""
    if not true:
        raise Lost(f"{what}; start {sweep.starts} printed: {sweep.output()[-600:]}")


def cut_off(bench: Bench, point: str, nth: int) -> Sweep:
    """A sweep whose machine went down at a point, and its first trial's folder."""
    sweep = bench.sweep(faults=[{"point": point, "nth": nth, "do": "kill", "signal": 9, "whom": "all"}])
    sweep.run()
    demand(sweep.struck() == 1, "the kill before the damage did not happen", sweep)
    return sweep


def flip(path: Path) -> None:
    """Change one byte near the end."""
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Lose the second half."""
    os.truncate(path, path.stat().st_size // 2)


def damaged(bench: Bench, pattern: str, damage: Callable[[Path], None], again: int) -> None:
    """A file is damaged between two starts: it is noticed, said, and costs at most `again` epochs."""
    sweep = cut_off(bench, "state saved", 2)
    damage(max((sweep.runs / "rows" / "trials").glob(f"*/{pattern}")))
    sweep.finish()
    demand("damaged" in sweep.output(), "the damage was not said", sweep)
    bench.check(sweep, again)


@fault("state file truncated")
def state_truncated(bench: Bench) -> None:
    damaged(bench, "state-*.pt", truncate, again=2)


@fault("byte flipped in a state file")
def state_flipped(bench: Bench) -> None:
    damaged(bench, "state-*.pt", flip, again=2)


@fault("list of states truncated")
def states_truncated(bench: Bench) -> None:
    damaged(bench, "state.json", truncate, again=3)


@fault("byte flipped in kept weights")
def weights_flipped(bench: Bench) -> None:
    damaged(bench, "weights-*.safetensors", flip, again=3)


@fault("curve truncated")
def curve_truncated(bench: Bench) -> None:
    damaged(bench, "curve.jsonl", truncate, again=2)


@fault("record of a finished trial truncated")
def record_truncated(bench: Bench) -> None:
    sweep = bench.sweep()
    sweep.finish()
    truncate(min((sweep.runs / "rows" / "trials").glob("*/record.json")))
    sweep.finish()
    demand("damaged" in sweep.output(), "the damage was not said", sweep)
    bench.check(sweep, again=3)


@fault("byte flipped in the winner's weights")
def winner_flipped(bench: Bench) -> None:
    sweep = bench.sweep()
    sweep.finish()
    [weights] = (sweep.runs / "rows" / "trials").glob("*/weights.safetensors")
    flip(weights)
    code = sweep.wait(sweep.start("sweeper.best", "--export", "frozen"))
    demand(code == 2 and "damaged" in sweep.output(), f"damaged weights were frozen (code {code})", sweep)
    shutil.rmtree(weights.parent)  # as the message says
    sweep.finish()
    bench.check(sweep, again=3)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """A small file system of its own at `folder`."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        raise Skipped("a small file system can be mounted by root alone")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def full(bench: Bench, point: str, nth: int = 1) -> None:
    """The disk is full from a point on; the sweep ends and says so; with space again it goes on."""
    sweep = bench.sweep(faults=[{"point": point, "nth": nth, "do": "fill"}])
    with disk(sweep.runs, "64m"):
        code = sweep.run()
        demand(sweep.struck() == 1, "the disk was not filled", sweep)
        demand("Traceback" not in sweep.output(), "a full disk ends in a traceback", sweep)
        demand(code == 2 and "space" in sweep.output(), f"a full disk ends with code {code}", sweep)
        (sweep.runs / "filler").unlink()
        sweep.finish()
        bench.check(sweep, again=2)


@fault("disk full while a trial is saved")
def full_in_a_trial(bench: Bench) -> None:
    full(bench, "epoch trained, nothing written", 2)


@fault("disk full while weights are kept")
def full_at_the_weights(bench: Bench) -> None:
    full(bench, "weights and predictions kept", 2)


@fault("disk full while Optuna is told")
def full_at_the_ledger(bench: Bench) -> None:
    full(bench, "Optuna not told of the end")


@fault("disk full while the data is prepared")
def full_at_the_start(bench: Bench) -> None:
    full(bench, "data read, cache not named")


@fault("runs/ read-only")
def read_only(bench: Bench) -> None:
    sweep = bench.sweep()
    with disk(sweep.runs, "64m"):
        subprocess.run(["mount", "-o", "remount,ro", str(sweep.runs)], check=True)
        code = sweep.run()
        demand(code == 2 and "runs" in sweep.output(), f"a read-only folder ends with code {code}", sweep)
        demand("Traceback" not in sweep.output(), "a read-only folder ends in a traceback", sweep)
        subprocess.run(["mount", "-o", "remount,rw", str(sweep.runs)], check=True)
        sweep.finish()
        bench.check(sweep)


@fault("clock set back by an hour in the middle")
def clock(bench: Bench) -> None:
    back = [
        {"point": point, "do": "clock", "seconds": -3600}
        for point in ("first step of an epoch", "Optuna told of an epoch")
    ]
    kill = {"point": "MLflow told of some epochs", "nth": 3, "do": "kill", "signal": 9, "whom": "all"}
    sweep = bench.sweep(faults=[kill, *back])
    sweep.finish()
    bench.check(sweep, again=1)


@fault("GPU memory exhausted")
def memory(bench: Bench) -> None:
    sweep = bench.sweep(faults=[{"point": "middle of an epoch", "nth": 4, "do": "memory"}])
    sweep.finish()
    tags = [one["record"]["tags"] for one in sweep.left()["trials"].values()]
    demand({"micro_batches": "2"} in tags, f"no trial was halved: {tags}", sweep)
    states = sorted(run["status"] for run in sweep.left()["mlflow"].values())
    demand(states == ["FINISHED"] * 4, f"runs are left {states}", sweep)


@fault("a worker killed more often than is tried again")
def given_up(bench: Bench) -> None:
    kill = {"point": "middle of an epoch", "do": "kill", "signal": 9, "whom": "self"}
    sweep = bench.sweep(faults=[kill, kill], more=["launcher.retries=1"])
    demand(sweep.run() == 0, "a point that failed ended the sweep", sweep)
    left = sweep.left()
    failed = [one["record"]["reason"] for one in left["trials"].values() if one["record"]["state"] == "failed"]
    demand(failed == ["its worker process ended with code -9 (2 tries)"], f"failed with {failed}", sweep)
    states = sorted(run["status"] for run in left["mlflow"].values())
    demand(states == ["FAILED", "FINISHED", "FINISHED", "FINISHED"], f"runs are left {states}", sweep)
    found = sorted(one["state"] for one in left["optuna"].values())
    demand(found == ["COMPLETE", "FAIL", "FAIL"], f"Optuna's trials are left {found}", sweep)
    sweep.finish()  # the same command tries it again
    left = sweep.left()
    demand(left["trials"] == bench.undisturbed["trials"], "the point tried again ends otherwise", sweep)
    states = sorted(run["status"] for run in left["mlflow"].values())
    demand(states == ["FINISHED"] * 4, f"runs are left {states} by the second start", sweep)
    found = sorted(one["state"] for one in left["optuna"].values())
    demand(found == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"], f"Optuna's trials are then left {found}", sweep)
