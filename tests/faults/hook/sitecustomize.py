"""Puts faults into a sweep from outside: Python runs this file at its start where its folder is on PYTHONPATH.

Nothing of it is in the product. `SWEEPER_FAULTS` names a folder with `plan.json`, a list of faults that
strike one after the other, each once, in whichever process comes by first: a fault is waiting when
the one before has struck (its file `struck-<n>` is there). Without the variable nothing happens.

A fault is `{"point": name, "nth": 1, "do": "kill", "signal": 9, "whom": "self" | "parent" | "all"}`;
`{"do": "memory"}` is an error for want of memory, `{"do": "fill"}` fills the disk that `runs/` lies on. Two
strike from the start on, beside the others: `{"do": "sleep", "seconds": 3}` at every call, and `{"do": "clock",
"seconds": -3600}`, which sets the clock wrong once its point has been reached.
Each epoch that is begun adds a line to `epochs`.
"""

import glob
import json
import os
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = os.environ.get("SWEEPER_FAULTS", "")
LASTING = ("sleep", "clock")
EPOCH = "sweeper.training.loop:Training.run_epoch"


def role() -> str:
    """What this process is to a sweep; Ray's workers may be told of other things, but not in our tests."""
    arguments = sys.orig_argv[1:3]
    if "default_worker.py" in map(os.path.basename, arguments):
        return "worker"
    return {"sweeper.study.serve": "worker", "sweeper": "parent"}.get(
        arguments[-1] if arguments[:1] == ["-m"] else "", ""
    )


class Fault:
    """One entry of the plan, in this process."""

    def __init__(self, number: int, plain: dict[str, Any], point: Any) -> None:
        self.number, self.plain, self.point, self.calls = number, plain, point, 0

    def is_waiting(self) -> bool:
        if self.plain["do"] in LASTING:
            return True
        return not struck(self.number) and (self.number == 0 or struck(self.number - 1))

    def is_due(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        if not self.is_waiting() or not (self.point.only is None or self.point.only(*arguments, **options)):
            return False
        self.calls += 1
        return self.calls >= self.plain.get("nth", 1)

    def strike(self) -> None:
        if self.plain["do"] == "sleep":
            return time.sleep(self.plain["seconds"])
        if self.plain["do"] == "clock":
            return None if self.calls > self.plain.get("nth", 1) else set_clock(self.plain["seconds"])
        try:
            os.close(os.open(f"{FOLDER}/struck-{self.number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return None
        if self.plain["do"] == "memory":
            raise RuntimeError("CUDA out of memory (a fault put in by a test)")
        if self.plain["do"] == "fill":
            return fill_disk()
        for process in processes(self.plain["whom"]):
            try:
                os.kill(process, self.plain["signal"])
            except ProcessLookupError:
                continue
        return None


def struck(number: int) -> bool:
    return os.path.exists(f"{FOLDER}/struck-{number}")


def processes(whom: str) -> list[int]:
    """Process ids, this one last."""
    me, sweep = os.getpid(), os.getppid() if role() == "worker" else os.getpid()
    if whom == "self":
        return [me]
    if whom == "parent":
        return [sweep]
    lists = [Path(path).read_text() for path in glob.glob(f"/proc/{sweep}/task/*/children")]
    children = [int(child) for one in lists for child in one.split()]
    return [*(one for one in (sweep, *children) if one != me), me]


def fill_disk() -> None:
    """Leave no byte on the disk of `runs/`."""
    with open("runs/filler", "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def set_clock(seconds: float) -> None:
    """The wall clock of this process is wrong from now on."""
    right = time.time
    time.time = lambda: right() + seconds


def wrapped(original: Any, fault: Fault) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        due = fault.is_due(arguments, options)
        if due and fault.point.when == "half":
            fault.point.half(original, *arguments, **options)
        if due and fault.point.when != "after":
            fault.strike()
        result = original(*arguments, **options)
        if due and fault.point.when == "after":
            fault.strike()
        return result

    return call


def noted(original: Any) -> Any:
    def run_epoch(training: Any) -> Any:
        with open(f"{FOLDER}/epochs", "a") as file:
            file.write(f"{training.settings.lr} {training.epoch + 1}\n")
        return original(training)

    return run_epoch


def patch(module: ModuleType, path: str, wrap: Any) -> None:
    *owners, name = path.split(".")
    owner: Any = module
    for one in owners:
        owner = getattr(owner, one)
    setattr(owner, name, wrap(getattr(owner, name)))


class Patching(MetaPathFinder):
    """Patches modules as soon as they are imported."""

    def __init__(self, patches: dict[str, list[tuple[str, Any]]]) -> None:
        self.patches = patches

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name not in self.patches:
            return None
        found = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((one for one in found if one is not None), None)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            for attribute, wrap in self.patches.pop(name, []):
                patch(module, attribute, wrap)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def install() -> None:
    """Patch what this process needs for its part of the plan."""
    from fault_points import POINTS, VERDICTS

    with open(f"{FOLDER}/plan.json") as file:
        plan = json.load(file)
    points = POINTS | VERDICTS
    faults = [Fault(number, plain, points[plain["point"]]) for number, plain in enumerate(plan)]
    patches: dict[str, list[tuple[str, Any]]] = {EPOCH.split(":")[0]: [(EPOCH.split(":")[1], noted)]}
    for fault in faults:
        if fault.point.role == role() and not struck(fault.number):
            module, attribute = fault.point.target.split(":")
            patches.setdefault(module, []).append((attribute, lambda original, fault=fault: wrapped(original, fault)))
    for attribute, wrap in patches.pop("pathlib", []):
        patch(sys.modules["pathlib"], attribute, wrap)
    sys.meta_path.insert(0, Patching(patches))


if FOLDER and role():
    install()
