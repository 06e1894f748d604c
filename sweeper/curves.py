"""The documents' plot of one trial: both losses above, both accuracies below, a dotted line at the overfitting point.

Colours are from Okabe and Ito's palette, which colour-blind readers can tell apart; dashes tell
training from validation once more. plotly is imported only when a figure is made.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sweeper.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TRAIN, VALIDATION, POINT = "#0072B2", "#D55E00", "#444444"
FONT = "Noto Sans KR, Apple SD Gothic Neo, Malgun Gothic, Arial, sans-serif"


def trial_figure(curve: Sequence[EpochMetrics], overfit_epoch: int | None, reached: bool, title: str) -> "Figure":
    """A trial's curve as a plotly figure.

    Args:
        curve: the epochs, first to last; non-finite figures leave a gap.
        overfit_epoch: 1-based; None draws no line.
        reached: False marks the line as the last epoch, not an overfitting point.
        title: shown as plain text, whatever characters it has.
    """
    from plotly.subplots import make_subplots

    panels = [("loss", "train_loss", "val_loss")]
    if any(epoch.val_accuracy is not None for epoch in curve):
        panels.append(("accuracy", "train_accuracy", "val_accuracy"))
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.08)
    for row, (name, train, validation) in enumerate(panels, start=1):
        figure.add_trace(_line(curve, train, f"training {name}", TRAIN, "dash"), row=row, col=1)
        figure.add_trace(_line(curve, validation, f"validation {name}", VALIDATION, "solid"), row=row, col=1)
        figure.update_yaxes(title_text=name, row=row, col=1)
    if overfit_epoch is not None:
        _mark(figure, overfit_epoch, reached)
    figure.update_xaxes(title_text="epoch", row=len(panels), col=1)
    figure.update_xaxes(tickmode="linear" if len(curve) <= 20 else "auto", dtick=1, showgrid=False)
    figure.update_layout(
        title_text=_plain(title), template="plotly_white", font_family=FONT, hovermode="x unified",
        height=300 * len(panels) + 120, legend={"orientation": "h", "y": -0.12},
    )  # fmt: skip
    return figure


def curve_html(curve: Sequence[EpochMetrics], overfit_epoch: int | None, reached: bool, title: str) -> str:
    """The figure as one HTML page that needs no network (plotly's script is in it, 5 MB)."""
    figure = trial_figure(curve, overfit_epoch, reached, title)
    return str(figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False}))


def caption(overfit_epoch: int | None, reached: bool) -> str:
    """What the dotted line means, in words."""
    if overfit_epoch is None:
        return "no finite epoch"
    return f"overfitting point: epoch {overfit_epoch}" if reached else f"not reached (last epoch {overfit_epoch})"


def _line(curve: Sequence[EpochMetrics], name: str, label: str, color: str, dash: str) -> Any:
    from plotly.graph_objects import Scatter

    values = [getattr(epoch, name) for epoch in curve]
    return Scatter(
        x=[epoch.epoch for epoch in curve],
        y=[value if value is not None and math.isfinite(value) else None for value in values],
        name=label,
        mode="lines+markers",
        line={"color": color, "dash": dash, "width": 2},
        marker={"size": 6},
    )


def _mark(figure: Any, overfit_epoch: int, reached: bool) -> None:
    figure.add_vline(x=overfit_epoch, line={"dash": "dot", "color": POINT, "width": 2}, row="all", col=1)
    place = {"x": overfit_epoch, "y": 1.0, "xref": "x", "yref": "paper", "yanchor": "bottom"}
    figure.add_annotation(text=caption(overfit_epoch, reached), showarrow=False, **place)


def _plain(text: str) -> str:
    """Plotly reads a few HTML tags in texts; a user's name is not markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
