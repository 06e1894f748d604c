"""What a finished study knows, for whoever prints it, exports from it or goes on from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sweeper.study.configurations import Configuration, configurations
from sweeper.study.prepare import PreparedStudy
from sweeper.study.record import TrialRecord


@dataclass(frozen=True)
class StudyResult:
    """A study whose points have all ended.

    Attributes:
        records: of the points asked for, in their order.
        winner: the best of them (the best seed of the best configuration); None where none is complete.
        taken_over: keys of points that an earlier study had trained.
    """

    prepared: PreparedStudy
    records: tuple[TrialRecord, ...]
    winner: TrialRecord | None
    taken_over: frozenset[str]


def together(results: Iterable[StudyResult]) -> list[Configuration]:
    """The configurations of several studies of one command, best first; a trial of two of them counts once."""
    return configurations({record.key: record for result in results for record in result.records}.values())
