"""Whole sweeps with a note of when each worker said what, for start-up, gaps between trials, and memory.

`python -m bench.sweeps EVENTS ARGUMENT …` is `python -m sweeper ARGUMENT …` with one thing more: what workers
send is written to EVENTS with its time, by the parent, as it comes in.
"""

import json
import os
import queue
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import REPO


@dataclass(frozen=True)
class Sweep:
    """What was seen of a sweep.

    Attributes:
        seconds: from the process's start to its exit.
        events: in order; `at` (seconds from the process's start), `worker`, `kind`, and what the worker said.
    """

    seconds: float
    events: tuple[Mapping[str, Any], ...]

    @property
    def first_step(self) -> float:
        """Seconds from the process's start to the end of the first step of the first trial."""
        return float(next(event["at"] for event in self.events if event["kind"] == "step"))

    @property
    def gaps(self) -> list[float]:
        """Seconds from a trial's last epoch, safe on disk, to the end of the next one's first step on that worker.

        They contain one training step, and so are a little too large.
        """
        last: dict[int, tuple[float, str]] = {}
        gaps = []
        for event in self.events:
            worker, at = event["worker"], event["at"]
            if event["kind"] == "epoch":
                last[worker] = (at, event["key"])
            elif event["kind"] == "step" and worker in last and last[worker][1] != event["key"]:
                gaps.append(at - last.pop(worker)[0])
        return gaps

    @property
    def peaks(self) -> list[float]:
        """MiB: the highest resident memory of the worker so far, after each trial (of one worker)."""
        by_trial = {e["key"]: float(e["epoch"]["peak_memory_mb"]) for e in self.events if e["kind"] == "epoch"}
        return list(by_trial.values())

    @property
    def training_seconds(self) -> float:
        """Of all epochs of all trials."""
        return sum(float(event["epoch"]["seconds"]) for event in self.events if event["kind"] == "epoch")


def watch(arguments: Sequence[str]) -> Sweep:
    """Run a sweep in a fresh process.

    Raises:
        RuntimeError: it failed; the end of what it printed is in the message.
    """
    with TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        command = ["bench.sweeps", str(file), *arguments, "progress=none"]
        started, clock = time.time(), time.perf_counter()
        run_module("sweep", command)
        seconds = time.perf_counter() - clock
        events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return Sweep(seconds, tuple({**event, "at": event["at"] - started} for event in events))


def run_module(name: str, arguments: Sequence[str]) -> None:
    """A module of ours with its arguments, in a fresh process.

    Args:
        name: what it is called if it fails.

    Raises:
        RuntimeError: it failed; the end of what it printed is in the message.
    """
    path = os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{(done.stdout + done.stderr)[-4000:]}")


def main() -> int:
    """The sweep itself, noted."""
    from sweeper.__main__ import main as sweep
    from sweeper.study import start
    from sweeper.study.pool import Event
    from sweeper.study.workers import ProcessPool

    file = Path(sys.argv[1]).open("a", encoding="utf-8")  # noqa: SIM115  # open as long as the process lives

    class Noted(queue.Queue[Event]):
        """The pool's queue, which writes down what passes through it."""

        def put(self, item: Event, block: bool = True, timeout: float | None = None) -> None:
            note = {"at": time.time(), "worker": item.worker, "kind": item.kind, **item.data}
            file.write(json.dumps(note) + "\n")
            file.flush()
            super().put(item, block, timeout)

    class NotedPool(ProcessPool):
        """The pool with that queue."""

        def __init__(self, logs: Path) -> None:
            super().__init__(logs)
            self.events = Noted()

    vars(start)["ProcessPool"] = NotedPool
    return sweep(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
