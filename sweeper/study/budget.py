"""How much a search may spend: trials, minutes, or epochs trained, which is the fair currency between samplers.

No trial is begun that the budget has no room for, and none that was begun is cut off. A trial under way
counts with all its epochs, so that a budget of epochs is never exceeded; what a pruned trial did not use
comes back to it when the trial has ended. Epochs of a trial that another study has trained count too: the
same search ends at the same point, whatever was there before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sweeper.study.wording import count


@dataclass(frozen=True)
class Budget:
    """The most of each currency; None sets no limit in it."""

    trials: int | None
    minutes: float | None
    epochs: int | None

    @classmethod
    def of(cls, study: Mapping[str, Any]) -> Self | None:
        """The budget in a configuration's `study` section; None where it has none, as in every study but a search."""
        plain = study.get("budget") or {}
        budget = cls(plain.get("trials"), plain.get("minutes"), plain.get("epochs"))
        return None if budget == cls(None, None, None) else budget

    def room(self, *, trials: int, epochs: int, minutes: float, epochs_each: int) -> int | None:
        """How many more trials may be begun; None where only time will tell.

        Args:
            trials, epochs, minutes: spent or spoken for.
            epochs_each: of a whole trial.
        """
        if self.minutes is not None and minutes >= self.minutes:
            return 0
        fits = [] if self.trials is None else [self.trials - trials]
        fits += [] if self.epochs is None else [(self.epochs - epochs) // epochs_each]
        return max(0, min(fits)) if fits else None

    def used(self, *, trials: int, epochs: int, minutes: float, epochs_each: int) -> str:
        """`20 of 20 trials`, `10 of 11 epochs (a trial may take 2)`: what is spent of each limited currency."""
        spent = {"trial": trials, "epoch": epochs, "minute": minutes}
        used = [f"{spent[what]:.4g} of {count(most, what)}" for what, most in self._limits.items()]
        left_over = self.epochs is not None and 0 < self.epochs - epochs < epochs_each
        return ", ".join(used) + (f" (a trial may take {epochs_each})" if left_over else "")

    def __str__(self) -> str:
        """`20 trials`, `100 epochs or 30 minutes`."""
        return " or ".join(count(most, what) for what, most in self._limits.items())

    @property
    def _limits(self) -> dict[str, float]:
        """The currencies that have one."""
        limits = {"trial": self.trials, "epoch": self.epochs, "minute": self.minutes}
        return {what: most for what, most in limits.items() if most is not None}
