"""A pool of workers whose training takes no time: for measuring what a sweep does beside training.

Each is a process of its own and, but for the training itself (`bench.playback`), the real worker. They are forked from
one that has imported torch, since a small machine does not hold 64 that have imported it themselves.
"""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from sweeper.study import serve
from sweeper.study.workers import ProcessPool


class RecordedPool(ProcessPool):
    """A pool whose workers play recorded curves back."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["bench.playback"])

    def _begin(self, index: int, log: TextIO) -> Any:
        return Forked(self._context, log)


class Forked:
    """A forked worker, with what a pool asks of a `subprocess.Popen`."""

    def __init__(self, context: Any, log: TextIO) -> None:
        tasks, tell = context.Pipe(duplex=False)
        listen, events = context.Pipe(duplex=False)
        kept = Connection(os.dup(log.fileno()), readable=False)
        self._process = context.Process(target=work, args=(tasks, events, kept), daemon=True)
        self._process.start()
        self.pid = self._process.pid
        self.stdin = os.fdopen(os.dup(tell.fileno()), "w", encoding="utf-8")
        self.stdout = os.fdopen(os.dup(listen.fileno()), encoding="utf-8")
        for end in (tasks, tell, listen, events, kept):
            end.close()

    def kill(self) -> None:
        """As `Popen.kill`."""
        self._process.kill()

    def wait(self) -> int | None:
        """As `Popen.wait`."""
        self._process.join()
        code: int | None = self._process.exitcode
        return code


def work(tasks: Connection, events: Connection, log: Connection) -> None:
    """A worker's life: the real one, on the ends of these pipes."""
    from bench.playback import take_place

    take_place()
    for end, usual in ((tasks, 0), (events, 1), (log, 2)):
        os.dup2(end.fileno(), usual)
        end.close()
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  open as long as the process lives
    sys.stdout, sys.stderr = (open(end, "w", buffering=1, encoding="utf-8", closefd=False) for end in (1, 2))  # noqa: SIM115
    serve.main()
