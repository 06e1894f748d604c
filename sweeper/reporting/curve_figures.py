"""The pictures of curves: each trial's four, and every trial's validation loss in one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sweeper.reporting.drawing import (
    PALETTE,
    TRAIN,
    VALIDATION,
    Figure,
    axis,
    figure,
    finite,
    plain,
    style,
    upright_line,
)
from sweeper.study.configurations import Configuration
from sweeper.study.record import TrialRecord, trial_name
from sweeper.study.space import GRID

SMALL_HEIGHT = 300
MANY = 30  # lines above which points are not marked
FAR = 3.0
OTHERS = tuple(color for color in PALETTE if color != VALIDATION)  # which is the winner's alone
LOSSES = ("train_loss", "val_loss")


def loss_range(records: Sequence[TrialRecord], names: Sequence[str] = LOSSES) -> tuple[float, float, bool]:
    """A range of losses that one run gone wild does not flatten.

    Args:
        names: `train_loss`, `val_loss` or both.

    Returns:
        lowest, highest, and whether some loss lies above (Tukey's outer fence over the trials' highest losses).
    """
    losses = [[getattr(one, name) for one in record.curve for name in names] for record in records]
    kept = [[loss for loss in trial if np.isfinite(loss)] for trial in losses]
    highest = np.array([max(trial) for trial in kept if trial])
    if not len(highest):
        return 0.0, 1.0, False
    low = min(min(trial) for trial in kept if trial)
    quarter, three_quarters = np.quantile(highest, [0.25, 0.75])
    fence = max(three_quarters + FAR * (three_quarters - quarter), FAR * three_quarters)
    high = max(loss for trial in kept for loss in trial if loss <= fence or fence <= 0)
    margin = 0.04 * (high - low) or 0.1
    return low - margin, high + margin, bool(highest.max() > high)


def small_multiple(record: TrialRecord, losses: tuple[float, float], accuracy: float | None, epochs: int) -> Figure:
    """A trial's four curves: losses above, accuracies below, the dotted line at its overfitting point.

    Args:
        losses: range of the loss axis, the same for every trial.
        accuracy: top of the accuracy axis; None for a regression, which has none.
        epochs: of the longest trial.
    """
    traces = [_curve(record, "train_loss", "y", TRAIN, "dash"), _curve(record, "val_loss", "y", VALIDATION, "solid")]
    panels: dict[str, Any] = {}
    bottom = "y"
    if accuracy is not None:
        traces += [
            _curve(record, "train_accuracy", "y2", TRAIN, "dash"),
            _curve(record, "val_accuracy", "y2", VALIDATION, "solid"),
        ]
        panels["yaxis2"] = axis("accuracy", range=[0, accuracy], domain=[0, 0.45], nticks=5, automargin=False)
        bottom = "y2"
    x = axis("epoch", range=[0.5, epochs + 0.5], anchor=bottom, showgrid=False, dtick=max(1, -(-epochs // 10)))
    y = axis("loss", range=list(losses), domain=[0.55 if panels else 0, 1], nticks=5, automargin=False)
    line = {} if record.overfit_epoch is None else upright_line(record.overfit_epoch)
    return figure(
        traces, x, y, SMALL_HEIGHT if panels else SMALL_HEIGHT * 2 // 3,
        showlegend=False, margin={"l": 52, "r": 8, "t": 6, "b": 40}, hovermode="x unified",
        size=11, **panels, **line,
    )  # fmt: skip


def accuracy_top(records: Sequence[TrialRecord]) -> float | None:
    """Top of a common accuracy axis; None where no trial has accuracies."""
    values = [
        value for record in records for one in record.curve for value in (one.train_accuracy, one.val_accuracy)
        if finite(value) is not None
    ]  # fmt: skip
    return min(1.02, 1.05 * max(value for value in values if value is not None) + 0.005) if values else None


def _curve(record: TrialRecord, name: str, y: str, color: str, dash: str) -> dict[str, Any]:
    side = "training" if name.startswith("train") else "validation"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{side} {name.split('_')[1]}",
        "x": [one.epoch for one in record.curve],
        "y": [_rounded(finite(getattr(one, name))) for one in record.curve],
        "yaxis": y,
        "line": {"color": color, "dash": dash, "width": 2},
        "marker": {"size": 4},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def validation_losses(configurations: Sequence[Configuration]) -> Figure:
    """Every trial's validation loss; the legend switches trials on and off.

    Args:
        configurations: best first, each with a colour for all its seeds; the first one's best trial is drawn thickest.
    """
    places = [(one, place) for place, each in enumerate(configurations) for one in each.trials if one.curve]
    shown = [record for record, _ in places]
    low, high, _ = loss_range(shown, ["val_loss"])
    epochs = max((len(record.curve) for record in shown), default=1)
    x = axis("epoch", showgrid=False, range=[0.8, epochs + 0.2], dtick=max(1, -(-epochs // 20)))
    best = configurations[0].best if configurations else None
    traces = [_overlay(record, place, len(shown), thick=record is best) for record, place in places]
    legend = {"itemclick": "toggle", "itemdoubleclick": "toggleothers", "font": {"size": 11}}
    return figure(
        traces[::-1], x, axis("validation loss", range=[low, high]), 560,
        legend={**legend, "traceorder": "reversed"}, showlegend=True,
    )  # fmt: skip


def _overlay(record: TrialRecord, place: int, trials: int, *, thick: bool) -> dict[str, Any]:
    color, dash, _ = (VALIDATION, "solid", "") if place == 0 else style(place - 1, OTHERS)
    marks: dict[str, Any] = {"mode": "lines"}
    if trials <= MANY or thick:
        sizes = [9 if one.epoch == record.overfit_epoch else 0 for one in record.curve]
        marks = {"mode": "lines+markers", "marker": {"size": sizes, "opacity": 1}}
    return {
        "type": "scatter",
        "name": plain(title(record)),
        "x": [one.epoch for one in record.curve],
        "y": [_rounded(finite(one.val_loss)) for one in record.curve],
        "line": {"color": color, "dash": dash, "width": 4 if thick else 1.5},
        **marks,
    }


def title(record: TrialRecord) -> str:
    """What a trial is called; never empty."""
    return settings_text(record.varied) or record.key[:8]


def also_text(record: TrialRecord) -> str:
    """`optimizer.name=sgd`: what tells a trial from others of its learning rate and batch size; may be empty."""
    return settings_text(also_of(record))


def also_of(record: TrialRecord) -> dict[str, Any]:
    """The same as values."""
    return {name: value for name, value in record.varied.items() if name not in GRID}


def settings_text(varied: Mapping[str, Any]) -> str:
    """`lr=2e-05 bs=64 optimizer.name=sgd`; a rate drawn from a range is rounded to what can be read."""
    return trial_name({name: float(f"{v:.4g}") if isinstance(v, float) else v for name, v in varied.items()})
