"""Figures, counts and durations as words, the same wherever a person reads them."""

from sweeper.training.metrics import EpochMetrics


def number(value: float | None) -> str:
    """Four digits, or a dash where there is no such figure (accuracy of a regression)."""
    return "–" if value is None else f"{value:.4f}"


def figures(epoch: EpochMetrics) -> str:
    """The four figures of an epoch."""
    parts = [f"train loss {epoch.train_loss:.4f}", f"val loss {epoch.val_loss:.4f}"]
    if epoch.val_accuracy is not None:
        parts += [f"train acc {number(epoch.train_accuracy)}", f"val acc {number(epoch.val_accuracy)}"]
    return "  ".join(parts)


def count(number_of: float, what: str) -> str:
    """`1 trial`, `8 trials`, `0.5 minutes`."""
    return f"{number_of:g} {what}" if number_of == 1 else f"{number_of:g} {what}s"


def duration(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
