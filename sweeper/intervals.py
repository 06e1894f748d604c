"""A mean over few seeds and how sure it is: Student's t.

A trial's figure moves with its seed (the head's first weights, the order of the rows, dropout). The t interval says
where the mean over all seeds lies, if figures scatter like a normal distribution. With three seeds it is wide: 4.3
standard errors to each side, against 1.96 with very many. Says nothing of other sentences, nor of other data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A 95% interval, lower end first."""

    low: float
    high: float

    def overlaps(self, other: "Interval") -> bool:
        """Whether the two have a value in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        n: number of seeds.
        interval: of the mean; None for one seed, which says nothing of the others.
    """

    n: int
    mean: float
    interval: Interval | None

    @property
    def half(self) -> float | None:
        """Half the interval's width: what stands behind a ±."""
        return None if self.interval is None else (self.interval.high - self.interval.low) / 2

    @property
    def flipped(self) -> "Estimate":
        """The same of the negative values."""
        turned = None if self.interval is None else Interval(-self.interval.high, -self.interval.low)
        return Estimate(self.n, -self.mean, turned)


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of one finite value a seed, with Student's 95% interval for n - 1 degrees of freedom.

    Given the differences of two configurations seed by seed, it is the paired comparison: the two are told apart
    where 0 is outside (the paired t-test at the 5% level).

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no value")
    n, mean = len(values), math.fsum(values) / len(values)
    if n == 1:
        return Estimate(1, mean, None)
    from scipy.special import stdtrit

    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
    half = float(stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return Estimate(n, mean, Interval(mean - half, mean + half))
