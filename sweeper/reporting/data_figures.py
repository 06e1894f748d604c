"""The pictures of data: class balance, sentence lengths, and the test split's confusion matrix."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sweeper.reporting.drawing import TRAIN, VALIDATION, Figure, axis, figure, labelled, plain, upright_line

MOST_CLASSES = 150
WIDE_LABEL = 8


def class_balance(balance: Mapping[str, Mapping[str, int]]) -> Figure:
    """Rows of each class in train and validation, most frequent first.

    Args:
        balance: split → class → rows.
    """
    train = balance["train"]
    names = sorted(train, key=lambda name: -train[name])
    traces = [
        {
            "type": "bar",
            "name": split,
            "x": list(range(len(names))),
            "y": [balance[split].get(name, 0) for name in names],
            "text": [plain(name) for name in names],
            "textposition": "none",
            "hovertemplate": "%{text}<br>%{y:,} rows<extra>" + split + "</extra>",
            "marker": {"color": color, "pattern": {"shape": shape, "fillmode": "overlay", "size": 5}},
        }
        for split, color, shape in (("train", TRAIN, ""), ("validation", "#E69F00", "/"))
        if split in balance
    ]
    x = labelled("class, most frequent first", names, showgrid=False)
    return figure(traces, x, axis("rows"), 440, barmode="group")


def token_lengths(tokens: Mapping[str, Any]) -> Figure:
    """Histogram of lengths before truncation, the cut at `max_length` dotted where it lies in the picture.

    Args:
        tokens: the data card's `tokens`.
    """
    edges, counts, cut = tokens["histogram"]["edges"], tokens["histogram"]["counts"], tokens["max_length"]
    pairs = list(pairwise(edges))
    trace = {
        "type": "bar",
        "x": [(left + right) / 2 for left, right in pairs],
        "width": [(right - left) * 0.96 for left, right in pairs],
        "y": counts,
        "text": [f"{left:g} to {right:g} tokens" for left, right in pairs],
        "textposition": "none",
        "hovertemplate": "%{text}<br>%{y:,} rows<extra></extra>",
        "marker": {"color": [TRAIN if left <= cut else VALIDATION for left, _ in pairs]},
    }
    line = upright_line(cut, f"cut at {cut}") if cut <= edges[-1] else {}
    margin = {"l": 64, "r": 20, "t": 32, "b": 56}
    return figure([trace], axis("tokens", showgrid=False), axis("rows"), 360, margin=margin, showlegend=False, **line)


def confusion_matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure | None:
    """Shares of each true class (a row) by predicted class; None above 150 classes, which no eye can part.

    Args:
        counts: (classes, classes), true by predicted.
    """
    if len(names) > MOST_CLASSES:
        return None
    totals = [max(1, sum(row)) for row in counts]
    trace = {
        "type": "heatmap",
        "z": [[round(count / total, 4) for count in row] for row, total in zip(counts, totals, strict=True)],
        "text": [
            [_pair(true, predicted, count) for predicted, count in zip(names, row, strict=True)]
            for true, row in zip(names, counts, strict=True)
        ],
        "hovertemplate": "%{text}<br>%{z:.1%} of the class<extra></extra>",
        "colorscale": [[0, "#ffffff"], [1, "#08306b"]],
        "zmin": 0,
        "zmax": 1,
        "colorbar": {"title": {"text": "share of the true class", "side": "right"}, "tickformat": ".0%"},
    }
    if len(names) <= 12:
        trace["texttemplate"] = "%{z:.0%}"
    size = 9 if len(names) > 30 else 11
    upright = len(names) > 6 or max(map(len, names)) > WIDE_LABEL
    x = labelled("predicted", names, size, showgrid=False, tickangle=-90 if upright else 0)
    y = labelled("true", names, size, showgrid=False, autorange="reversed")
    return figure([trace], x, y, 380 if len(names) <= 6 else 560 if len(names) <= 30 else 860)


def _pair(true: str, predicted: str, count: int) -> str:
    """Text of a cell; an empty one needs none, and most of a large matrix is empty."""
    return f"{plain(true)} as {plain(predicted)}: {count:,}" if count else ""
