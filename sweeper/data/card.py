"""The data card: what came in, what was dropped and why, what the splits look like."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.settings import DataSettings

BINS = 20
REASONS = (
    "missing_text",
    "blank_text",
    "missing_label",
    "unknown_labels",
    "duplicates",
    "conflicts",
    "overlap",
    "row_limits",
)


def balance(labels: NDArray[Any], names: tuple[str, ...]) -> dict[str, float]:
    """Rows of each class, or mean, deviation and range of the values of a regression."""
    if names:
        counts = np.bincount(labels, minlength=len(names))
        return {name: int(count) for name, count in zip(names, counts, strict=True)}
    if not len(labels):
        return {}
    return {of: round(float(getattr(np, of)(labels)), 6) for of in ("mean", "std", "min", "max")}


def token_figures(full_lengths: NDArray[np.int32], max_length: int) -> dict[str, Any]:
    """Lengths before truncation, special tokens included, of all rows that some split uses."""
    counts, edges = np.histogram(full_lengths, bins=min(BINS, int(np.ptp(full_lengths)) + 1))
    beyond = full_lengths[full_lengths > max_length] - max_length
    return {
        "max_length": max_length,
        "tokens": int(full_lengths.sum(dtype=np.int64)),
        "longest": int(full_lengths.max()),
        "mean": round(float(full_lengths.mean()), 2),
        "histogram": {"edges": [round(float(edge), 2) for edge in edges], "counts": counts.tolist()},
        "rows_truncated": len(beyond),
        "tokens_truncated": int(beyond.sum(dtype=np.int64)),
    }


def make_card(
    settings: DataSettings,
    meta: Mapping[str, Any],
    dropped: Mapping[str, int],
    labels: Mapping[str, NDArray[Any]],
    full_lengths: NDArray[np.int32],
    max_length: int,
    fingerprint: str,
) -> dict[str, Any]:
    """Put the card together.

    `rows_in` is the sum of all of `dropped` and all of `rows`.

    Args:
        meta: of the row store.
        dropped: reason → rows, all reasons.
        labels: of each split.
        full_lengths: (rows used,) tokens before truncation.
        max_length: where texts are cut, at most what the encoder takes.
    """
    names = tuple(meta["labels"])
    return {
        "fingerprint": fingerprint,
        "task": settings.task,
        "source": settings.source,
        "files": meta["files"],
        "rows_in": sum(file["rows"] for file in meta["files"]),
        "dropped": {reason: int(dropped.get(reason, 0)) for reason in REASONS},
        "unknown_labels": meta["unknown"],
        "rows": {name: len(values) for name, values in labels.items()},
        "classes": len(names),
        "labels": list(names),
        "balance": {name: balance(values, names) for name, values in labels.items()},
        "tokens": token_figures(full_lengths, max_length),
        "settings": settings.plain,
    }


def short_card(card: Mapping[str, Any]) -> str:
    """The card in a few lines for a terminal."""
    files = [file["path"] for file in card["files"]]
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    tokens = card["tokens"]
    dropped = ", ".join(f"{count:,} {_reason(card, reason)}" for reason, count in card["dropped"].items() if count)
    lines = [
        f"data      {', '.join(files[:3])}{more}",
        f"rows      {card['rows_in']:,} read" + (f"; dropped {dropped}" if dropped else "; none dropped"),
        "splits    " + ", ".join(f"{name} {count:,}" for name, count in card["rows"].items()),
        _classes(card) if card["classes"] else _values(card),
        f"tokens    longest {tokens['longest']:,}, mean {tokens['mean']:.1f}; {tokens['rows_truncated']:,} rows cut at "
        f"{tokens['max_length']} ({tokens['tokens_truncated']:,} tokens)",
        f"data id   {card['fingerprint'][:12]}",
    ]
    return "\n".join(lines)


def _reason(card: Mapping[str, Any], reason: str) -> str:
    named = ", ".join(repr(name) for name in list(card["unknown_labels"])[:3])
    return f"unknown labels ({named})" if reason == "unknown_labels" and named else reason.replace("_", " ")


def _classes(card: Mapping[str, Any]) -> str:
    train = card["balance"]["train"]
    least, *_, most = sorted(train, key=train.get)
    span = f"{train[least]:,} ({least!r}) to {train[most]:,} ({most!r})"
    return f"classes   {card['classes']:,}; {span} train rows each"


def _values(card: Mapping[str, Any]) -> str:
    train = card["balance"]["train"]
    return f"values    in train {train['min']:g} to {train['max']:g}, mean {train['mean']:g}"
