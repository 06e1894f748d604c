"""Kills at every named point, with both signals, with one worker and with four.

A sweep is killed several times in its life, at points that follow one another, and started again
after each; that costs a start a kill instead of two. If such a sweep ends otherwise than the
undisturbed one, each of its kills is tried once more alone, so that the table blames the right one.
"""

import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from tests.faults.sweep import EPOCHS, HOOK, Inputs, Lost, Sweep, check

LENGTH = 7  # kills of one sweep
LATER = {
    "middle of an epoch": 5,
    "state half-written": 2,
    "state written, not named": 2,
    "Optuna told of an epoch": 2,
    "workers not ended": 2,
    "workers ended": 2,
}
KILL, TERM = int(signal.SIGKILL), int(signal.SIGTERM)


def load_points(of: str = "POINTS") -> Mapping[str, Any]:
    """The points by name, in the order of a sweep's life; `of` VERDICTS: of a verdict's."""
    spec = spec_from_file_location("fault_points", HOOK / "fault_points.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    points: Mapping[str, Any] = getattr(module, of)
    return points


@dataclass(frozen=True)
class Kill:
    """One try: where, with which signal, whom, and with how many workers."""

    point: str
    signal: int
    whom: str
    workers: int

    @property
    def fault(self) -> dict[str, Any]:
        """As the hook takes it."""
        nth = LATER.get(self.point, 1)
        return {"point": self.point, "do": "kill", "signal": self.signal, "whom": self.whom, "nth": nth}

    def __str__(self) -> str:
        return f"{signal.Signals(self.signal).name} of {self.whom} with {self.workers} workers"


@dataclass
class Outcome:
    """What came of the tries at one point."""

    tried: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)
    skipped: str = ""


def kills_at(name: str, point: Any, turn: int) -> list[Kill]:
    """One kill with one worker and one with four, one by either signal; whose turn it is alternates.

    With one worker the parent goes, or everything at once as at a power cut; with four one worker
    alone goes. A write cut in half dies with its process: one that lived on would complete it.
    """
    signals = (KILL, TERM) if turn % 2 == 0 else (TERM, KILL)
    if point.role == "parent":
        whom = ("self", "self")
        signals = (KILL, KILL) if point.when == "half" else signals
    else:
        whom = ("all" if point.when == "half" or turn % 2 == 0 else "parent", "self")
    return [Kill(name, one, who, workers) for one, who, workers in zip(signals, whom, (1, 4), strict=True)]


def every_kill() -> list[Kill]:
    """All that `make faults` tries."""
    return [kill for turn, (name, point) in enumerate(load_points().items()) for kill in kills_at(name, point, turn)]


def chains(kills: Sequence[Kill], length: int = LENGTH) -> list[list[Kill]]:
    """Kills shared out among sweeps, each spread over a whole life; in order of the points."""
    result = []
    for workers in sorted({kill.workers for kill in kills}):
        own = [kill for kill in kills if kill.workers == workers]
        count = -(-len(own) // length)
        result += [own[first::count] for first in range(count)]
    return result


class Killer:
    """Tries kills and keeps count.

    Args:
        folder: where the sweeps lie; those that are survived are removed.
        undisturbed: what the undisturbed sweep leaves.
        say: told of every sweep.
    """

    def __init__(
        self, folder: Path, inputs: Inputs, undisturbed: Mapping[str, Any], say: Callable[[str], None]
    ) -> None:
        self.folder, self.inputs, self.undisturbed, self.say = folder, inputs, undisturbed, say
        self.outcomes: dict[str, Outcome] = {}
        self._number = 0

    def try_all(self, kills: Sequence[Kill], jobs: int) -> dict[str, Outcome]:
        """Try them in chains, several sweeps at a time, and what a chain could not settle alone."""
        for kill in kills:
            self.outcomes.setdefault(kill.point, Outcome())
        with ThreadPoolExecutor(jobs) as pool:
            open_kills = [kill for left in pool.map(self._try, chains(kills)) for kill in left]
            list(pool.map(lambda kill: self._try([kill]), open_kills))
        return self.outcomes

    def _try(self, chain: Sequence[Kill]) -> list[Kill]:
        """One sweep; gives the kills that have to be tried alone."""
        self._number += 1
        place, workers = self.folder / f"{self._number:03d}", chain[0].workers
        sweep = Sweep(place, self.inputs, workers=workers, faults=[kill.fault for kill in chain])
        try:
            sweep.finish()
            reached = sweep.struck()
            check(sweep, self.undisturbed, epochs=EPOCHS + reached * workers)
        except Lost as error:
            return self._lost(chain, str(error), place)
        self.say(f"survived {reached} kills, {sweep.starts} starts: {', '.join(k.point for k in chain[:reached])}")
        shutil.rmtree(place)
        for kill in chain[:reached]:
            self._count(kill, None)
        if len(chain) == 1 and not reached:
            self._count(chain[0], "never reached")
            return []
        return list(chain[reached:])

    def _lost(self, chain: Sequence[Kill], why: str, place: Path) -> list[Kill]:
        self.say(f"LOST in {place}: {', '.join(kill.point for kill in chain)}: {why}")
        if len(chain) > 1:
            return list(chain)
        self._count(chain[0], why)
        return []

    def _count(self, kill: Kill, why: str | None) -> None:
        outcome = self.outcomes[kill.point]
        outcome.tried += 1
        outcome.survived += why is None
        if why is not None:
            outcome.lost.append(f"{kill}: {why}")
