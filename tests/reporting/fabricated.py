"""A study that nobody trained: a real corpus of a few Korean sentences, records and predictions made up to fit it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data.corpus import Corpus, load_corpus
from sweeper.data.settings import DataSettings
from sweeper.study.record import PREDICTIONS, TrialRecord
from sweeper.training.metrics import EpochMetrics
from sweeper.training.overfitting import overfitting_point

EVIL = "<script>alert('기쁨')</script>"
LABELS = (EVIL, "슬픔 & 분노", "$불안$", "123")
STARTS = ("오늘 아침에는", "어제 저녁 늦게", "친구와 함께", "회사에서 혼자", "주말 내내 집에서")
ENDS = ("정말 신나는 일이 있었어", "눈물이 나서 참을 수 없었어", "무슨 일이 생길까 걱정이 됐어", "아무 느낌도 없었어")
RATES = (5e-3, 1e-3, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6, 1e-6)
SIZES = (16, 32, 128)


def write_table(folder: Path, *, regression: bool = False, rows: int = 120, classes: int = len(LABELS)) -> Path:
    """A tab-separated table of distinct sentences, the label told by the sentence's end and, above four, its number."""
    lines = ["sentence\temotion"]
    for number in range(rows):
        kind = number % len(ENDS)
        names = (*LABELS, *(f"감정 {place}" for place in range(len(LABELS), classes)))
        label = f"{kind + number / 100:.2f}" if regression else names[kind if classes == 4 else number % classes]
        lines.append(f"{STARTS[number % len(STARTS)]} {number}번째로 {ENDS[kind]}\t{label}")
    lines.append(f"{EVIL} 문장\t{'1.5' if regression else LABELS[0]}")
    path = folder / "sentences.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def data_config(path: Path, *, regression: bool = False) -> dict[str, Any]:
    """The `data:` block for that table."""
    task = "regression" if regression else "classification"
    plain = {"path": str(path), "text": "sentence", "label": "emotion", "task": task, "quoting": False}
    return DataSettings.of(plain).plain


def load(config: dict[str, Any], runs: Path) -> Corpus:
    """The corpus as a sweep leaves it in the cache."""
    return load_corpus(DataSettings.of(config), "ko-mini", runs / "cache")


def make_record(
    key: str,
    losses: Sequence[float],
    *,
    data: str = "data",
    lr: float = 2e-5,
    batch_size: int = 64,
    val_accuracy: float | None = 0.5,
    config: dict[str, Any] | None = None,
    **more: Any,
) -> TrialRecord:
    """A record whose validation losses are given; other figures follow from them."""
    curve = tuple(
        EpochMetrics(
            epoch=epoch,
            train_loss=loss * 0.9**epoch,
            val_loss=loss,
            train_accuracy=None if val_accuracy is None else min(1.0, val_accuracy + 0.02 * epoch),
            val_accuracy=val_accuracy,
            val_macro_f1=None if val_accuracy is None else val_accuracy * 0.9,
            lr=lr,
            seconds=2.0,
            sentences_per_second=1000.0,
        )
        for epoch, loss in enumerate(losses, start=1)
    )
    finite = bool(np.isfinite(losses).all())
    point = overfitting_point(losses) if len(losses) and np.isfinite(losses[0]) else None
    values = {
        "state": "complete" if finite else "diverged",
        "reason": None if finite else f"loss is not finite in epoch {len(losses)}",
        "overfit_epoch": point and point.epoch,
        "overfit_reached": point is not None and point.reached,
        **more,
    }
    return TrialRecord(
        key=key, config=whole_config(config or {}, lr, batch_size), varied={"lr": lr, "batch_size": batch_size},
        data=data, curve=curve, threads=1, device="cpu", precision="float32", **values,
    )  # fmt: skip


def whole_config(data: dict[str, Any], lr: float, batch_size: int) -> dict[str, Any]:
    """As much of a configuration as a record has and the report reads."""
    return {
        "model": "ko-mini",
        "data": data,
        "optimizer": {"name": "adam", "lr": lr},
        "train": {"batch_size": batch_size, "epochs": 10, "seed": 0},
        "overfitting": {"min_delta": 0.0, "patience": 1},
    }


def predictions_of(labels: NDArray[Any], right: float, seed: int, *, classes: int) -> NDArray[Any]:
    """Predictions of which the given share is right; of a regression (0 classes), values so much off."""
    random = np.random.default_rng(seed)
    if not classes:
        return (labels + random.normal(0, 1.5 - right, len(labels))).astype(np.float32)
    wrong = (labels + random.integers(1, classes, len(labels))) % classes
    return np.where(random.random(len(labels)) < right, labels, wrong).astype(np.int64)


def curve_of(rate: float, epochs: int = 10) -> list[float]:
    """Validation losses as they look at a learning rate: too high, overfitting, slow."""
    if rate >= 5e-3:
        return [1.6, 40.0, float("nan")]
    turn = float(np.clip(1.5e-4 / rate, 1.2, 30))
    return [1.4 - 0.9 * np.exp(-((epoch - turn) ** 2) / (2 * turn**2)) for epoch in range(1, epochs + 1)]


def _through(losses: Sequence[float], loss: float) -> list[float]:
    """The curve scaled so that it has this loss at its overfitting point."""
    scale = loss / losses[overfitting_point(losses).epoch - 1]
    return [one * scale for one in losses]


def write_study(
    runs: Path,
    name: str,
    settings: Sequence[tuple[float, int]],
    config: dict[str, Any],
    *,
    keep: bool = True,
    more: Mapping[str, Any] | None = None,
    **changes: Any,
) -> list[TrialRecord]:
    """Write a trial for each (lr, batch size): record, and predictions where `keep`.

    Args:
        more: sections of the configuration besides the usual ones, or in their place.
        changes: fields of every record.
    """
    corpus = load(config, runs)
    labels, classes = np.asarray(corpus.validation.labels), len(corpus.label_names)
    records = []
    begun = len(list(runs.glob(f"{name}/trials/*")))
    for number, (rate, size) in enumerate(settings, start=begun):
        right = 0.9 - 0.12 * abs(np.log10(rate) - np.log10(2e-5)) - 0.02 * abs(np.log2(size) - 6)
        predictions = predictions_of(labels, right, number, classes=classes)
        losses = curve_of(rate)
        if not classes:
            losses = _through(losses, float(np.square(predictions - labels).mean()))
        record = make_record(
            f"{number:032x}", losses, data=corpus.fingerprint, lr=rate, batch_size=size, config=config,
            val_accuracy=float(np.mean(predictions == labels)) if classes else None,
        )  # fmt: skip
        record = replace(record, config={**record.config, **(more or {})}, **changes)
        folder = runs / name / "trials" / record.key
        folder.mkdir(parents=True)
        record.write(folder)
        if keep and record.overfit_epoch is not None:
            np.save(folder / PREDICTIONS, predictions)
        records.append(record)
    return records


def list_study(runs: Path, name: str, study: str, keys: Sequence[str]) -> None:
    """The list that a sweep writes of a study's trials."""
    path = runs / name / "studies" / f"{study}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"study": study.split("@")[0], "trials": {key: {} for key in keys}}), encoding="utf-8")


def dozen() -> list[tuple[float, int]]:
    """The settings of an lr study and a batch study, one point shared."""
    return [(rate, 64) for rate in RATES] + [(2e-5, size) for size in SIZES]


def write_test_report(runs: Path, name: str, key: str, corpus: Corpus) -> None:
    """What `best` leaves after its one look at the test split."""
    from sweeper.scores import classification_scores

    labels = np.asarray(corpus.test.labels)
    predicted = predictions_of(labels, 0.7, 99, classes=len(corpus.label_names))
    mistake = {"text": f"{EVIL} 틀린 문장", "truth": EVIL, "prediction": "123", "probability": 0.98}
    report = classification_scores(labels, predicted, corpus.label_names)
    path = runs / name / "test" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"task": "classification", "loss": 1.0, **report, "mistakes": [mistake]}), encoding="utf-8"
    )
