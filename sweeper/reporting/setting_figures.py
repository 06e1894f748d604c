"""The pictures of settings: figures against learning rate and batch size, the grid's heat map, the cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sweeper.reporting.comparison import Comparison
from sweeper.reporting.curve_figures import settings_text, title
from sweeper.reporting.drawing import TRAIN, VALIDATION, Figure, axis, figure, labelled, plain, style
from sweeper.study.record import TrialRecord, rank
from sweeper.study.table import batch_of, lr_of

Setting = Literal["lr", "batch_size"]

TITLES = {"lr": "learning rate", "batch_size": "batch size"}
FILLED = 0.6  # share of a grid's cells that must have a trial, or its picture is mostly holes
ALONE = "other trials"
MOST_NAMES = 40
LONGEST_TITLE = 44  # what tells two trials apart may stand at the end
MOST_TICKS = 16
MOST_LINES_WITH_BARS = 4
MOST_CELLS_WITH_TEXT = 150


@dataclass(frozen=True)
class Cost:
    """What a trial took, in seconds.

    Attributes:
        needed: up to the epoch after which early stopping at the overfitting point would have ended it.
        saved: the rest.
        speed: training sentences a second over all epochs (mean weighted by time); None without epochs.
    """

    needed: float
    saved: float
    speed: float | None

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.needed + self.saved


def cost(record: TrialRecord) -> Cost:
    """Cost of a trial; stopping needs to see the rise, so `overfitting.patience` epochs after the point are needed."""
    seconds = [one.seconds for one in record.curve]
    stop = len(seconds)
    if record.overfit_epoch is not None and record.overfit_reached:
        stop = record.overfit_epoch + int(record.config["overfitting"]["patience"])
    total = sum(seconds)
    speed = sum(one.sentences_per_second * one.seconds for one in record.curve) / total if total else None
    return Cost(sum(seconds[:stop]), sum(seconds[stop:]), speed)


def winner_if_stopped(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """Who had won if every trial had been stopped at its overfitting point; None where it is the same winner.

    A trial that diverged after its point had kept its score then, so it may be another.

    Args:
        records: best first.
    """
    stopped = [replace(one, state="pruned") if one.state == "diverged" else one for one in records]
    first = next(iter(rank(stopped)), None)
    return first if first is not None and first.is_candidate and first.key != records[0].key else None


def unspent(record: TrialRecord) -> float:
    """Seconds that a pruned trial's other epochs had taken at the pace of those that it had."""
    left = int(record.config["train"]["epochs"]) - len(record.curve)
    return record.seconds / len(record.curve) * max(0, left) if record.state == "pruned" and record.curve else 0.0


def value_of(record: TrialRecord, setting: Setting) -> float:
    """The trial's learning rate or batch size."""
    return lr_of(record) if setting == "lr" else batch_of(record)


def judged(record: TrialRecord, regression: bool) -> float | None:
    """What trials are compared by: validation accuracy (regression: loss) at the overfitting point."""
    at = record.at_overfit
    if at is None or not record.is_candidate:
        return None
    return at.val_loss if regression else at.val_accuracy


def values_tried(records: Sequence[TrialRecord], setting: Setting) -> list[float]:
    """The distinct values of a setting, ascending."""
    return sorted({value_of(record, setting) for record in records})


def against(
    records: Sequence[TrialRecord], comparisons: Mapping[str, Comparison], setting: Setting, *, regression: bool
) -> Figure | None:
    """The judged figure with its 95% interval against a setting, one line for each combination of the others.

    Args:
        records: best first.

    Returns:
        None where fewer than two values were tried.
    """
    values = values_tried(records, setting)
    if len(values) < 2:
        return None
    groups = _groups(records, setting)
    shown = sorted(groups, key=lambda name: -len(groups[name]))
    traces = [_group(name, groups[name], number, comparisons, setting, regression) for number, name in enumerate(shown)]
    for name, trace in zip(shown, traces, strict=True):
        trace["error_y"]["visible"] = len(shown) <= MOST_LINES_WITH_BARS or records[0] in groups[name]
    traces += _unjudged([record for name in shown for record in groups[name]], traces, setting, regression)
    ticks: dict[str, Any] = {"exponentformat": "e", "dtick": 1} if setting == "lr" else {}
    if len(values) <= MOST_TICKS:
        ticks = {"tickmode": "array", "tickvals": values, "ticktext": [f"{value:g}" for value in values]}
    x = axis(TITLES[setting], type="log", **ticks)
    y = axis("validation loss" if regression else "validation accuracy")
    return figure(traces, x, y, showlegend=len(traces) > 1)


def _groups(records: Sequence[TrialRecord], setting: Setting) -> dict[str, list[TrialRecord]]:
    """Trials that differ in nothing but the setting, by their common rest, and the winner, which may be alone.

    The others that are alone are one group where they are most of all, as in a search that varies much; else left out.
    """
    groups: dict[str, list[TrialRecord]] = {}
    for record in sorted(records, key=lambda one: value_of(one, setting)):
        others = {name: value for name, value in record.varied.items() if name != setting}
        groups.setdefault(settings_text(others), []).append(record)
    joined = {name: group for name, group in groups.items() if len(group) > 1 or group[0] is records[0]}
    alone = [group[0] for name, group in groups.items() if name not in joined]
    return joined | ({ALONE: alone} if len(alone) > len(records) / 2 else {})


def _group(
    name: str,
    group: Sequence[TrialRecord],
    number: int,
    comparisons: Mapping[str, Comparison],
    setting: Setting,
    regression: bool,
) -> dict[str, Any]:
    color, dash, symbol = style(number)
    group = [record for record in group if judged(record, regression) is not None]
    heights = [judged(record, regression) or 0.0 for record in group]
    intervals = [comparisons[record.key].interval for record in group]
    above = [0.0 if one is None else one.high - height for one, height in zip(intervals, heights, strict=True)]
    below = [0.0 if one is None else height - one.low for one, height in zip(intervals, heights, strict=True)]
    return {
        "type": "scatter",
        "mode": "markers" if name == ALONE else "lines+markers",
        "name": plain(name) or "all trials",
        "x": [value_of(record, setting) for record in group],
        "y": heights,
        "error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2},
        "line": {"color": color, "dash": dash, "width": 1.5},
        "marker": {"size": 9, "symbol": symbol},
        "text": [plain(title(record)) for record in group],
        "hovertemplate": "%{text}<br>%{y:.4f}<extra></extra>",
    }


def _unjudged(
    records: Sequence[TrialRecord], traces: Sequence[Mapping[str, Any]], setting: Setting, regression: bool
) -> list[dict[str, Any]]:
    """Crosses at the foot of the picture for trials without a figure."""
    left = [record for record in records if judged(record, regression) is None]
    if not left:
        return []
    feet = [
        height - below
        for trace in traces
        for height, below in zip(trace["y"], trace["error_y"]["arrayminus"], strict=True)
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "no figure (diverged, failed or pruned)",
            "x": [value_of(record, setting) for record in left],
            "y": [min(feet, default=0.0)] * len(left),
            "marker": {"symbol": "x", "size": 10, "color": VALIDATION},
            "text": [plain(f"{title(record)}: {record.state}") for record in left],
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]


def heat_map(
    records: Sequence[TrialRecord], *, regression: bool, winner: TrialRecord | None = None, filled: float = FILLED
) -> Figure | None:
    """Learning rate by batch size; None unless enough cells of a grid of at least 2 by 2 have a trial.

    Args:
        records: best first; where other settings vary too a cell shows its best trial.
        winner: gets the star, if it is among them; None: the first.
        filled: share of the cells that must have a trial.
    """
    winner = winner or next(iter(records), None)
    rates, sizes = values_tried(records, "lr"), values_tried(records, "batch_size")
    cells: dict[tuple[float, float], TrialRecord] = {}
    for record in records:
        cells.setdefault((value_of(record, "batch_size"), value_of(record, "lr")), record)
    if winner is None or len(rates) < 2 or len(sizes) < 2 or len(cells) < filled * len(rates) * len(sizes):
        return None
    found = [[cells.get((size, rate)) for rate in rates] for size in sizes]
    written = len(cells) <= MOST_CELLS_WITH_TEXT
    trace = {
        "type": "heatmap",
        "z": [[None if one is None else judged(one, regression) for one in row] for row in found],
        "text": [[_cell(one, winner, regression) for one in row] for row in found],
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
    marks = _marks(found, winner, regression, star=not written)
    return figure([trace], x, y, 160 + 44 * len(sizes), annotations=marks)


def _marks(
    found: Sequence[Sequence[TrialRecord | None]], winner: TrialRecord, regression: bool, *, star: bool
) -> list[dict[str, Any]]:
    """A cross on cells whose trial has no figure, which a heat map leaves empty; a star on the winner's if wanted."""
    marks = []
    for y, row in enumerate(found):
        for x, record in enumerate(row):
            if record is not None and judged(record, regression) is None:
                marks.append({"x": x, "y": y, "text": "×", "showarrow": False})
            elif star and record is winner:
                marks.append({"x": x, "y": y, "text": "★", "showarrow": False})
    return marks


def _cell(record: TrialRecord | None, winner: TrialRecord, regression: bool) -> str:
    if record is None:
        return ""
    value = judged(record, regression)
    figures = record.state if value is None else f"{value:.4f}"
    return f"★ {figures}" if record is winner and value is not None else figures


def cost_figure(records: Sequence[TrialRecord]) -> Figure:
    """Seconds of each trial, best first, parted where early stopping at the overfitting point would have ended it."""
    costs = [cost(record) for record in records]
    shared = {"type": "bar", "x": list(range(len(records))), "text": [plain(title(one)) for one in records]}
    hover = {"textposition": "none", "hovertemplate": "%{text}<br>%{y:.1f} s<extra></extra>"}
    traces = [
        {**shared, **hover, "name": "up to the stop", "y": [one.needed for one in costs], "marker": {"color": TRAIN}},
        {**shared, **hover, "name": "saved by stopping", "y": [one.saved for one in costs],
         "marker": {"color": "#E69F00", "pattern": {"shape": "/", "fillmode": "overlay", "size": 6}}},
    ]  # fmt: skip
    x = labelled(
        "trial, best first", [title(one) for one in records], most=MOST_NAMES, longest=LONGEST_TITLE, showgrid=False
    )
    return figure(traces, x, axis("seconds"), 420, barmode="stack")
