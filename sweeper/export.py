"""A trained classifier as a folder that `transformers` loads, and its one look at the test split.

The folder is written beside its place, loaded again the way a user will (`transformers.pipeline`), scored
against the model it came from, and only then given its name: a folder that is there is a good one.
Limit: the pipeline cuts long texts only if called with `truncation=True`.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers import PreTrainedModel, pipeline

from sweeper.data.corpus import Corpus
from sweeper.data.tokens import Split, load_tokenizer
from sweeper.errors import UserError
from sweeper.scores import classification_scores, confident_mistakes, regression_scores
from sweeper.training.checkpoint import flush
from sweeper.training.classifier import quiet
from sweeper.training.evaluation import Evaluation, evaluate

CHECKED_ROWS = 512  # validation rows whose predictions must be those that training recorded
CHECKED_BY_PIPELINE = 64  # of them, through transformers.pipeline
SAME_PREDICTIONS = 0.98  # bf16 on a GPU and float32 on a CPU differ on a few rows between two classes
SAME_PROBABILITY = 1e-3
SAME_VALUE = 0.05  # regression, relative to 1 + |value|


@dataclass(frozen=True)
class Trained:
    """A classifier and how it computes.

    Attributes:
        classifier: with the weights of the overfitting epoch; one logit a class, or one value.
        model: what its encoder and tokenizer came from.
        device, precision, batching: for scoring.
    """

    classifier: PreTrainedModel
    model: str
    device: torch.device
    precision: str = "float32"
    batching: str = "packed"

    def score(self, corpus: Corpus, split: Split) -> Evaluation:
        """Loss, probabilities (n, classes) and predictions (n,) of a split."""
        return evaluate(
            self.classifier, corpus.table, split, loss="auto", precision=self.precision, batching=self.batching,
            device=self.device,
        )  # fmt: skip


def test_report(trained: Trained, corpus: Corpus) -> dict[str, Any] | None:
    """Score the test split: JSON-able figures and the most confident mistakes; None where there is no test row.

    To be asked for once, for the winner: whoever calls keeps the answer (CONTRIBUTING.md contract 6).
    """
    if not len(corpus.test.rows):
        return None
    scored = trained.score(corpus, corpus.test)
    if not corpus.label_names:
        return {"task": "regression", "loss": scored.loss, **regression_scores(corpus.test.labels, scored.predictions)}
    figures = classification_scores(corpus.test.labels, scored.predictions, corpus.label_names)
    wrong = confident_mistakes(corpus.test.labels, scored.probabilities)
    texts = corpus.texts(np.asarray(corpus.test.rows)[wrong])
    mistakes = [
        {
            "text": text,
            "truth": corpus.label_names[corpus.test.labels[row]],
            "prediction": corpus.label_names[scored.predictions[row]],
            "probability": float(scored.probabilities[row].max()),
        }
        for row, text in zip(wrong, texts, strict=True)
    ]
    return {"task": "classification", "loss": scored.loss, **figures, "mistakes": mistakes}


def check_target(target: Path) -> None:
    """Refuse a target that would have to be overwritten.

    Raises:
        UserError: it is a file or a folder with something in it.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target}: is there already and not empty. Name another folder (--export DIR) or remove it.")


def freeze(
    target: Path,
    trained: Trained,
    corpus: Corpus,
    *,
    predictions: NDArray[Any] | None,
    files: Mapping[str, str],
) -> None:
    """Write the model folder, load it again, score it, and give it its name.

    Args:
        target: absent or empty.
        predictions: (validation rows,) class ids or values that training recorded at the overfitting point.
        files: name → text of what else the folder holds (model card, winner, configuration).

    Raises:
        UserError: the target is taken, or cannot be written; nothing is left behind.
        RuntimeError: what was written does not score as it should; nothing is left behind.
    """
    check_target(target)
    _check_recorded(trained, corpus, predictions)
    with _beside(target) as aside:
        _write(aside, trained, corpus, files)
        _check_folder(aside, trained, corpus)


def _write(folder: Path, trained: Trained, corpus: Corpus, files: Mapping[str, str]) -> None:
    trained.classifier.to("cpu")  # type: ignore[arg-type]
    trained.classifier.config.name_or_path = ""  # a path of this machine
    with quiet():
        trained.classifier.save_pretrained(folder)
    tokenizer = load_tokenizer(trained.model)
    tokenizer.model_max_length = int(corpus.card["tokens"]["max_length"])  # what the encoder takes
    tokenizer.save_pretrained(folder)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    usual = (folder / "config.json").stat().st_mode
    for path in folder.iterdir():
        path.chmod(usual)  # safetensors' files are their owner's alone; a model folder is there to be shared


def _check_recorded(trained: Trained, corpus: Corpus, predictions: NDArray[Any] | None) -> None:
    """The weights must predict what the trial's record says they did."""
    if predictions is None:
        return
    rows = _spread(len(predictions), CHECKED_ROWS)
    found = trained.score(corpus, _some(corpus.validation, rows)).predictions
    if corpus.label_names:
        same = float(np.mean(found == predictions[rows]))
    else:
        same = float(np.mean(np.abs(found - predictions[rows]) < SAME_VALUE * (1 + np.abs(predictions[rows]))))
    if same < SAME_PREDICTIONS:
        raise RuntimeError(
            f"the winner's weights give the recorded predictions on {same:.1%} of {len(rows)} validation rows only"
        )


def _check_folder(folder: Path, trained: Trained, corpus: Corpus) -> None:
    """What is on disk must give, through a pipeline, the probabilities of the model in memory."""
    rows = _spread(len(corpus.validation.rows), CHECKED_BY_PIPELINE)
    split = _some(corpus.validation, rows)
    on_cpu = Trained(trained.classifier, trained.model, torch.device("cpu"))
    expected = on_cpu.score(corpus, split).probabilities
    with quiet():
        classify = pipeline("text-classification", str(folder), device="cpu")
        given: Any = classify(corpus.texts(split.rows), truncation=True, top_k=None)
    scores: list[dict[str, float]] = [{one["label"]: one["score"] for one in row} for row in given]
    found = np.array([[row[name] for name in corpus.label_names or row] for row in scores])
    worst = float(np.abs(found - expected).max())
    if not worst < SAME_PROBABILITY * (1 if corpus.label_names else 1 + float(np.abs(expected).max())):
        raise RuntimeError(f"the frozen model's probabilities are off by {worst:g} when it is loaded again")


def _spread(rows: int, most: int) -> NDArray[np.int64]:
    """Up to `most` of `rows` row numbers, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def _some(split: Split, rows: NDArray[np.int64]) -> Split:
    return Split(np.asarray(split.rows)[rows], np.asarray(split.labels)[rows])


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its name if the block ends well, and else is removed."""
    aside = target.parent / f".{target.name}.{os.getpid()}.aside"
    try:
        aside.mkdir(parents=True)
        yield aside
        for path in (*aside.iterdir(), aside):
            flush(path)
        aside.replace(target)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno is None:
            raise  # transformers' own, from loading what was written
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(
            f"{target}: cannot be written ({why}). Free some space or name another folder (--export DIR); "
            "nothing was left behind."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
