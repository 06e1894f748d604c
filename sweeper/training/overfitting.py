"""The overfitting point: where a run is judged and which weights it keeps.

The last epoch before validation loss first rises by more than `min_delta` over the epoch before, for
`patience` epochs in a row. The first rise counts, not the lowest loss: a curve that rises and later
falls below is still judged before its first rise. A curve that never rises is judged at its last
epoch, marked not reached. A curve is read up to its first non-finite loss, which is not a rise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class OverfittingPoint:
    """An epoch (1-based), and whether validation loss did rise after it."""

    epoch: int
    reached: bool


class OverfittingTracker:
    """The same rule, one epoch at a time, so that weights are kept while they are at hand.

    Args:
        min_delta: a rise must be larger than this.
        patience: rises in a row that make an overfitting point.
    """

    def __init__(self, min_delta: float = 0.0, patience: int = 1) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, not {patience}")
        self.min_delta = min_delta
        self.patience = patience
        self._epoch = 0
        self._rises = 0
        self._last_loss = math.inf
        self._closed = False

    def update(self, val_loss: float) -> bool:
        """Read the next epoch's validation loss.

        Returns:
            True when this epoch is now the candidate, so that its weights should be kept. Once the
            point is reached, and from a non-finite loss on, always False.
        """
        if self._closed or not math.isfinite(val_loss):
            self._closed = True
            return False
        self._epoch += 1
        self._rises = self._rises + 1 if val_loss - self._last_loss > self.min_delta else 0
        self._last_loss = val_loss
        self._closed = self.reached
        return not self._closed

    @property
    def reached(self) -> bool:
        """Whether validation loss has risen long enough."""
        return self._rises >= self.patience

    @property
    def point(self) -> OverfittingPoint:
        """The overfitting point of the epochs read so far.

        Raises:
            ValueError: no epoch had a finite loss.
        """
        if self._epoch == 0:
            raise ValueError("no epoch has a finite validation loss, so there is no overfitting point")
        if self.reached:
            return OverfittingPoint(self._epoch - self.patience, reached=True)
        return OverfittingPoint(self._epoch, reached=False)

    def is_final(self, epochs: int, extra: int = 0) -> bool:
        """Whether training may end here: the point is certain, and no further epoch changes what follows from it.

        Args:
            epochs: trained so far.
            extra: epochs to train after the point is certain.
        """
        return self.reached and epochs >= self.point.epoch + self.patience + extra

    @property
    def keep(self) -> frozenset[int]:
        """Epochs whose weights may still turn out to be the point's: one, or with `patience` above 1
        during a rise that is not yet long enough two (the epoch before the rise, and the last)."""
        if self._epoch == 0:
            return frozenset()
        if self._closed:
            return frozenset({self.point.epoch})
        return frozenset({self._epoch, self._epoch - self._rises})


def overfitting_point(val_losses: Sequence[float], min_delta: float = 0.0, patience: int = 1) -> OverfittingPoint:
    """The overfitting point of a whole curve, first epoch first.

    Raises:
        ValueError: nothing finite to judge.
    """
    finite = list(val_losses)
    for index, loss in enumerate(val_losses):
        if not math.isfinite(loss):
            finite = finite[:index]
            break
    if not finite:
        raise ValueError("no epoch has a finite validation loss, so there is no overfitting point")
    rises = [after - before > min_delta for before, after in pairwise(finite)]
    for start in range(len(rises) - patience + 1):
        if all(rises[start : start + patience]):
            return OverfittingPoint(start + 1, reached=True)
    return OverfittingPoint(len(finite), reached=False)
