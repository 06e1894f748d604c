"""The picture of a grid: learning rate by batch size, the figure as a colour."""

from collections.abc import Sequence
from typing import Any

from sweeper.reporting.drawing import Figure, figure, labelled
from sweeper.reporting.setting_figures import height, value_of, values_tried
from sweeper.study.configurations import Configuration

FILLED = 0.6  # share of a grid's cells that must have a trial, or its picture is mostly holes
MOST_CELLS_WITH_TEXT = 150


def heat_map(
    configurations: Sequence[Configuration],
    *,
    regression: bool,
    winner: Configuration | None = None,
    filled: float = FILLED,
) -> Figure | None:
    """Learning rate by batch size; None unless enough cells of a grid of at least 2 by 2 have a trial.

    Args:
        configurations: best first; where other settings vary too a cell shows its best one.
        winner: gets the star, if it is among them; None: the first.
        filled: share of the cells that must have a trial.
    """
    winner, trials = winner or next(iter(configurations), None), [one.best for one in configurations]
    rates, sizes = values_tried(trials, "lr"), values_tried(trials, "batch_size")
    cells: dict[tuple[float, float], Configuration] = {}
    for one in configurations:
        cells.setdefault((value_of(one.best, "batch_size"), value_of(one.best, "lr")), one)
    if winner is None or len(rates) < 2 or len(sizes) < 2 or len(cells) < filled * len(rates) * len(sizes):
        return None
    found = [[cells.get((size, rate)) for rate in rates] for size in sizes]
    written = len(cells) <= MOST_CELLS_WITH_TEXT
    trace = {
        "type": "heatmap",
        "z": [[None if one is None else height(one) for one in row] for row in found],
        "text": [[_cell(one, winner) for one in row] for row in found],
        "texttemplate": "%{text}" if written else "",
        "hovertemplate": "%{text}<extra></extra>",
        "colorscale": "Cividis",
        "reversescale": regression,
        "colorbar": {"title": {"text": "validation loss" if regression else "validation accuracy", "side": "right"}},
        "xgap": 2,
        "ygap": 2,
    }
    x = labelled("learning rate", [f"{rate:.4g}" for rate in rates], showgrid=False, range=[-0.5, len(rates) - 0.5])
    y = labelled("batch size", [f"{size:g}" for size in sizes], showgrid=False, range=[-0.5, len(sizes) - 0.5])
    marks = _marks(found, winner, star=not written)
    return figure([trace], x, y, 160 + 44 * len(sizes), annotations=marks)


def _marks(
    found: Sequence[Sequence[Configuration | None]], winner: Configuration, *, star: bool
) -> list[dict[str, Any]]:
    """A cross on cells whose trial has no figure, which a heat map leaves empty; a star on the winner's if wanted."""
    marks = []
    for y, row in enumerate(found):
        for x, one in enumerate(row):
            if one is not None and height(one) is None:
                marks.append({"x": x, "y": y, "text": "×", "showarrow": False})
            elif star and one is winner:
                marks.append({"x": x, "y": y, "text": "★", "showarrow": False})
    return marks


def _cell(one: Configuration | None, winner: Configuration) -> str:
    if one is None:
        return ""
    value = height(one)
    figures = one.best.state if value is None else f"{value:.4f}"
    return f"★ {figures}" if one is winner and value is not None else figures
