"""One table file as a stream of text columns, whatever its format: csv, tsv, txt, jsonl, parquet, xlsx.

Parsing is pyarrow's and openpyxl's; here stands only what they leave open: which encoding, which
delimiter, which columns, and what to tell the user when a file is not what it was said to be.
A file is read block by block, so memory does not grow with its length. Limits: one value must fit into a
block (8 MiB), and a column of a jsonl file keeps the type of its first block.
"""

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sweeper.data.settings import DataSettings
from sweeper.errors import UserError

BLOCK = 8 << 20
ROWS = 16_384
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
JSON = (".jsonl", ".ndjson", ".json")
ENDINGS = (*DELIMITERS, *JSON, ".parquet", ".xlsx")


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one source.

    Attributes:
        file: what to call the source in a message.
        first_row: number of the first row, counted from 1, names not counted.
        text, label: pyarrow string arrays of equal length, null where the source has nothing.
        group: pyarrow string array, or None where no group is asked for.
    """

    file: str
    first_row: int
    text: Any
    label: Any
    group: Any = None


Pick = Callable[[Sequence[str]], list[int]]
"""From the column names of a file to the positions of the wanted columns; raises UserError if one is missing."""

Columns = list[Any]
"""The wanted columns of some consecutive rows: pyarrow string arrays of equal length."""


def read_table(path: Path, settings: DataSettings, pick: Pick) -> Iterator[Columns]:
    """Read the picked columns of one file as strings, a block of rows at a time.

    Raises:
        UserError: not a file, an unknown ending, a wrong encoding, a row that does not parse.
    """
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, expected a file: '{path}/*' takes all its files, "
            "data.source=folder one sub-folder a class"
        )
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    ending = path.suffix.lower()
    if ending in JSON:
        return _json(path, settings, pick)
    if ending == ".parquet":
        return _parquet(path, pick)
    if ending == ".xlsx":
        return _xlsx(path, settings.header, pick)
    if ending in DELIMITERS or settings.delimiter != "auto":
        return _csv(path, settings, pick)
    raise UserError(f"{path}: unknown ending {ending!r}; known are {', '.join(ENDINGS)} (or set data.delimiter)")


def wanted_columns(settings: DataSettings) -> dict[str, str]:
    """Config key → column of everything a row needs: text, label and, where rows are grouped, the group."""
    columns = {"data.text": settings.text, "data.label": settings.label}
    if settings.split.group is not None:
        columns["data.split.group"] = settings.split.group
    return columns


def find_column(wanted: str, names: Sequence[str], file: str | Path, config_key: str) -> int:
    """The position of a column given by name, or by number counted from 0.

    Raises:
        UserError: no such column; lists those there are.
    """
    stripped = [name.strip() for name in names]
    if wanted.strip() in stripped:
        return stripped.index(wanted.strip())
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    there = ", ".join(repr(name) if name else "'' (unnamed)" for name in stripped) or "none"
    raise UserError(
        f"{file}: there is no column {wanted!r} ({config_key}); the columns are {there}. "
        "Give a name or a number counted from 0; check data.delimiter and data.header if these look wrong"
    )


def find_encoding(path: Path, encoding: str) -> str:
    """The encoding of a text file: `auto` tries utf-8 (with or without a byte-order mark), then cp949.

    Raises:
        UserError: the file holds bytes that the encoding does not know.
    """
    for candidate in ("utf-8-sig", "cp949") if encoding == "auto" else (encoding,):
        bad = _first_bad_byte(path, candidate)
        if bad is None:
            return candidate
    tried = "neither utf-8 nor cp949" if encoding == "auto" else f"not {encoding}"
    raise UserError(
        f"{path}: the text is {tried} (byte {bad} does not fit); set data.encoding to what it is, or save it as utf-8"
    )


def _first_bad_byte(path: Path, encoding: str) -> int | None:
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError:
        raise UserError(f"data.encoding: unknown encoding {encoding!r}; take auto, utf-8, utf-8-sig or cp949") from None
    read = 0
    with path.open("rb") as file:
        while True:
            block = file.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return read - pending + error.start
            if not block:
                return None
            read += len(block)


def _csv(path: Path, settings: DataSettings, pick: Pick) -> Iterator[Columns]:
    from pyarrow import csv as arrow_csv

    encoding = find_encoding(path, settings.encoding)
    delimiter = _delimiter(path, settings.delimiter)
    first = _first_row(path, encoding, delimiter, settings.quoting)
    if not first:
        return
    names = first if settings.header else [str(number) for number in range(len(first))]
    wanted = [f"f{position}" for position in pick(names)]
    try:
        reader = arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(
                block_size=BLOCK,
                encoding="utf8" if encoding in ("utf-8", "utf-8-sig") else encoding,
                autogenerate_column_names=True,
                skip_rows_after_names=int(settings.header),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if settings.quoting else False,
                newlines_in_values=settings.quoting,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(wanted)),
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        for batch in reader:
            columns = [batch.column(name) for name in wanted]
            if settings.quoting and delimiter == "\t":
                _refuse_swallowed_rows(path, columns)
            yield columns
    except pa.ArrowInvalid as error:
        hint = "; data.quoting=false reads quotes as ordinary characters" if settings.quoting else ""
        raise UserError(f"{path}: {_short(error)} (data.delimiter is {delimiter!r}){hint}") from None


def _refuse_swallowed_rows(path: Path, columns: Columns) -> None:
    """A quote left open swallows the rows up to the next quote: silent loss, so it is an error."""
    for column in columns:
        if pc.any(pc.match_substring(column, "\n")).as_py():
            swallowed = column.filter(pc.match_substring_regex(column, "\n[^\n]*\t")).to_pylist()
            if swallowed:
                raise UserError(
                    f"{path}: a quote that opens at {swallowed[0][:40]!r} runs over several rows; "
                    "data.quoting=false reads quotes as ordinary characters"
                )


def _delimiter(path: Path, delimiter: str) -> str:
    if delimiter == "auto":
        return DELIMITERS[path.suffix.lower()]
    delimiter = {"\\t": "\t", "tab": "\t"}.get(delimiter, delimiter)
    if len(delimiter) != 1:
        raise UserError(f"data.delimiter: got {delimiter!r}; it takes auto, tab or one character")
    return delimiter


def _first_row(path: Path, encoding: str, delimiter: str, quoting: bool) -> list[str]:
    with path.open(encoding=encoding, newline="") as file:
        style: Any = csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE
        return next((row for row in csv.reader(file, delimiter=delimiter, quoting=style) if row), [])


def _json(path: Path, settings: DataSettings, pick: Pick) -> Iterator[Columns]:
    from pyarrow import json as arrow_json

    encoding = find_encoding(path, settings.encoding)
    if path.stat().st_size == 0:
        return
    stream: Any = pa.input_stream(path)
    if encoding not in ("utf-8", "utf-8-sig"):
        stream = pa.transcoding_input_stream(stream, encoding, "utf8")
    try:
        with stream, arrow_json.open_json(stream, read_options=arrow_json.ReadOptions(block_size=BLOCK)) as reader:
            positions = pick(reader.schema.names)
            for batch in reader:
                yield [as_text(batch.column(position), path) for position in positions]
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: {_short(error)}; a jsonl file holds one JSON object a line") from None


def _parquet(path: Path, pick: Pick) -> Iterator[Columns]:
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            wanted = [names[position] for position in pick(names)]
            for batch in file.iter_batches(batch_size=ROWS, columns=list(dict.fromkeys(wanted))):
                yield [as_text(batch.column(name), path) for name in wanted]
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: {_short(error)}; this is no parquet file") from None


def _xlsx(path: Path, header: bool, pick: Pick) -> Iterator[Columns]:
    import zipfile

    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(f"{path}: this is no xlsx workbook ({_short(error)}); save it as .xlsx or .csv") from None
    try:
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some writers state a size of one cell
        rows = sheet.iter_rows(values_only=True)
        first = next(rows, ())
        positions = pick([_cell(value) or "" for value in first] if header else [str(n) for n in range(len(first))])
        waiting = iter([] if header else [first])
        while block := [*islice(waiting, ROWS), *islice(rows, ROWS)]:
            yield [
                pa.array([_cell(row[position]) if position < len(row) else None for row in block], pa.string())
                for position in positions
            ]
    finally:
        book.close()


def _cell(value: Any) -> str | None:
    """A cell as text; 3.0, which is how some writers store 3, is "3"."""
    if value is None:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_text(column: Any, file: str | Path) -> Any:
    """A column of any plain type as strings: 3.0 becomes "3", a dictionary its values.

    Raises:
        UserError: the column holds lists or objects.
    """
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise UserError(f"{file}: a text or label column holds {column.type}, expected plain text or numbers") from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
