"""What the same data gives without an encoder: character n-grams, TF-IDF, logistic regression.

A fine-tuned encoder that does not beat this was not worth its hours, so the figure stands beside the winner.
Trained on the training split and scored on the validation split in seconds, kept as JSON; the test split is
not touched. For a regression ridge regression takes the place of the logistic one.
"""

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.corpus import Corpus
from sweeper.training.checkpoint import write_atomically
from sweeper.training.metrics import accuracy, macro_f1

NGRAMS = (1, 4)
INVERSE_PENALTY = 10.0
ROUNDS, PRECISION = 1_000, 1e-5  # in float32, or stopped at 1e-3, the accuracy depends on the processor's kernels
MOST_ROWS = 100_000
MOST_WEIGHTS = 3_000_000  # classes times features; the solver keeps some twenty copies
MOST_FEATURES = 200_000
FEW_ROWS = 500  # below, an n-gram that occurs once counts too
VERSION = 2  # of the recipe above; another number lets old files be made anew


@dataclass(frozen=True)
class Baseline:
    """The simple model's figures on the validation split.

    Attributes:
        loss: mean squared error of a regression, cross-entropy otherwise.
        accuracy, macro_f1: None for a regression.
        predictions: class ids or values, in the order of `validation.rows`.
        seconds: to train and score it.
    """

    loss: float
    accuracy: float | None
    macro_f1: float | None
    predictions: list[Any]
    features: int
    seconds: float
    version: int = VERSION


def find_baseline(
    corpus: Corpus, folder: Path, wanted: bool | None, say: Callable[[str], None] = lambda _: None
) -> Baseline | None:
    """The baseline of a corpus, from its file or trained now.

    Args:
        folder: of the experiment; the file is `baseline-<fingerprint>.json`.
        wanted: False never, True always, None only up to 100,000 training rows.
        say: told when it takes seconds.
    """
    if wanted is False:
        return None
    path = folder / f"baseline-{corpus.fingerprint}.json"
    known = _read(path)
    if known is not None:
        return known
    if wanted is None and len(corpus.train.rows) > MOST_ROWS:
        return None
    say(f"training the baseline (TF-IDF) on {len(corpus.train.rows):,} rows")
    baseline = train_baseline(
        corpus.texts(corpus.train.rows), corpus.train.labels,
        corpus.texts(corpus.validation.rows), corpus.validation.labels,
        regression=corpus.task == "regression",
    )  # fmt: skip
    with contextlib.suppress(OSError):  # a report can be made of a folder that is not ours to write
        write_atomically(path, json.dumps(asdict(baseline)).encode())
    return baseline


def train_baseline(
    texts: Sequence[str],
    labels: NDArray[Any],
    held_out: Sequence[str],
    held_out_labels: NDArray[Any],
    *,
    regression: bool,
) -> Baseline:
    """Train on `texts` with `labels` (n,), score on the held-out ones."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    started = time.monotonic()
    outputs = 1 if regression else int(labels.max()) + 1
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=NGRAMS, sublinear_tf=True, min_df=2 if len(texts) >= FEW_ROWS else 1,
        max_features=max(1, min(MOST_FEATURES, MOST_WEIGHTS // outputs)),
    )  # fmt: skip
    features, scored = vectorizer.fit_transform(texts), vectorizer.transform(held_out)
    figures = (_regressed if regression else _classified)(features, labels, scored, held_out_labels)
    return Baseline(**figures, features=features.shape[1], seconds=time.monotonic() - started)


def _classified(features: Any, labels: NDArray[Any], scored: Any, expected: NDArray[Any]) -> dict[str, Any]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=ROUNDS, tol=PRECISION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features, labels)
    probabilities = model.predict_proba(scored)
    predicted = model.classes_[probabilities.argmax(axis=1)]
    column = np.searchsorted(model.classes_, expected).clip(max=len(model.classes_) - 1)
    known = model.classes_[column] == expected
    of_label = np.where(known, probabilities[np.arange(len(expected)), column], 0.0)
    return {
        "loss": float(-np.log(of_label.clip(min=1e-12)).mean()),
        "accuracy": accuracy(expected, predicted),
        "macro_f1": macro_f1(expected, predicted),
        "predictions": predicted.tolist(),
    }


def _regressed(features: Any, labels: NDArray[Any], scored: Any, expected: NDArray[Any]) -> dict[str, Any]:
    from sklearn.linear_model import Ridge

    predicted = Ridge(alpha=1.0, solver="lsqr").fit(features, labels).predict(scored)
    loss = float(np.square(predicted - expected).mean())
    return {"loss": loss, "accuracy": None, "macro_f1": None, "predictions": predicted.tolist()}


def _read(path: Path) -> Baseline | None:
    try:
        baseline = Baseline(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return baseline if baseline.version == VERSION else None
