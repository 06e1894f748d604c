"""Figures of a scored split, as plain JSON-able values. scikit-learn does the counting.

Knows arrays and names only: no model, no corpus, no configuration.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MISTAKES = 20


def classification_scores(labels: NDArray[np.int64], predictions: NDArray[Any], names: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro figures, figures of each class, the confusion matrix, and scikit-learn's report as text.

    Macro figures are means over the classes that occur in labels or predictions, as in training.

    Args:
        labels: (n,) class ids.
        predictions: (n,) class ids.
        names: by class id.
    """
    from sklearn.metrics import classification_report, confusion_matrix, precision_recall_fscore_support

    ids = np.arange(len(names))
    each = precision_recall_fscore_support(labels, predictions, labels=ids, zero_division=0)
    macro = precision_recall_fscore_support(labels, predictions, average="macro", zero_division=0)
    classes = [
        {"label": name, "precision": float(p), "recall": float(r), "f1": float(f), "rows": int(rows)}
        for name, p, r, f, rows in zip(names, *each, strict=True)
    ]
    return {
        "rows": len(labels),
        "accuracy": float(np.mean(labels == predictions)),
        "macro_precision": float(macro[0]),
        "macro_recall": float(macro[1]),
        "macro_f1": float(macro[2]),
        "labels": list(names),
        "classes": classes,
        "confusion": confusion_matrix(labels, predictions, labels=ids).tolist(),
        "text": classification_report(
            labels, predictions, labels=ids, target_names=[_one_line(name) for name in names], digits=4, zero_division=0
        ),
    }


def regression_scores(values: NDArray[Any], predictions: NDArray[Any]) -> dict[str, Any]:
    """Mean squared error, mean absolute error and R² (None where it is not defined: fewer than two rows)."""
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    return {
        "rows": len(values),
        "mse": float(mean_squared_error(values, predictions)),
        "mae": float(mean_absolute_error(values, predictions)),
        "r2": float(r2_score(values, predictions)) if len(values) > 1 else None,
    }


def confident_mistakes(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows that are wrong, most confident first, at most 20.

    Args:
        labels: (n,) class ids.
        probabilities: (n, classes).
    """
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    order = np.argsort(-probabilities[wrong].max(1), kind="stable")
    return wrong[order][:MISTAKES]


def largest_confusions(report: Mapping[str, Any], most: int) -> list[tuple[str, str, int]]:
    """(truth, prediction, rows) of the pairs of classes taken for each other most often."""
    counts = np.array(report["confusion"])
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    pairs = [(int(at // len(counts)), int(at % len(counts))) for at in order]
    names = report["labels"]
    return [(names[truth], names[guess], int(counts[truth, guess])) for truth, guess in pairs if counts[truth, guess]]


def _one_line(text: str) -> str:
    return " ".join(text.split())
