"""What the runner of a study needs of workers, whoever starts them: processes of this machine, or a Ray cluster.

A worker runs the loop of `serve.py`. It is sent a trial, says what comes of it, and is answered where its trial may
be stopped; when it is gone, however that came, an `exit` says so, and it is started again under the same number.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # imports torch, which takes seconds
    from sweeper.study.task import TrialTask


@dataclass(frozen=True)
class Plan:
    """How a sweep uses its machines: one entry of `devices` a worker (`cpu`, a GPU's number, or `cuda` on Ray)."""

    devices: tuple[str, ...]
    threads: int

    @property
    def workers(self) -> int:
        """How many trials run at once."""
        return len(self.devices)


@dataclass(frozen=True)
class Node:
    """A machine of a cluster, and what of it is given out."""

    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Event:
    """Something a worker said: `ready`, `step`, `epoch`, `note`, `ended`, `busy`, `error`; `exit` when it is gone.

    An `exit` has `pid` (see `Pool.process_id`), `reason` (follows "its worker"), and `advice` for the case that no
    worker gets ready (follows "cannot start; ").
    """

    worker: int
    kind: str
    data: Mapping[str, Any]


class Pool(Protocol):
    """Workers by their numbers from 0, and one queue of all that they say.

    Use as a context: leaving it ends all workers, whatever they do.

    Attributes:
        events: what the workers said, in the order in which it came.
        at_work: set when a worker trains for the first time.
        nodes: of the cluster; none where the workers are processes of this machine.
        is_news: whether a note is the first of its kind: what holds for every trial is said by every worker.
    """

    events: queue.Queue[Event]
    at_work: threading.Event

    @property
    def nodes(self) -> Sequence[Node]: ...
    @property
    def is_news(self) -> Callable[[str], bool]: ...

    def __enter__(self) -> "Pool": ...
    def __exit__(self, *_: object) -> None: ...

    def start(self, plan: Plan, at_first: int | None = None) -> None:
        """Bring the pool to this plan; workers already running under it stay.

        Args:
            at_first: start no more than so many now, where they take this machine's cores; the rest at the next call.
        """

    def restart(self, index: int) -> None:
        """Start (again) the worker with this number; one that still runs is ended first."""

    def send(self, index: int, task: "TrialTask") -> None:
        """Give a worker its next trial; a worker that is gone says so with its `exit` event."""

    def answer(self, index: int, *, stop: bool) -> None:
        """Tell a worker that waits after an epoch whether its trial is pruned."""

    def process_id(self, index: int) -> int | None:
        """What tells the worker's process from those before it; None where the present plan has no such worker."""

    def is_ready(self, index: int) -> bool:
        """Whether the worker has started and waits for trials, or works on one."""

    def compute(self, device: str, precision: str, report: Callable[[str], None]) -> tuple[str, str]:
        """On what and in which number format the workers train: `("cpu", "float32")`.

        Args:
            device, precision: as configured, `auto` among them.
            report: told what takes time.

        Raises:
            UserError: they cannot be had.
        """


class News:
    """Remembers what has been said, so that it is said once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, text: str) -> bool:
        """Whether it has not been said before."""
        is_new = text not in self._told
        self._told.add(text)
        return is_new
