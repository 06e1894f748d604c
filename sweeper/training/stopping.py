"""Early stopping as Keras has it, which is what the source documents trained with.

An epoch improves when the monitored figure beats the best so far by more than `min_delta`. Training stops
after the first epoch without improvement at which `patience` epochs or more have passed since the best: a
patience of 0 and of 1 both stop at the first one. The first epoch never stops a training.
"""

import math

from sweeper.training.metrics import EpochMetrics

MONITORS = ("val_loss", "val_accuracy")


class EarlyStop:
    """Tells after each epoch whether to stop.

    Args:
        monitor: `val_loss` (lower is better), `val_accuracy` (higher), or None: never stop.
        min_delta: smallest change that counts.
        patience: epochs without improvement that are waited for.
    """

    def __init__(self, monitor: str | None, min_delta: float, patience: int) -> None:
        if monitor is not None and monitor not in MONITORS:
            raise ValueError(f"early stopping can monitor {MONITORS}, not {monitor!r}")
        self.monitor = monitor
        self.min_delta = min_delta
        self.patience = patience
        self.best = math.inf
        self.waited = 0
        self.stopped = False

    def update(self, metrics: EpochMetrics) -> bool:
        """Read one epoch; True when training should stop."""
        if self.monitor is None:
            return False
        value = self._lower_is_better(metrics)
        if value < self.best - self.min_delta:
            self.best, self.waited = value, 0
        else:
            self.waited += 1
            self.stopped = self.waited >= self.patience and metrics.epoch > 1
        return self.stopped

    def _lower_is_better(self, metrics: EpochMetrics) -> float:
        if self.monitor == "val_loss":
            return metrics.val_loss
        if metrics.val_accuracy is None:
            raise ValueError("early stopping cannot monitor val_accuracy: a regression has none; use val_loss")
        return -metrics.val_accuracy

    def state_dict(self) -> dict[str, float | int | bool]:
        """What a resumed training needs."""
        return {"best": self.best, "waited": self.waited, "stopped": self.stopped}

    def load_state_dict(self, state: dict[str, float | int | bool]) -> None:
        """Go on from `state_dict`."""
        self.best, self.waited, self.stopped = float(state["best"]), int(state["waited"]), bool(state["stopped"])
