"""Which trials keep their weights: whoever is, or may still become, the best of a study of the experiment.

What has been read once is not read again: when a trial ends, only its own record is new, and of the studies' lists
those that another sweep, or a search, has written since. What another sweep's trials have come to since may be missed.
That errs on the safe side, since a study's best only gets better: weights may stay that have lost, until all is read
anew.

Where trials differ in nothing but the seed, the mean over a configuration's seeds decides, which any of them may raise
or lower. Then every ended trial is read whenever one ends: work that grows with the experiment.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeper.study.configurations import all_missing, configurations, seed_of, settings_key
from sweeper.study.listing import TRIALS
from sweeper.study.record import WEIGHTS, Standing, TrialRecord, standing
from sweeper.study.space import seeds_of


@dataclass(frozen=True, order=True)
class _Place:
    """A trial in one study; of equal ones the lower key is the better, as among configurations."""

    standing: Standing
    key: str
    keeps: bool = field(compare=False)  # its weights were asked for by a sweep, and no other takes them away


class Losers:
    """Removes the weights of every ended trial that is the best of none of the studies it belongs to.

    Of configurations of several seeds the best trial is kept of the best one of each study, of the best one with the
    seeds of all studies together, of the best one with those that this command asks for, and of those that still lack
    seeds, since the mean over all may make them win.

    Args:
        trials: folder of the trials' folders.
        lists: folder of the studies' lists.
        asked: gives the keys of the trials that this command asks for: a study may list others, of other seeds.
    """

    def __init__(self, trials: Path, lists: Path, asked: Callable[[], Iterable[str]] = tuple) -> None:
        self._trials, self._lists, self._asked = trials, lists, asked
        self._seen: dict[Path, tuple[int, int]] = {}  # what tells that a list was written anew
        self._keys: dict[Path, frozenset[str]] = {}
        self._best: dict[Path, _Place] = {}
        self._seeds: dict[str, int] = {}  # that every configuration was first met with
        self._several = False  # whether a configuration has several seeds, or is to have them

    def drop(self, records: Iterable[TrialRecord] = ()) -> None:
        """Take in these trials, which have just ended, and what the lists say that is new."""
        beaten: dict[str, bool] = {}
        for record in (self._newly_listed() | {record.key: record for record in records}).values():
            self._several |= self._seeds.setdefault(settings_key(record), seed_of(record)) != seed_of(record)
            beaten |= {place.key: place.keeps for place in self._enter(record)}
        if self._several:
            return self._drop_by_mean()
        for key in beaten.keys() - {best.key for best in self._best.values()}:
            if not beaten[key]:
                self._remove(key)
        return None

    def _enter(self, record: TrialRecord) -> list[_Place]:
        """Give it its place in every study that lists it; gives the lesser of it and the best so far of each."""
        place, found = _Place(standing(record), record.key, _keeps(record)), []
        for path, keys in self._keys.items():
            if record.key in keys:
                best = self._best.get(path, place)
                self._best[path] = place if best.key == place.key else min(place, best)
                found.append(max(place, best))
        return found

    def _newly_listed(self) -> dict[str, TrialRecord]:
        """The ended trials that a list names which did not name them when it was last read."""
        new = set[str]()
        for path in self._paths():
            written = path.stat()
            if self._seen.get(path) == (written.st_mtime_ns, written.st_ino):
                continue
            self._seen[path] = (written.st_mtime_ns, written.st_ino)
            study = _read(path)
            self._several |= len(seeds_of(study.get("config", {})) or ()) > 1
            new |= study[TRIALS].keys() - self._keys.get(path, frozenset())
            self._keys[path] = frozenset(study[TRIALS])
        return self._ended(new)

    def _drop_by_mean(self) -> None:
        studies = [_read(path) for path in self._paths()]
        records = self._ended({key for study in studies for key in study[TRIALS]})
        missing = all_missing(studies, records)
        groups = [[records[key] for key in study[TRIALS] if key in records] for study in studies]
        groups.append([records[key] for key in self._asked() if key in records])
        for data in {record.data for record in records.values()}:  # with the seeds of all studies another may be best
            groups.append([record for record in records.values() if record.data == data])
        kept = {key for group in groups for key in _may_win(group, missing)}
        for key in records.keys() - kept:
            if not _keeps(records[key]):
                self._remove(key)

    def _paths(self) -> list[Path]:
        return sorted(self._lists.glob("*.json"))

    def _ended(self, keys: Iterable[str]) -> dict[str, TrialRecord]:
        found = {}
        for key in keys:
            with suppress(FileNotFoundError):  # not ended, or taken up again at this moment
                found[key] = TrialRecord.read(self._trials / key)
        return found

    def _remove(self, key: str) -> None:
        (self._trials / key / WEIGHTS).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    study: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return study


def _keeps(record: TrialRecord) -> bool:
    return bool(record.config["train"].get("keep_weights") == "all")


def _may_win(records: Sequence[TrialRecord], missing: Mapping[str, Sequence[int]]) -> set[str]:
    ranked = configurations(records, missing)
    return {one.best.key for place, one in enumerate(ranked) if place == 0 or one.missing}
