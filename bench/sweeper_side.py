"""Our side of the comparisons. Each function is one measurement and runs in a fresh process."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.materials import read_rows

if TYPE_CHECKING:
    from sweeper.data.tokens import Split, TokenTable


def trial(job: Mapping[str, Any]) -> dict[str, Any]:
    """One training as a trial does it, packed: training and validation of every epoch, no file written.

    Args:
        job: `rows` (file), `model` (folder), `seed`, `batch_size`, `epochs`, `lr`, `max_length`, `precision`, `device`.

    Returns:
        `seconds` of the loop, `train_seconds` of it without validation, `loss` (validation, last epoch),
        `losses`, `lengths` (tokens of the training rows), `peak_memory_mb`.
    """
    from sweeper.training.classifier import load_classifier
    from sweeper.training.loop import FitSettings, Training, fit

    rows = read_rows(job["rows"])
    model = load_classifier(
        job["model"], label_names=rows["label_names"], loss="cross_entropy", dropout=None, freeze_encoder=False,
        seed=job["seed"],
    )  # fmt: skip
    table, train, validation = token_table(rows, job["model"], job["max_length"])
    settings = FitSettings(
        optimizer="adam", loss="cross_entropy", batching="packed",
        **{name: job[name] for name in ("lr", "batch_size", "epochs", "seed", "precision", "device")},
    )  # fmt: skip
    training = Training(model, table, train, validation, settings)
    started = time.perf_counter()
    curve = list(fit(training))
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "train_seconds": sum(len(train.rows) / epoch.sentences_per_second for epoch in curve),
        "loss": curve[-1].val_loss,
        "losses": [epoch.val_loss for epoch in curve],
        "lengths": table.lengths[train.rows].tolist(),
        "peak_memory_mb": curve[-1].peak_memory_mb,
    }


def token_table(rows: Mapping[str, Any], model: str, max_length: int) -> "tuple[TokenTable, Split, Split]":
    """The rows as one token table with its two splits, in memory."""
    from sweeper.data.tokens import Split, TokenTable, load_tokenizer, tokenise

    tokenizer = load_tokenizer(model)
    ids, offsets = tokenise([*rows["train"]["texts"], *rows["validation"]["texts"]], tokenizer, max_length)
    labels = np.array([*rows["train"]["labels"], *rows["validation"]["labels"]], np.int64)
    trained, everything = len(rows["train"]["texts"]), len(labels)
    train, validation = (
        Split(np.arange(first, last), labels[first:last]) for first, last in ((0, trained), (trained, everything))
    )
    pad: Any = tokenizer.pad_token_id
    return TokenTable(ids, offsets, int(pad)), train, validation


def study(job: Mapping[str, Any]) -> dict[str, Any]:
    """The sample's lr study through `python -m sweeper`, from an empty runs folder to the process's end.

    Everything that a user pays for is in it: imports, reading and tokenising the data, starting workers,
    weights and resume states on disk, Optuna's journal, MLflow.

    Args:
        job: `work`, `seed`, `overrides`, `precision`, `device`.

    Returns:
        `seconds`, `loss` (geometric mean of the trials' last validation losses), `losses` by learning rate.
    """
    runs = Path(job["work"]) / f"runs-{job['seed']}"
    settings = [f"train.seed={job['seed']}", f"train.precision={job['precision']}", f"train.device={job['device']}"]
    command = [sys.executable, "-m", "sweeper", *job["overrides"], *settings, f"paths.runs={runs}", "progress=none"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    records = [json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/trials/*/record.json")]
    losses = {str(record["varied"]["lr"]): record["curve"][-1]["val_loss"] for record in records}
    return {"seconds": seconds, "loss": geometric_mean(losses), "losses": losses}


def geometric_mean(losses: Mapping[str, float]) -> float:
    """One figure for many trials, in which no trial outweighs the others."""
    return math.exp(sum(math.log(loss) for loss in losses.values()) / len(losses))


def predict(job: Mapping[str, Any]) -> dict[str, Any]:
    """`sweeper.predict` over all sentences, the model loaded before.

    Args:
        job: `model` (frozen folder), `sentences` (file), `precision`, `device`.

    Returns:
        `seconds`, `count`, `labels` of the sentences.
    """
    from sweeper.prediction import Classifier

    sentences = json.loads(Path(job["sentences"]).read_text(encoding="utf-8"))
    classifier = Classifier(Path(job["model"]), job["device"], job["precision"])
    list(classifier.predict(sentences[:1]))  # what a library sets up at its first call is nobody's speed
    started = time.perf_counter()
    labels = [prediction.labels[0][0] for prediction in classifier.predict(sentences)]
    return {"seconds": time.perf_counter() - started, "count": len(labels), "labels": labels}
