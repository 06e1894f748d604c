"""The pictures of settings: figures against learning rate and batch size, and the cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sweeper.intervals import Interval
from sweeper.reporting.comparison import Comparison
from sweeper.reporting.curve_figures import settings_text, title
from sweeper.reporting.drawing import TRAIN, VALIDATION, Figure, axis, figure, labelled, plain, style
from sweeper.study.configurations import Configuration, has_seeds, seed_of, winner_of, without_seed
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import seeds_text
from sweeper.study.table import batch_of, lr_of

Setting = Literal["lr", "batch_size"]

TITLES = {"lr": "learning rate", "batch_size": "batch size"}
ALONE = "other trials"
MOST_NAMES = 40
LONGEST_TITLE = 44  # what tells two trials apart may stand at the end
MOST_TICKS = 16
MOST_LINES_WITH_BARS = 4


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
    first = winner_of(stopped)
    return first if first is not None and first.key != records[0].key else None


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


def height(one: Configuration) -> float | None:
    """What configurations are compared by: the mean over their seeds of what trials are judged by."""
    return None if one.estimate is None else one.estimate.mean


def against(
    configurations: Sequence[Configuration],
    comparisons: Mapping[str, Comparison],
    setting: Setting,
    *,
    regression: bool,
) -> Figure | None:
    """The judged figure with its 95% interval against a setting, one line for each combination of the others.

    Of several seeds the line goes through the mean, the interval is that of the mean, and each seed is a pale point.

    Args:
        configurations: best first.

    Returns:
        None where fewer than two values were tried.
    """
    values = values_tried([one.best for one in configurations], setting)
    if len(values) < 2:
        return None
    groups = _groups(configurations, setting)
    shown = sorted(groups, key=lambda name: -len(groups[name]))
    traces = [_group(name, groups[name], number, comparisons, setting) for number, name in enumerate(shown)]
    for name, trace in zip(shown, traces, strict=True):
        trace["error_y"]["visible"] = len(shown) <= MOST_LINES_WITH_BARS or configurations[0] in groups[name]
    crosses = _unjudged([one for name in shown for one in groups[name]], traces, setting)
    seeds = (_seeds(groups[name], number, setting, regression) for number, name in enumerate(shown))
    traces += [*(one for one in seeds if one["x"]), *crosses]
    ticks: dict[str, Any] = {"exponentformat": "e", "dtick": 1} if setting == "lr" else {}
    if len(values) <= MOST_TICKS:
        ticks = {"tickmode": "array", "tickvals": values, "ticktext": [f"{value:g}" for value in values]}
    x = axis(TITLES[setting], type="log", **ticks)
    y = axis("validation loss" if regression else "validation accuracy")
    return figure(traces, x, y, showlegend=len(traces) > 1)


def _groups(configurations: Sequence[Configuration], setting: Setting) -> dict[str, list[Configuration]]:
    """Configurations that differ in nothing but the setting, by their common rest, and the winner, which may be alone.

    The others that are alone are one group where they are most of all, as in a search that varies much; else left out.
    """
    groups: dict[str, list[Configuration]] = {}
    several = has_seeds(configurations)
    for one in sorted(configurations, key=lambda one: value_of(one.best, setting)):
        varied = without_seed(one.best.varied) if several else one.best.varied
        others = {name: value for name, value in varied.items() if name != setting}
        groups.setdefault(settings_text(others), []).append(one)
    joined = {name: group for name, group in groups.items() if len(group) > 1 or group[0] is configurations[0]}
    alone = [group[0] for name, group in groups.items() if name not in joined]
    return joined | ({ALONE: alone} if len(alone) > len(configurations) / 2 else {})


def _group(
    name: str,
    group: Sequence[Configuration],
    number: int,
    comparisons: Mapping[str, Comparison],
    setting: Setting,
) -> dict[str, Any]:
    color, dash, symbol = style(number)
    group = [one for one in group if height(one) is not None]
    heights = [height(one) or 0.0 for one in group]
    intervals = [_interval(one, comparisons) for one in group]
    above = [0.0 if one is None else one.high - height for one, height in zip(intervals, heights, strict=True)]
    below = [0.0 if one is None else height - one.low for one, height in zip(intervals, heights, strict=True)]
    return {
        "type": "scatter",
        "mode": "markers" if name == ALONE else "lines+markers",
        "name": plain(name) or "all trials",
        "x": [value_of(one.best, setting) for one in group],
        "y": heights,
        "error_y": {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2},
        "line": {"color": color, "dash": dash, "width": 1.5},
        "marker": {"size": 9, "symbol": symbol},
        "text": [plain(name_of(one)) for one in group],
        "hovertemplate": "%{text}<br>%{y:.4f}<extra></extra>",
    }


def name_of(one: Configuration) -> str:
    """A trial's title, or that of several without the seed, with their number."""
    if one.asked == 1:
        return title(one.best)
    return f"{settings_text(without_seed(one.best.varied))}: mean, {seeds_text(one)} seeds".lstrip(": ")


def _interval(one: Configuration, comparisons: Mapping[str, Comparison]) -> Interval | None:
    """Of the mean over seeds; of a single trial that of its sentences."""
    several = one.estimate is not None and one.estimate.n > 1
    return one.estimate.interval if one.estimate and several else comparisons[one.best.key].interval


def _seeds(group: Sequence[Configuration], number: int, setting: Setting, regression: bool) -> dict[str, Any]:
    """A pale point for each seed of those that have several."""
    trials = [trial for one in group if len(one.scores) > 1 for trial in one.by_seed if trial.is_candidate]
    color, _, symbol = style(number)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "seeds",
        "showlegend": False,
        "x": [value_of(trial, setting) for trial in trials],
        "y": [judged(trial, regression) for trial in trials],
        "marker": {"size": 6, "symbol": symbol, "color": color, "opacity": 0.4},
        "text": [plain(f"{title(trial)}, seed {seed_of(trial)}") for trial in trials],
        "hovertemplate": "%{text}<br>%{y:.4f}<extra></extra>",
    }


def _unjudged(
    configurations: Sequence[Configuration], traces: Sequence[Mapping[str, Any]], setting: Setting
) -> list[dict[str, Any]]:
    """Crosses at the foot of the picture for trials without a figure."""
    left = [one.best for one in configurations if height(one) is None]
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
