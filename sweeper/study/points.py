"""Which points a study has: all of them known before it runs, or each found when a worker is free.

Whoever runs a study asks for one more point when all that it knows are taken. A grid never has one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sweeper.study.record import TrialRecord
from sweeper.study.space import Point
from sweeper.study.wording import count


class Points(Protocol):
    """The points of a study, a list that may grow while the study runs."""

    @property
    def known(self) -> Sequence[Point]:
        """Those there are by now, in the order in which they came."""
        ...

    @property
    def most(self) -> int | None:
        """How many there will be if every trial trains all its epochs; None where only time will tell."""
        ...

    @property
    def size(self) -> str:
        """What a person is told at the start: `8 trials`."""
        ...

    @property
    def grows(self) -> bool:
        """Whether points are found on the way, by this sweep or one beside it, so that one once listed is never off."""
        ...

    @property
    def spent(self) -> str:
        """What a person is told at the end of a budget's use; empty where there is none."""
        ...

    def extend(self, records: Mapping[str, TrialRecord]) -> bool:
        """Find one more point; False where there is none as long as no other trial ends.

        Args:
            records: of the known points that have ended, by key.
        """
        ...


@dataclass(frozen=True)
class GridPoints:
    """Points that are all known from the start."""

    known: tuple[Point, ...]

    @property
    def most(self) -> int:
        """As many as there are."""
        return len(self.known)

    @property
    def size(self) -> str:
        """`8 trials`."""
        return count(len(self.known), "trial")

    @property
    def grows(self) -> bool:
        """Never: what another start has listed and this one does not ask for was taken off."""
        return False

    @property
    def spent(self) -> str:
        """There is no budget."""
        return ""

    def extend(self, records: Mapping[str, TrialRecord]) -> bool:
        """There is never one more."""
        return False
