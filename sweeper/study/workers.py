"""Who runs trials where: how many workers, with how many threads, on which devices; and the processes.

A worker is a process of its own (`sweeper.study.serve`), so that a crash, an exhausted memory or a
kill takes one trial's epoch and not the sweep. Small encoders run one trial a core: their matrices
are too small for threads to help much, so only cores that would idle are shared. Large ones run one
trial on all cores. A GPU runs one trial, or `trials_per_gpu` of them.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from sweeper.study.pool import Event, News, Node, Plan
from sweeper.study.serve import VERDICT

if TYPE_CHECKING:  # imports torch, which takes seconds
    from sweeper.study.task import TrialTask

LARGE = 20_000_000  # encoder parameters, embeddings left out, from which one trial gets all cores
LOG = "worker-{index}.log"
SIZES = (("hidden_size", "dim"), ("num_hidden_layers", "n_layers"), ("intermediate_size", "hidden_dim"))


def plan_workers(
    workers: int | str,
    threads: int | str,
    *,
    parameters: int,
    cores: int,
    gpus: int,
    trials_per_gpu: int,
    trials: int = sys.maxsize,
) -> Plan:
    """Share cores and GPUs out among workers.

    Args:
        workers, threads: numbers, or `auto`.
        parameters: of the encoder's layers, embeddings left out.
        cores: processors this process may use.
        gpus: GPUs it may use; 0 trains on the CPU.
        trials: that can run at once at most; `auto` starts no more workers, and those have more cores each.
    """
    if gpus:
        slots = [str(gpu) for _ in range(trials_per_gpu) for gpu in range(gpus)]
        count = min(len(slots), trials) if workers == "auto" else int(workers)
        devices = tuple(slots[index % len(slots)] for index in range(count))
    else:
        alone = parameters >= LARGE
        count = min(1 if alone else cores, trials) if workers == "auto" else int(workers)
        devices = ("cpu",) * count
    share = max(1, cores // len(devices))
    return Plan(devices, share if threads == "auto" else int(threads))


def cores() -> int:
    """Processors this process may use (a container's or a scheduler's share, not the machine's)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encoder_parameters(model: str) -> int:
    """Parameters of the encoder's layers from its configuration alone; a very large number if it does not say."""
    values = _configuration(model)
    hidden, layers, inner = (next((values[name] for name in names if name in values), None) for names in SIZES)
    if hidden is None or layers is None:
        return sys.maxsize
    return int(layers * (4 * hidden * hidden + 2 * hidden * (inner or 4 * hidden)))


def _configuration(model: str) -> Mapping[str, Any]:
    """A folder's `config.json` as it stands: transformers takes seconds to import. A hub id is asked through it."""
    file = Path(model) / "config.json"
    if file.is_file():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    from transformers import AutoConfig

    return dict(AutoConfig.from_pretrained(model, trust_remote_code=False).to_dict())


class ProcessPool:
    """Workers that are processes of this machine; see `pool.Pool`.

    Args:
        logs: folder for what the workers' libraries print, one file a worker.
    """

    def __init__(self, logs: Path) -> None:
        self.events: queue.Queue[Event] = queue.Queue()
        self._logs = logs
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self.at_work = threading.Event()
        self.nodes: Sequence[Node] = ()
        self.is_news: Callable[[str], bool] = News()
        self._ready: set[int] = set()  # process ids
        self._devices: tuple[str, ...] = ()
        self._threads = 1

    def __enter__(self) -> "ProcessPool":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()

    def start(self, plan: Plan, at_first: int | None = None) -> None:
        """Bring the pool to this plan."""
        if (plan.devices, plan.threads) != (self._devices, self._threads):
            self.__exit__()
            self._processes.clear()
            self._devices, self._threads = plan.devices, plan.threads
        for index in range(min(plan.workers, at_first or plan.workers)):
            if index not in self._processes:
                self.restart(index)

    def restart(self, index: int) -> None:
        """Start (again) the worker with this number."""
        if (before := self._processes.pop(index, None)) is not None:
            before.kill()
            before.wait()
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / LOG.format(index=index)).open("a", encoding="utf-8") as log:
            process = self._processes[index] = self._begin(index, log)
        threading.Thread(target=self._listen, args=(index, process), daemon=True).start()

    def _begin(self, index: int, log: TextIO) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "sweeper.study.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=self._environment(index),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which ends its workers in order
        )

    def send(self, index: int, task: "TrialTask") -> None:
        """Give a worker its next trial."""
        self._tell(index, asdict(task))

    def answer(self, index: int, *, stop: bool) -> None:
        """Tell a worker that waits after an epoch whether its trial is pruned."""
        self._tell(index, {VERDICT: stop})

    def _tell(self, index: int, plain: Mapping[str, Any]) -> None:
        stdin = self._processes[index].stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(plain) + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass

    def process_id(self, index: int) -> int | None:
        """The worker's process id."""
        process = self._processes.get(index)
        return None if process is None else process.pid

    def is_ready(self, index: int) -> bool:
        """Whether the worker has started and waits for trials, or works on one."""
        return self.process_id(index) in self._ready

    def compute(self, device: str, precision: str, report: Callable[[str], None]) -> tuple[str, str]:
        """What this machine has."""
        from sweeper.training.compute import resolve

        return resolve(device, precision)

    def _environment(self, index: int) -> dict[str, str]:
        device, threads = self._devices[index], str(self._threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment |= {"TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
        if device != "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = _visible(device, os.environ.get("CUDA_VISIBLE_DEVICES"))
        return environment

    def _listen(self, index: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except ValueError:  # killed while it spoke
                continue
            if event["event"] == "ready":
                self._ready.add(process.pid)
            if event["event"] in ("step", "epoch"):
                self.at_work.set()
            self.events.put(Event(index, event.pop("event"), event))
        self._ready.discard(process.pid)
        end = {"reason": f"process ended with code {process.wait()}", "advice": f"see the log in {self._logs}"}
        self.events.put(Event(index, "exit", {"pid": process.pid, **end}))


def _visible(gpu: str, already: str | None) -> str:
    """The GPU's name among those that the user or a scheduler left visible."""
    names: Sequence[str] = already.split(",") if already else ()
    return names[int(gpu)] if int(gpu) < len(names) else gpu
