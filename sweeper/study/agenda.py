"""Which points of a study have no record yet, kept so that a look at them does not grow with those that have.

Most points of a large grid are free and stay so until a worker of ours takes them up. Only those that another sweep was
found to have can get their record from elsewhere, so they alone are looked at again and again.
"""

from collections.abc import Container

from sweeper.study.points import Points
from sweeper.study.space import Point


class Agenda:
    """The open points of a study, in the order in which they came to be known."""

    def __init__(self, points: Points) -> None:
        self._points, self._known = points, 0
        self._open: dict[str, Point] = {}
        self._left: dict[str, Point] = {}

    def __bool__(self) -> bool:
        """Whether any is open."""
        return bool(self._open)

    def take_in(self) -> list[Point]:
        """Open the points that came to be known since the last call; gives them."""
        new = list(self._points.known[self._known :])
        self._known += len(new)
        self._open |= {point.key: point for point in new}
        return new

    def but(self, mine: Container[str]) -> list[Point]:
        """The open points but those with these keys."""
        return [point for key, point in self._open.items() if key not in mine]

    def leave(self, point: Point) -> None:
        """Another sweep has the point."""
        self._left[point.key] = point

    def elsewhere(self, mine: Container[str]) -> list[Point]:
        """Those that another sweep had when they were looked at, but those with these keys."""
        return [point for key, point in self._left.items() if key not in mine]

    def again(self, point: Point) -> None:
        """The point's record is gone."""
        self._open[point.key] = point

    def end(self, point: Point) -> None:
        """The point has its record."""
        self._open.pop(point.key, None)
        self._left.pop(point.key, None)
