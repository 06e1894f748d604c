"""How every picture looks: colours, axes, and texts that cannot be read as markup.

Figures are plain nested values, as plotly.js takes them: building two hundred of plotly's Python objects takes
seconds, and a template of 7 kB would travel with each. Colours are Okabe and Ito's, which colour-blind readers
can tell apart; dashes and symbols repeat what a colour says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sweeper.curves import FONT, POINT, TRAIN, VALIDATION

__all__ = ["PALETTE", "POINT", "TRAIN", "VALIDATION", "Figure", "axis", "figure", "finite", "plain", "short", "style"]

Figure = dict[str, Any]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000", "#D55E00")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "star", "hexagon")
INK, GRID = "#222222", "#e4e4e4"
LONGEST_LABEL = 24


def plain(text: str) -> str:
    """Plotly reads some HTML tags in texts; what a user named is not markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(text: str, most: int = LONGEST_LABEL) -> str:
    """At most so many characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def finite(value: float | None) -> float | None:
    """The value, or None (a gap) where there is none or it is not finite."""
    return value if value is not None and math.isfinite(value) else None


def style(number: int, colors: Sequence[str] = PALETTE) -> tuple[str, str, str]:
    """Colour, dash and symbol of the n-th line; of seven colours forty-two differ before the first comes again."""
    turn = number // len(colors)
    return colors[number % len(colors)], DASHES[turn % len(DASHES)], SYMBOLS[number % len(SYMBOLS)]


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis in the common look."""
    look = {"gridcolor": GRID, "linecolor": "#888888", "zeroline": False, "automargin": True, "ticks": "outside"}
    return {"title": {"text": title, "standoff": 12}, **look, **more}


def labelled(
    title: str, names: Sequence[str], size: int = 11, most: int = 120, longest: int = LONGEST_LABEL, **more: Any
) -> dict[str, Any]:
    """An axis whose positions 0, 1, … carry names, so that equal or number-like names stay apart.

    Above `most` names none is written; one of more than `longest` characters is cut off.
    """
    if len(names) > most:
        return axis(title, showticklabels=False, **more)
    texts = [plain(short(name, longest)) for name in names]
    ticks = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": texts, "tickfont": {"size": size}}
    return axis(title, **{**ticks, **more})


def figure(
    traces: Sequence[Mapping[str, Any]],
    x: Mapping[str, Any],
    y: Mapping[str, Any],
    height: int = 420,
    *,
    size: int = 13,
    **more: Any,
) -> Figure:
    """A figure of these traces; `more` goes into its layout."""
    layout = {
        "font": {"family": FONT, "size": size, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 64, "r": 20, "t": 20, "b": 56},
        "height": height,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": dict(x),
        "yaxis": dict(y),
        **more,
    }
    return {"data": [dict(trace) for trace in traces], "layout": layout}


def upright_line(x: float, text: str | None = None) -> dict[str, Any]:
    """The dotted line at x through the whole picture, as part of a layout."""
    line = {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
    found: dict[str, Any] = {"shapes": [{**line, "line": {"dash": "dot", "color": POINT, "width": 2}}]}
    if text is not None:
        place = {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False}
        found["annotations"] = [{**place, "text": plain(text)}]
    return found
