"""A sweep whose training is played back and whose coordinator is clocked: `python -m bench.coordinator FILE ARG …`.

It is `python -m sweeper ARG …` with three things more: workers play curves back (`bench.recorded`), everything is
delivered to tracking however long that takes, and what the coordinator does is written to FILE as JSON. The main thread
is clocked between two looks into the queue of what workers say, tracking's thread at each of its operations.
"""

import json
import os
import queue
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.recorded import RecordedPool
from sweeper.outbox import Operation, Outbox
from sweeper.study import start
from sweeper.study.pool import Event

KIB, MIB, PAGE = 1024, 2**20, os.sysconf("SC_PAGE_SIZE")
A_WEEK = 7 * 24 * 3600.0
TRACKED = {"epochs": "epoch", "trial": "begin", "finish": "end", "study": "study"}  # methods of the tracker

events: list[tuple[str, float, float]] = []  # kind, seconds that the main thread had of it, its processor's seconds
ends: list[tuple[float, float, float]] = []  # when a trial was done with: clock, processor seconds of all threads, MiB
delivered: dict[str, list[tuple[float, float]]] = defaultdict(list)  # by operation: seconds, the thread's processor's


class Clocked(queue.Queue[Event]):
    """What workers say; from one look into it to the next the main thread does what the event asks for."""

    kind, since, thread, began = "", 0.0, 0.0, 0.0

    def get(self, block: bool = True, timeout: float | None = None) -> Event:
        """As a queue's."""
        now = time.perf_counter()
        Clocked.began = Clocked.began or now
        if self.kind:
            events.append((self.kind, now - self.since, time.thread_time() - self.thread))
            if self.kind == "ended":
                ends.append((now, time.process_time(), _resident()))
        self.kind = ""
        event = super().get(block, timeout)
        self.kind, self.since, self.thread = event.kind, time.perf_counter(), time.thread_time()
        return event


class ClockedPool(RecordedPool):
    """The pool with that queue."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self.events = Clocked()


class ClockedOutbox(Outbox):
    """Tracking's thread, each operation clocked; waits for the last of them."""

    def close(self, timeout: float, at_most: float, *, hasty: bool = False) -> bool:
        """As an outbox's, without an end to patience."""
        return super().close(A_WEEK, A_WEEK)

    def _deliver(self, operation: Operation) -> None:
        began, thread = time.perf_counter(), time.thread_time()
        super()._deliver(operation)
        name = getattr(operation, "__qualname__", "").split(".")
        kind = TRACKED.get(name[1] if len(name) > 1 else "", "else")
        delivered[kind].append((time.perf_counter() - began, time.thread_time() - thread))


def _resident() -> float:
    """MiB of this process at this moment."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MIB


def main(arguments: Sequence[str]) -> int:
    """Run the sweep and write what was seen of it."""
    import sweeper.tracking
    from sweeper.__main__ import main as sweep

    vars(start)["ProcessPool"] = ClockedPool
    vars(sweeper.tracking)["Outbox"] = ClockedOutbox
    code = sweep(arguments[1:])
    used = resource.getrusage(resource.RUSAGE_SELF)
    seen: dict[str, Any] = {
        "began": Clocked.began,
        "ended": time.perf_counter(),
        "processor_seconds": time.process_time(),
        "peak_mib": used.ru_maxrss * KIB / MIB,
        "events": events,
        "ends": ends,
        "delivered": delivered,
    }
    Path(arguments[0]).write_text(json.dumps(seen), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
