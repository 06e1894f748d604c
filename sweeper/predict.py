"""`python -m sweeper.predict`: labels with probabilities for new sentences, from a frozen folder.

Texts are read, scored (`sweeper.prediction`) and written a chunk at a time, so memory does not grow with the
input. Every input row gives one output row, in order; a blank text gets no label.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from sweeper import cli
from sweeper.errors import UserError
from sweeper.prediction import CHUNK, Classifier, Prediction

OUTPUTS = (".csv", ".tsv", ".jsonl")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code.

    Raises:
        UserError: a folder, file or column that is not there, or an output that cannot be written.
    """
    given = _parse(arguments)
    from sweeper.inputs import read_texts

    ending = _ending(given.output)
    texts = iter(given.text or read_texts(given.file, given.column, header=not given.no_header))
    texts = chain(list(islice(texts, 1)), texts)  # a wrong file or column shows before the model is loaded
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
