"""A worker on another machine: what it must find there, and the loop of `serve.py` behind three methods.

Knows nothing of Ray, which makes an actor of `Worker` (`ray_workers.py`). All files go through `paths.runs`, which
every machine must see under the same path. Before it does anything else, a worker looks for a file that the command
holds a lock on: locks are what keeps two of them from training one trial.
"""

import os
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from sweeper.study.locks import is_free
from sweeper.study.serve import Inbox, serve
from sweeper.study.space import SCHEMA


@dataclass(frozen=True)
class Place:
    """What a worker needs to be like one on the command's own machine.

    Attributes:
        folder: the command's working folder; the worker enters it where its node has it.
        held: a file under `paths.runs` that the command holds a lock on.
        model: folder of the encoder; None for one of the hub or the package.
        threads: processor threads a trial.
        code: see `code_version`.
    """

    folder: str
    held: str
    model: str | None
    threads: int
    code: str


def code_version() -> str:
    """What must be the same on all machines, or an equal key would not mean an equal trial."""
    return f"sweeper {metadata.version('sweeper')} (trials of schema {SCHEMA})"


def misplaced(place: Place) -> str | None:
    """Why this machine cannot train what the command hands out; None where it can."""
    if (here := code_version()) != place.code:
        return f"has {here}, the command's machine {place.code}; install the same on both"
    if not Path(place.held).is_file():
        return (
            f"does not see {place.held}, which the command has written; set paths.runs to a folder on storage that "
            "all nodes share under the same path"
        )
    if is_free(Path(place.held)):
        return (
            f"sees {place.held}, but not that the command has locked it; the storage of paths.runs needs flock "
            "between machines (NFS 4, Lustre with -o flock, CephFS)"
        )
    if place.model and not Path(place.model).is_dir():
        return f"has no folder {place.model}; put the encoder on storage that all nodes share under the same path"
    return None


class Worker:
    """The actor. What it says is what a local worker writes, an event of plain values at a time."""

    def __init__(self, place: Place) -> None:
        self._inbox, self._said = Inbox(), queue.Queue[dict[str, Any]]()
        threading.Thread(target=self._serve, args=(place,), daemon=True).start()

    def tell(self, said: Mapping[str, Any]) -> None:
        """What a local worker reads from its pipe."""
        self._inbox.put(said)

    def listen(self) -> Iterator[dict[str, Any]]:
        """What it has said and will say; ends with its `exit`."""
        while True:
            said = self._said.get()
            yield said
            if said["event"] == "exit":
                return

    def compute(self, device: str, precision: str) -> tuple[str, str]:
        """See `Pool.compute`, of this node."""
        from sweeper.training.compute import resolve

        return resolve(device, precision)

    def _serve(self, place: Place) -> None:
        try:
            if reason := misplaced(place):
                return self._say(event="exit", reason=reason)
            if Path(place.folder).is_dir():
                os.chdir(place.folder)
            threads = str(place.threads)
            os.environ |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "false"}
            serve(self._inbox, self._say)
        except BaseException as error:  # in a thread, where it would end unnoticed
            self._say(event="exit", reason=f"failed with {type(error).__name__}: {error}")
            raise

    def _say(self, **event: Any) -> None:
        self._said.put(event)
