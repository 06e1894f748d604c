"""Labels with probabilities for new sentences, from a frozen folder.

A stream: texts are read and scored a chunk at a time, so memory does not grow with the input. Within a chunk
sentences are batched by length without padding, as in training. Every text has one answer, in order; a blank
text gets no label.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sweeper.errors import UserError

if TYPE_CHECKING:  # seconds of imports that `--help` and a wrong path do not need
    from numpy.typing import NDArray

CHUNK = 4096  # texts read and scored at a time


@dataclass(frozen=True)
class Prediction:
    """What a model says of one text.

    Attributes:
        labels: (label, probability), most probable first; empty for a blank text and for a regression.
        value: of a regression; None for a blank text and for classes.
    """

    text: str
    labels: tuple[tuple[str, float], ...] = ()
    value: float | None = None


class Classifier:
    """A frozen folder, loaded.

    Args:
        folder: with config.json, model.safetensors and a tokenizer.
        device: `auto`, `cpu` or `cuda`.
        precision: `auto` (as in training: bf16 where the hardware multiplies it), `float32`, `bf16` or `fp16`.

    Raises:
        UserError: no such folder, or no sequence classifier in it.
    """

    def __init__(self, folder: Path, device: str = "auto", precision: str = "auto") -> None:
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{folder}: no model folder (no config.json). Freeze one with `python -m sweeper.best --export`."
            )
        from sweeper.data.tokens import load_tokenizer, positions
        from sweeper.restore import labels_of, load_frozen
        from sweeper.training.compute import resolve_device, resolve_precision

        self.model = load_frozen(folder)
        self.tokenizer = load_tokenizer(str(folder))
        self.device = resolve_device(device)
        self.precision = resolve_precision(precision, self.device)
        config = self.model.config
        if config.problem_type == "multi_label_classification":
            raise UserError(
                f"{folder}: gives several labels to a text (multi-label); this command knows one label a text."
            )
        self.names = labels_of(self.model)
        self.is_regression = len(self.names) == 1
        self.max_length = int(min(self.tokenizer.model_max_length, positions(config.to_dict())))

    def score(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """(texts, classes) probabilities, or (texts, 1) values of a regression."""
        from sweeper.data.tokens import Split, TokenTable, tokenise
        from sweeper.training.evaluation import evaluate

        ids, offsets = tokenise(texts, self.tokenizer, self.max_length)
        pad = self.tokenizer.pad_token_id
        table = TokenTable(ids, offsets, 0 if pad is None else int(pad))
        nothing = np.zeros(len(texts), np.float32 if self.is_regression else np.int64)
        split = Split(np.arange(len(texts)), nothing)
        kind = "mse" if self.is_regression else "cross_entropy"
        scored = evaluate(
            self.model, table, split, loss=kind, precision=self.precision, batching="packed", device=self.device
        )
        return scored.probabilities

    def predict(self, texts: Iterable[str], top_k: int = 1, chunk: int = CHUNK) -> Iterator[Prediction]:
        """One prediction a text, in order.

        Args:
            top_k: labels a text, most probable first; at most all of them.
            chunk: texts held at a time.
        """
        stream = iter(texts)
        while some := list(islice(stream, chunk)):
            asked = [number for number, text in enumerate(some) if text.strip()]
            answers = dict(zip(asked, self._answers([some[number] for number in asked], top_k), strict=True))
            yield from (answers.get(number, Prediction(text)) for number, text in enumerate(some))

    def _answers(self, texts: Sequence[str], top_k: int) -> Iterator[Prediction]:
        if not texts:
            return
        scores = self.score(texts)
        if self.is_regression:
            yield from (Prediction(text, value=float(value)) for text, value in zip(texts, scores[:, 0], strict=True))
            return
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        best = np.take_along_axis(scores, order, axis=1)
        for text, numbers, values in zip(texts, order.tolist(), best.tolist(), strict=True):
            labels = tuple((self.names[number], value) for number, value in zip(numbers, values, strict=True))
            yield Prediction(text, labels)


def predict(folder: Path | str, texts: Iterable[str], top_k: int = 1) -> Iterator[Prediction]:
    """Labels with probabilities for texts, from a frozen folder.

    Raises:
        UserError: as `Classifier`.
    """
    return Classifier(Path(folder)).predict(texts, top_k)
