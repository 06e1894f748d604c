"""`python -m sweeper.predict`: labels with probabilities for new sentences, from a frozen folder.

A stream: texts are read, scored and written a chunk at a time, so memory does not grow with the input.
Within a chunk sentences are batched by length without padding, as in training. Every input row gives one
output row, in order; a blank text gets no label.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sweeper import cli
from sweeper.errors import UserError

if TYPE_CHECKING:  # seconds of imports that `--help` and a wrong path do not need
    from numpy.typing import NDArray

CHUNK = 4096  # texts read and scored at a time
OUTPUTS = (".csv", ".tsv", ".jsonl")


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
        from sweeper.data.tokens import load_tokenizer
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
        room = config.max_position_embeddings - (2 if "roberta" in config.model_type else 0)
        self.max_length = int(min(self.tokenizer.model_max_length, room))

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Raises:
        UserError: a folder, file or column that is not there, or an output that cannot be written.
    """
    given = _parse(arguments)
    from sweeper.inputs import read_texts

    ending = _ending(given.output)
    texts = given.text or read_texts(given.file, given.column, header=not given.no_header)
    classifier = Classifier(Path(given.folder), given.device, given.precision)
    top_k = min(given.top_k, len(classifier.names))
    predictions = iter(classifier.predict(texts, top_k, given.batch_size))
    first = list(islice(predictions, 1))  # what is wrong with the input shows before anything is written
    with _opened(given.output) as file:
        write = _jsonl if ending == ".jsonl" else _separated("\t" if ending == ".tsv" else ",")
        write(file, chain(first, predictions), 0 if classifier.is_regression else top_k)
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sweeper.predict", description="Labels with probabilities for new sentences, one row each."
    )
    add = parser.add_argument
    add("folder", metavar="DIR", help="what `python -m sweeper.best --export` wrote")
    add(
        "file",
        metavar="FILE",
        nargs="?",
        default="-",
        help="txt (a line each), csv, tsv, jsonl, parquet, xlsx; -: lines",
    )
    add("--text", action="append", metavar="TEXT", help="a sentence instead of a file; may be repeated")
    add("--top-k", type=_count, default=1, metavar="K", help="labels a sentence, most probable first (default 1)")
    add("--column", metavar="NAME", help="of the sentences, a name or a number; default: text, or the only one")
    add(
        "--no-header", action="store_true", help="the first row of a csv or tsv is a sentence too; --column is a number"
    )
    add("--output", metavar="FILE", help="csv, tsv or jsonl by its ending; default: csv on standard output")
    add("--batch-size", type=_count, default=CHUNK, metavar="N", help=f"sentences held in memory (default {CHUNK})")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--precision", choices=("auto", "float32", "bf16", "fp16"), default="auto", help="float32: to the last digit")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, takes a whole number above 0")
    return int(text)


def _ending(output: str | None) -> str:
    ending = ".csv" if output is None else Path(output).suffix.lower()
    if ending not in OUTPUTS:
        raise UserError(f"--output {output}: its ending is {ending or 'none'}; it takes {', '.join(OUTPUTS)}")
    return ending


@contextmanager
def _opened(output: str | None) -> Iterator[IO[str]]:
    """Standard output, or a file that has its name only once it is whole."""
    if output is None:
        yield sys.stdout
        return
    path = Path(output)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        with aside.open("w", encoding="utf-8", newline="") as file:
            yield file
        aside.replace(path)
    except FileNotFoundError:
        raise UserError(f"--output {output}: there is no folder {path.parent}") from None
    finally:
        aside.unlink(missing_ok=True)


def _separated(delimiter: str) -> Callable[[IO[str], Iterable[Prediction], int], None]:
    def write(file: IO[str], predictions: Iterable[Prediction], top_k: int) -> None:
        rows = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        numbers = ["", *(f"_{number}" for number in range(2, top_k + 1))]
        rows.writerow(
            ["text", *([f"{name}{n}" for n in numbers for name in ("label", "probability")] if top_k else ["value"])]
        )
        for one in predictions:
            figures: list[Any] = [part for label, value in one.labels for part in (label, f"{value:.6f}")]
            if not top_k:
                figures = ["" if one.value is None else f"{one.value:.6g}"]
            rows.writerow([one.text, *(figures or [""] * (2 * top_k))])

    return write


def _jsonl(file: IO[str], predictions: Iterable[Prediction], top_k: int) -> None:
    for one in predictions:
        labels = [{"label": label, "probability": round(value, 6)} for label, value in one.labels]
        row: dict[str, Any] = {"text": one.text, **({"labels": labels} if top_k else {"value": one.value})}
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    cli.run(main)
