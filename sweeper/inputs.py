"""Sentences to label, from a file or standard input, one at a time.

Unlike training data nothing is dropped here: a blank line is a row too, so that what comes out has as many
rows as what went in.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sweeper.data.settings import DataSettings
from sweeper.data.tables import find_column, find_encoding, read_table
from sweeper.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON = (".jsonl", ".ndjson")
TABLES = (".parquet", ".xlsx")
DEFAULT_COLUMN = "text"


def read_texts(place: str, column: str | None = None, header: bool = True) -> Iterator[str]:
    """The texts of a file, in order; the file is opened at once, and read as it is asked for.

    Args:
        place: txt and anything unknown (a line each), csv, tsv, jsonl, parquet, xlsx; `-` for standard input.
        column: of a table, by name or number from 0; None: `text`, or the only column.
        header: whether the first row of a csv, tsv or xlsx holds the names.

    Raises:
        UserError: no such file or column, or a file that is not what its ending says.
    """
    if place == "-":
        return (line.rstrip("\r\n") for line in sys.stdin)
    path = Path(place)
    if not path.is_file():
        raise UserError(f"{place}: there is no such file")
    ending = path.suffix.lower()
    if ending in DELIMITERS:
        return _separated(path, DELIMITERS[ending], column, header)
    if ending in JSON:
        return _json(path, column)
    if ending in TABLES:
        return _table(path, column, header)
    return _lines(path, find_encoding(path, "auto"))


def pick_column(names: Sequence[str], column: str | None, place: Path) -> int:
    """The position of the texts among a table's columns.

    Raises:
        UserError: it is not there, or was not named and cannot be guessed.
    """
    if column is not None:
        return find_column(column, names, place, "--column")
    if DEFAULT_COLUMN in names:
        return list(names).index(DEFAULT_COLUMN)
    if len(names) == 1:
        return 0
    raise UserError(f"{place}: which column holds the sentences? Say --column; there are {', '.join(map(repr, names))}")


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with path.open(encoding=encoding) as file:
        for line in file:
            yield line.rstrip("\n")


def _separated(path: Path, delimiter: str, column: str | None, header: bool) -> Iterator[str]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding=find_encoding(path, "auto"), newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        first = next(rows, None)
        if first is None:
            return
        names = first if header else [str(number) for number in range(len(first))]
        position = pick_column(names, column, path)
        if not header:
            yield first[position]
        for row in rows:
            yield row[position] if position < len(row) else ""


def _json(path: Path, column: str | None) -> Iterator[str]:
    for number, line in enumerate(_lines(path, find_encoding(path, "auto")), start=1):
        if not line.strip():
            yield ""
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise UserError(f"{path}, line {number}: this is no JSON; a jsonl file holds one object a line") from None
        if isinstance(row, str):
            yield row
        elif isinstance(row, dict):
            value = row[list(row)[pick_column(list(row), column, path)]]
            yield "" if value is None else str(value)
        else:
            raise UserError(f'{path}, line {number}: expected an object such as {{"text": …}}, found {line[:40]}')


def _table(path: Path, column: str | None, header: bool) -> Iterator[str]:
    settings = DataSettings(header=header)
    for (texts,) in read_table(path, settings, lambda names: [pick_column(names, column, path)]):
        yield from ("" if text is None else text for text in texts.to_pylist())
