"""Trial workers on a Ray cluster: the one file that imports ray.

A worker is a Ray actor that runs the loop of `serve.py`: `tell` is what a local worker's standard input is, `listen`
its standard output. Where it runs, that it waits until there is room, the GPU that it sees, its logs and the notice
that it or its node is gone are Ray's. Ray does not restart it, though: a worker that is gone is reported like a local
one, so that the runner begins worker and trial again by the one path there is, and Ray finds the new one a place.
"""

import logging
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError, RayTaskError

from sweeper import assets
from sweeper.errors import UserError
from sweeper.launcher import Launcher
from sweeper.study.locks import locked
from sweeper.study.pool import Event, News, Node, Plan
from sweeper.study.remote import Place, Worker, code_version
from sweeper.study.serve import VERDICT

if TYPE_CHECKING:  # imports torch, which takes seconds
    from sweeper.study.task import TrialTask

CONNECT_SECONDS = 5.0  # Ray itself would try for minutes
WAIT_SECONDS = 30.0  # for the first worker, until it is said that it is waited for
END_SECONDS = 10.0
METHODS = 3  # that a worker answers at once: it listens for ever, is told something, says on what it computes

START = (
    "Start one (`ray start --head` on one machine, `ray start --address=HOST:6379` on the others), and give this "
    "command on one of its machines, with launcher.address=HOST:6379 where it is not found"
)


class RayPool:
    """Workers on a Ray cluster that is there already; see `pool.Pool`.

    Args:
        logs: folder under `paths.runs` for the file that workers look for.
        launcher: of the configuration.
        model: as configured.
    """

    def __init__(self, logs: Path, launcher: Launcher, model: str) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self.at_work = threading.Event()
        self.is_news: Callable[[str], bool] = News()
        self._launcher, self._context = launcher, ExitStack()
        folder = Path(assets.encoder(model)).resolve()
        own = folder.is_dir() and not folder.is_relative_to(assets.FOLDER)
        held = (logs / f"ray-{socket.gethostname()}-{os.getpid()}.lock").resolve()
        self._place = Place(str(Path.cwd()), str(held), str(folder) if own else None, 1, code_version())
        self._numbers = count(1)
        self._actors: dict[int, tuple[int, Any]] = {}  # by worker: which start of one it is, and its handle
        self._listeners: list[threading.Thread] = []
        self._ready: set[int] = set()

    def __enter__(self) -> "RayPool":
        with self._context as context:
            context.enter_context(_connected(str(self._launcher.address)))
            held = Path(self._place.held)
            context.callback(held.unlink, missing_ok=True)
            context.enter_context(locked(held))
            context.callback(self._end)
            self._context = context.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()

    def _end(self) -> None:
        for _, actor in self._actors.values():
            ray.kill(actor)
        for listener in self._listeners:
            listener.join(END_SECONDS)

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes that live; those that Ray would start when they are needed are not known to it."""
        living = [node for node in ray.nodes() if node["Alive"]]
        return [_node(one["NodeManagerAddress"], one["Resources"]) for one in living]

    def start(self, plan: Plan, at_first: int | None = None) -> None:
        """Bring the pool to this plan; all workers at once, since they take the cluster's cores, not ours."""
        if plan.threads != self._place.threads:
            self._place = replace(self._place, threads=plan.threads)
            for index in list(self._actors):
                self.restart(index)
        for index in range(plan.workers):
            if index not in self._actors:
                self.restart(index)

    def restart(self, index: int) -> None:
        """Start (again) the worker with this number, wherever Ray finds room."""
        if index in self._actors:
            ray.kill(self._actors.pop(index)[1])
        number, launcher = next(self._numbers), self._launcher
        wanted = {"num_cpus": launcher.num_cpus, "num_gpus": launcher.num_gpus}
        actor = ray.remote(Worker).options(**wanted, max_concurrency=METHODS, max_restarts=0).remote(self._place)
        self._actors[index] = number, actor
        listener = threading.Thread(target=self._listen, args=(index, number, actor), daemon=True)
        self._listeners = [*filter(threading.Thread.is_alive, self._listeners), listener]
        listener.start()

    def send(self, index: int, task: "TrialTask") -> None:
        """Give a worker its next trial; its places are told in full, for a node without our working folder."""
        folder, corpus = Path(task.folder).resolve(), Path(task.corpus).resolve()
        self._actors[index][1].tell.remote(asdict(replace(task, folder=str(folder), corpus=str(corpus))))

    def answer(self, index: int, *, stop: bool) -> None:
        """Tell a worker that waits after an epoch whether its trial is pruned."""
        self._actors[index][1].tell.remote({VERDICT: stop})

    def process_id(self, index: int) -> int | None:
        """Which start of a worker this one is: ids of processes are each node's own."""
        return self._actors[index][0] if index in self._actors else None

    def is_ready(self, index: int) -> bool:
        """Whether the worker has started and waits for trials, or works on one."""
        return self.process_id(index) in self._ready

    def compute(self, device: str, precision: str, report: Callable[[str], None]) -> tuple[str, str]:
        """What the node of the first worker that answers has; none is asked for a device beside what it is given."""
        if not self._actors:
            self.restart(0)
        device = "cuda" if self._launcher.num_gpus else "cpu"
        waited = [actor.compute.remote(device, precision) for _, actor in self._actors.values()]
        answered, _ = ray.wait(waited, timeout=WAIT_SECONDS)
        if not answered:
            report("the Ray cluster has started no worker yet; it starts one as soon as it has room")
        reasons = []
        while waited:
            [answer], waited = ray.wait(waited)
            try:
                found: tuple[str, str] = ray.get(answer)
                return found
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, UserError) else error) from None
            except RayError as error:
                reasons.append(_shortly(error))
        raise UserError(f"worker processes cannot start; {reasons[-1]}")

    def _listen(self, index: int, number: int, actor: Any) -> None:
        reason = "is gone"
        try:
            for said in actor.listen.options(num_returns="streaming").remote():
                event = ray.get(said)
                kind = event.pop("event")
                if kind == "exit":
                    reason = event["reason"]
                    break
                if kind == "ready":
                    self._ready.add(number)
                if kind in ("step", "epoch"):
                    self.at_work.set()
                self.events.put(Event(index, kind, event))
        except ActorUnavailableError:  # it may live still; the trial's lock keeps it from the next one's way
            reason = "cannot be reached"
        except RayError as error:
            reason = f"is gone: {_shortly(error)}"
        self._ready.discard(number)
        self.events.put(Event(index, "exit", {"pid": number, "reason": reason, "advice": f"the last one {reason}"}))


def _node(name: str, resources: Mapping[str, float]) -> Node:
    return Node(name, resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def _shortly(error: Exception) -> str:
    """The last thing that Ray says of a worker's end, without its lists of ids and its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith(("\t", " "))]
    last = lines[-1].removesuffix(".") if lines else type(error).__name__
    did_not_start = isinstance(error, RayActorError) and error.actor_init_failed
    return f"{last} (every node needs the same sweeper, with its libraries)" if did_not_start else last


@contextmanager
def _connected(address: str) -> Iterator[None]:
    """Part of a running cluster for the time of the block; a connection that is there already is used and stays.

    Raises:
        UserError: there is no cluster, or this machine is none of it.
    """
    if ray.is_initialized():
        yield
        return
    _check_reachable(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"launcher.address={address}: cannot be joined ({_shortly(error)}). {START}") from None
    finally:
        if threading.current_thread() is threading.main_thread():  # Ray takes the signal's handler for itself
            signal.signal(signal.SIGTERM, at_sigterm)
    try:
        yield
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ask the cluster's port before Ray does, which tries a cluster that is gone for a quarter of an hour."""
    file = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp", "ray/ray_current_cluster")
    place = address if address != "auto" else os.environ.get("RAY_ADDRESS", "")
    if not place and file.is_file():  # where `ray start` writes it
        place = file.read_text(encoding="utf-8").strip()
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"launcher.address={address}: no Ray cluster answers at {place} ({error.strerror or error}). {START}"
        ) from None
