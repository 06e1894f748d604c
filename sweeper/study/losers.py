"""Which trials keep their weights: the best of each study of the experiment, whichever sweep runs it.

What has been read once is not read again: when a trial ends, only its own record is new, and of the studies' lists those
that another sweep, or a search, has written since. What another sweep's trials have come to since may be missed. That
errs on the safe side, since a study's best only gets better: weights may stay that have lost, until all is read anew.
"""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sweeper.study.listing import TRIALS
from sweeper.study.record import WEIGHTS, Standing, TrialRecord, standing


@dataclass(frozen=True, order=True)
class _Place:
    """A trial in one study; of equal ones the one listed first is the better."""

    standing: Standing
    number: int
    key: str
    keeps: bool = field(compare=False)  # its weights were asked for by a sweep, and no other takes them away


class Losers:
    """Removes the weights of every ended trial that is the best of none of the studies it belongs to.

    Args:
        trials: folder of the trials' folders.
        lists: folder of the studies' lists.
    """

    def __init__(self, trials: Path, lists: Path) -> None:
        self._trials, self._lists = trials, lists
        self._seen: dict[Path, tuple[int, int]] = {}  # what tells that a list was written anew
        self._numbers: dict[Path, dict[str, int]] = {}
        self._best: dict[Path, _Place] = {}

    def drop(self, records: Iterable[TrialRecord] = ()) -> None:
        """Take in these trials, which have just ended, and what the lists say that is new."""
        beaten: dict[str, bool] = {}
        for record in (self._newly_listed() | {record.key: record for record in records}).values():
            beaten |= {place.key: place.keeps for place in self._enter(record)}
        for key in beaten.keys() - {best.key for best in self._best.values()}:
            if not beaten[key]:
                (self._trials / key / WEIGHTS).unlink(missing_ok=True)

    def _enter(self, record: TrialRecord) -> list[_Place]:
        """Give it its place in every study that lists it; gives the lesser of it and the best so far of each."""
        keeps, found = record.config["train"].get("keep_weights") == "all", []
        for path, numbers in self._numbers.items():
            if record.key in numbers:
                place = _Place(standing(record), numbers[record.key], record.key, keeps)
                best = self._best.get(path, place)
                self._best[path] = place if best.key == place.key else min(place, best)
                found.append(max(place, best))
        return found

    def _newly_listed(self) -> dict[str, TrialRecord]:
        """The ended trials that a list names which did not name them when it was last read."""
        found = {}
        for path in sorted(self._lists.glob("*.json")):
            written = path.stat()
            if self._seen.get(path) == (written.st_mtime_ns, written.st_ino):
                continue
            self._seen[path] = (written.st_mtime_ns, written.st_ino)
            before = self._numbers.get(path, {})
            keys = json.loads(path.read_text(encoding="utf-8"))[TRIALS]
            self._numbers[path] = {key: number for number, key in enumerate(keys)}
            for key in self._numbers[path].keys() - before.keys() - found.keys():
                with suppress(FileNotFoundError):  # not ended, or taken up again at this moment
                    found[key] = TrialRecord.read(self._trials / key)
        return found

