"""The documents' plot of one trial: both losses above, both accuracies below, a dotted line at the overfitting point.

A page of some kilobytes that needs nothing but itself: it is kept with every trial of a study, of which there may be
ten thousand, and a plotting library in it would be 5 MB each. Colours are from Okabe and Ito's palette, which
colour-blind readers can tell apart; dashes tell training from validation once more. A dot that is pointed at says its
figure.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from xml.etree.ElementTree import Element, SubElement, tostring

from sweeper.training.metrics import EpochMetrics

TRAIN, VALIDATION, POINT = "#0072B2", "#D55E00", "#444444"
FONT = "Noto Sans KR, Apple SD Gothic Neo, Malgun Gothic, Arial, sans-serif"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, GAP, BOTTOM = 900, 260, 80, 20, 40, 40, 70  # pixels; the height of one panel
GRID, DASHES = "#e5e5e5", {"train": "7 5", "val": "none"}
STEPS = (1, 2, 5, 10)
MOST_TICKS = 6, 20  # of the upright axis, and of the epochs


@dataclass(frozen=True)
class _Panel:
    """Where the figures of one kind lie."""

    kind: str
    top: float
    low: float
    high: float
    epochs: int

    def x(self, epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - 0.5) / self.epochs

    def y(self, value: float) -> float:
        return self.top + HEIGHT * (self.high - value) / (self.high - self.low)


def curve_html(curve: Sequence[EpochMetrics], overfit_epoch: int | None, reached: bool, title: str) -> str:
    """The plot as one HTML page that needs no network and no script."""
    picture = tostring(trial_picture(curve, overfit_epoch, reached, title), encoding="unicode")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    return f"<!DOCTYPE html>\n<html><head>{head}</head><body>{picture}</body></html>\n"


def trial_picture(curve: Sequence[EpochMetrics], overfit_epoch: int | None, reached: bool, title: str) -> Element:
    """A trial's curve as an SVG element.

    Args:
        curve: the epochs, first to last; non-finite figures leave a gap.
        overfit_epoch: 1-based; None draws no line.
        reached: False marks the line as the last epoch, not an overfitting point.
        title: shown as plain text, whatever characters it has.
    """
    panels = _panels(curve)
    height = TOP + len(panels) * (HEIGHT + GAP) - GAP + BOTTOM
    size = {"width": str(WIDTH), "height": str(height), "viewBox": f"0 0 {WIDTH} {height}"}
    picture = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": "13", **size})
    _text(picture, LEFT, 18, title, {"font-size": "16"})
    for panel in panels:
        _axes(picture, panel)
        if overfit_epoch is not None:
            ends = {
                "x1": panel.x(overfit_epoch),
                "y1": panel.top,
                "x2": panel.x(overfit_epoch),
                "y2": panel.top + HEIGHT,
            }
            _add(
                picture,
                "line",
                ends,
                {"class": "point", "stroke": POINT, "stroke-width": "2", "stroke-dasharray": "2 4"},
            )
        for who, colour in (("train", TRAIN), ("val", VALIDATION)):
            _line(picture, panel, curve, who, colour)
    if overfit_epoch is not None:
        near = {"text-anchor": "middle", "fill": POINT}
        _text(picture, panels[0].x(overfit_epoch), TOP - 6, caption(overfit_epoch, reached), near)
    _text(picture, WIDTH / 2, height - BOTTOM + 36, "epoch", {"text-anchor": "middle"})
    for number, (who, colour, name) in enumerate((("train", TRAIN, "training"), ("val", VALIDATION, "validation"))):
        at, y = LEFT + 130 * number, height - 14
        _add(picture, "line", {"x1": at, "y1": y - 4, "x2": at + 36, "y2": y - 4}, _stroke(who, colour))
        _text(picture, at + 44, y, name)
    return picture


def caption(overfit_epoch: int | None, reached: bool) -> str:
    """What the dotted line means, in words."""
    if overfit_epoch is None:
        return "no finite epoch"
    return f"overfitting point: epoch {overfit_epoch}" if reached else f"not reached (last epoch {overfit_epoch})"


def _panels(curve: Sequence[EpochMetrics]) -> list[_Panel]:
    """Losses, and accuracies where there are any."""
    panels: list[_Panel] = []
    for kind in ("loss", "accuracy"):
        values = [value for who in DASHES for epoch in curve if (value := _value(epoch, who, kind)) is not None]
        if values or kind == "loss":
            low, high = min(values, default=0.0), max(values, default=1.0)
            room = 0.06 * (high - low) or max(abs(high), 1e-6) / 20
            last = max((epoch.epoch for epoch in curve), default=1)
            panels.append(_Panel(kind, TOP + len(panels) * (HEIGHT + GAP), low - room, high + room, last))
    return panels


def _value(epoch: EpochMetrics, who: str, kind: str) -> float | None:
    value = getattr(epoch, f"{who}_{kind}")
    return value if value is not None and math.isfinite(value) else None


def _axes(picture: Element, panel: _Panel) -> None:
    bottom, grid = panel.top + HEIGHT, {"stroke": GRID}
    for value in _ticks(panel.low, panel.high, MOST_TICKS[0]):
        y = panel.y(value)
        _add(picture, "line", {"x1": LEFT, "y1": y, "x2": WIDTH - RIGHT, "y2": y}, grid)
        _text(picture, LEFT - 8, y + 4, f"{value:.6g}", {"text-anchor": "end"})
    for epoch in _ticks(1, panel.epochs, MOST_TICKS[1], whole=True):
        _text(picture, panel.x(epoch), bottom + 18, f"{epoch:.0f}", {"text-anchor": "middle"})
    _add(picture, "line", {"x1": LEFT, "y1": bottom, "x2": WIDTH - RIGHT, "y2": bottom}, {"stroke": POINT})
    middle = panel.top + HEIGHT / 2
    _text(picture, 18, middle, panel.kind, {"text-anchor": "middle", "transform": f"rotate(-90 18 {middle:g})"})


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> Iterator[float]:
    """Round numbers between the two, no more than so many."""
    least = max((high - low) / most, 1 if whole else 1e-12)
    power = 10 ** math.floor(math.log10(least))
    step = next(power * factor for factor in STEPS if power * factor >= least * (1 - 1e-9))
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield number * step


def _line(picture: Element, panel: _Panel, curve: Sequence[EpochMetrics], who: str, colour: str) -> None:
    """A line that breaks where a figure is missing, and a dot for each figure."""
    path, pen = [], "M"
    kind = f"{'training' if who == 'train' else 'validation'} {panel.kind}"
    line = SubElement(picture, "path", {"class": kind, "fill": "none", **_stroke(who, colour)})
    for epoch in curve:
        if (value := _value(epoch, who, panel.kind)) is None:
            pen = "M"
            continue
        path.append(f"{pen}{panel.x(epoch.epoch):.1f} {panel.y(value):.1f}")
        pen = "L"
        dot = _add(picture, "circle", {"cx": panel.x(epoch.epoch), "cy": panel.y(value), "r": 3.5}, {"fill": colour})
        SubElement(dot, "title").text = f"{kind}, epoch {epoch.epoch}: {value:.6g}"
    line.set("d", "".join(path))


def _stroke(who: str, colour: str) -> dict[str, str]:
    return {"stroke": colour, "stroke-width": "2", "stroke-dasharray": DASHES[who]}


def _text(picture: Element, x: float, y: float, text: str, look: dict[str, str] | None = None) -> None:
    _add(picture, "text", {"x": x, "y": y}, look or {}).text = text


def _add(picture: Element, name: str, place: dict[str, float], look: dict[str, str]) -> Element:
    return SubElement(picture, name, {key: f"{value:.1f}" for key, value in place.items()} | look)
