"""The points of a search, each found when a worker is free and the budget has room for it.

The study's list on disk is the truth: a point is written into it under the study's lock before anybody trains it, so
that a kill forgets none and two sweeps started together share them. What is listed stays a point of the search; a
larger budget goes on behind it. Minutes are kept in the list too: a kill forgets those since the last point was found.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sweeper.study.budget import Budget
from sweeper.study.listing import MINUTES, TRIALS, changing
from sweeper.study.record import TrialRecord
from sweeper.study.sampling import STARTUP, Space, proposals
from sweeper.study.space import Point, Value

TRIES = 20  # for a point that is not listed yet, half of them at random


class SearchPoints:
    """An open list of points.

    Args:
        sampler, seed: who finds the next point, see `propose`.
        epochs: of a whole trial.
        point: makes the point of these settings.
        file: the study's list.
        head: what stands beside the points in it.
        startup: points that TPE draws at random first.
    """

    def __init__(
        self,
        space: Space,
        budget: Budget,
        *,
        sampler: str,
        seed: int,
        epochs: int,
        point: Callable[[Mapping[str, Value]], Point],
        file: Path,
        head: Mapping[str, Any],
        startup: int = STARTUP,
    ) -> None:
        self._space, self._budget, self._epochs = space, budget, epochs
        self._sampler, self._seed, self._startup = sampler, seed, startup
        self._point, self._file, self._head = point, file, head
        self._points: dict[str, Point] = {}
        self._known: list[Point] = []  # the same in their order
        self._records: Mapping[str, TrialRecord] = {}
        self._counted, self._spent = (0, 0), 0
        self._refused: int | None = None  # how many had ended when there was no room
        with changing(file, head) as content:
            self._take_in(content[TRIALS])
            self._minutes_before = float(content.get(MINUTES, 0.0))
        self._opened = time.monotonic()

    @property
    def known(self) -> Sequence[Point]:
        """Those found by now, by any start of any sweep."""
        return self._known

    @property
    def most(self) -> int | None:
        """How many there will be if none is pruned; None where only minutes limit them."""
        room = self._room()
        return None if room is None else len(self._points) + room

    @property
    def size(self) -> str:
        """`20 trials (tpe)`."""
        return f"{self._budget} ({self._sampler})"

    @property
    def grows(self) -> bool:
        """As long as the budget lasts."""
        return True

    @property
    def spent(self) -> str:
        """`10 of 11 epochs (a trial may take 2)`."""
        return self._budget.used(**self._figures)

    def extend(self, records: Mapping[str, TrialRecord]) -> bool:
        """Take in what another sweep has found, or find one more point."""
        self._records = records
        if len(records) == self._refused:  # only a trial that ends can make room
            return False
        with changing(self._file, self._head) as content:
            if self._take_in(content[TRIALS]):
                return True
            content[MINUTES] = max(self._minutes, content.get(MINUTES, 0.0))
            full = self._points and self._room() == 0  # there is always a first, however short the minutes
            point = None if full else self._find()
            if point is None:
                self._refused = len(records)
                return False
            content[TRIALS][point.key] = dict(point.varied)
        self._add(point)
        return True

    @property
    def _minutes(self) -> float:
        return self._minutes_before + (time.monotonic() - self._opened) / 60

    def _take_in(self, listed: Mapping[str, Mapping[str, Value]]) -> bool:
        """Make points of what is listed; whether any was new."""
        new = [self._point(varied) for key, varied in listed.items() if key not in self._points]
        for point in new:
            self._add(point)
        return bool(new)

    def _add(self, point: Point) -> None:
        self._points[point.key] = point
        self._known.append(point)

    def _room(self) -> int | None:
        return self._budget.room(**self._figures)

    @property
    def _figures(self) -> dict[str, Any]:
        """What the budget asks for."""
        return {
            "trials": len(self._points), "epochs": self._epochs_spent, "minutes": self._minutes,
            "epochs_each": self._epochs,
        }  # fmt: skip

    @property
    def _epochs_spent(self) -> int:
        """Or spoken for; counted anew where a point was found or has ended since."""
        now = (len(self._points), len(self._records))
        if now != self._counted:
            ended = (
                len(self._records[key].curve) if key in self._records else self._epochs for key in tuple(self._points)
            )
            self._counted, self._spent = now, sum(ended)
        return self._spent

    def _find(self) -> Point | None:
        """A point that is not listed; None where everything in the ranges is."""
        past = [(point.varied, self._records.get(key)) for key, point in self._points.items()]
        asked = proposals(self._sampler, self._seed, self._space, past, startup=self._startup)
        drawn = proposals("random", self._seed, self._space, past, first=TRIES // 2)
        tries = chain(islice(asked, TRIES // 2), islice(drawn, TRIES // 2), self._space.everything())
        points = (self._point(varied) for varied in tries)
        return next((point for point in points if point.key not in self._points), None)
