"""The measurements of `bench.growth`: each does its work once, in a fresh process, and says how long it took."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LONGEST, SHORTEST = 40, 4  # tokens of a synthetic sentence
VALIDATION = 128
FIRST_WORD, VOCABULARY = 5, 8000  # of the bundled tokenizer, special tokens left out


def data_room(job: Mapping[str, Any]) -> dict[str, Any]:
    """Read, clean, split and tokenise a table, or map it where the cache holds it.

    Args:
        job: `file` (as NSMC's), `cache`.
    """
    from sweeper.data.corpus import DataSettings, load_corpus

    settings = DataSettings.of({"path": job["file"], "text": "document", "label": "label", "quoting": False})
    started = time.perf_counter()
    corpus = load_corpus(settings, "ko-mini", Path(job["cache"]))
    return {"seconds": time.perf_counter() - started, "rows": len(corpus.train.rows)}


def training(job: Mapping[str, Any]) -> dict[str, Any]:
    """One epoch over synthetic sentences.

    Args:
        job: `model` (folder), `classes`, `rows`, `length` (None: of all lengths), `batch_size`.

    Returns:
        `seconds` of training and validation.
    """
    from sweeper.data.tokens import Split, TokenTable
    from sweeper.training.classifier import load_classifier
    from sweeper.training.loop import FitSettings, Training, fit

    generator = np.random.default_rng(0)
    rows, classes = job["rows"], job["classes"]
    validation = min(VALIDATION, rows)
    lengths = generator.integers(SHORTEST, LONGEST, rows + validation)
    if job["length"] is not None:
        lengths[:] = job["length"]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    table = TokenTable(generator.integers(FIRST_WORD, VOCABULARY, offsets[-1]).astype(np.int32), offsets, 0)
    labels = np.arange(rows + validation) % classes
    names = [str(number) for number in range(classes)]
    model = load_classifier(
        job["model"], label_names=names, loss="cross_entropy", dropout=None, freeze_encoder=False, seed=0
    )
    settings = FitSettings(
        lr=2e-5, batch_size=job["batch_size"], epochs=1, loss="cross_entropy", precision="float32", device="cpu"
    )
    train, held_out = Split(np.arange(rows), labels[:rows]), Split(np.arange(rows, rows + validation), labels[rows:])
    (epoch,) = fit(Training(model, table, train, held_out, settings))
    return {"seconds": epoch.seconds}
