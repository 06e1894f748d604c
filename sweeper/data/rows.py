"""The rows that can stand alone, on disk: texts in a memory-mapped Arrow file, numbers beside it.

Written in one pass over the sources, in their order, whatever is later decided about duplicates and splits;
so another split, row limit or tokenizer reads no source again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sweeper import assets
from sweeper.data import sources
from sweeper.data.cache import read_json, write_json
from sweeper.data.cleaning import ClassNames, Clean, clean, labels_of
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError

Rows = NDArray[np.int64]
TEXTS = "texts.arrow"
META = "meta.json"
UNKNOWN_SHOWN = 20
BATCH = 8192


@dataclass(frozen=True)
class RowStore:
    """What `write_rows` left in a folder."""

    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Parts, files, label names and what was dropped."""
        meta: dict[str, Any] = read_json(self.folder / META)
        return meta

    @property
    def parts(self) -> dict[str, Rows]:
        """Row numbers of each part of the source (`all`, or the given splits)."""
        return {name: np.arange(*span, dtype=np.int64) for name, span in self.meta["parts"].items()}

    @cached_property
    def labels(self) -> NDArray[Any]:
        """(rows,) int64 class ids or float64 values."""
        return np.asarray(np.load(self.folder / "labels.npy"))

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """(rows,) of the texts."""
        return np.asarray(np.load(self.folder / "hashes.npy"))

    @cached_property
    def groups(self) -> NDArray[np.uint64] | None:
        """(rows,) or None where rows have no groups."""
        path = self.folder / "groups.npy"
        return np.asarray(np.load(path)) if path.exists() else None

    @cached_property
    def _batches(self) -> list[Any]:
        reader = pa.ipc.open_file(pa.memory_map(str(self.folder / TEXTS)))
        return [reader.get_batch(number).column(0) for number in range(reader.num_record_batches)]

    def batches(self) -> Iterator[list[str]]:
        """All texts, some thousand at a time."""
        for column in self._batches:
            for start in range(0, len(column), BATCH):
                yield column.slice(start, BATCH).to_pylist()

    def texts(self, rows: Rows) -> list[str]:
        """The texts of some rows, in their order."""
        ends = np.cumsum([len(column) for column in self._batches])
        batch_of_row = np.searchsorted(ends, rows, side="right")
        texts = np.empty(len(rows), object)
        for number in np.unique(batch_of_row):
            column, here = self._batches[number], np.flatnonzero(batch_of_row == number)
            inside = rows[here] - (ends[number] - len(column))
            texts[here] = column.take(pa.array(inside)).to_numpy(zero_copy_only=False)
        return list(texts)


def write_rows(folder: Path, settings: DataSettings, report: Callable[[str], None]) -> None:
    """Read all parts of the source, drop what cannot stand alone, write the rest.

    Raises:
        UserError: as `sources.plan`, `sources.read` and the label readers; a part without a usable row.
    """
    labels = labels_of(settings)
    kept: list[Clean] = []
    dropped: Counter[str] = Counter()
    rows_read: Counter[tuple[str, str]] = Counter()
    parts: dict[str, tuple[int, int]] = {}
    rows = 0
    schema = pa.schema([("text", pa.string())])
    with pa.OSFile(str(folder / TEXTS), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for part in sources.plan(settings):
            start, before = rows, dropped.copy()
            for chunk in sources.read(part, settings):
                if (part.name, chunk.file) not in rows_read:
                    report(f"reading {_public(chunk.file)}")
                fit = clean(chunk, labels)
                writer.write_batch(pa.record_batch([fit.text], schema=schema))
                kept.append(Clean(None, fit.labels, fit.hashes, fit.groups, fit.dropped))
                dropped.update(fit.dropped)
                rows_read[part.name, chunk.file] += len(chunk.text)
                rows += len(fit.text)
            parts[part.name] = (start, rows)
            if rows == start:
                _refuse_empty(part, dropped - before, labels)
    _write_numbers(folder, kept, labels)
    names = labels.ordered()[0] if isinstance(labels, ClassNames) else ()
    unknown = labels.unknown.most_common(UNKNOWN_SHOWN) if isinstance(labels, ClassNames) else []
    files = [{"part": part, "path": _public(place), "rows": count} for (part, place), count in rows_read.items()]
    meta = {"parts": parts, "files": files, "labels": names, "dropped": dict(dropped), "unknown": dict(unknown)}
    write_json(folder / META, meta)


def _write_numbers(folder: Path, kept: Sequence[Clean], labels: Any) -> None:
    numbers = np.concatenate([some.labels for some in kept])
    if isinstance(labels, ClassNames):
        numbers = labels.ordered()[1][numbers]
    np.save(folder / "labels.npy", numbers)
    np.save(folder / "hashes.npy", np.concatenate([some.hashes for some in kept]))
    groups = [some.groups for some in kept if some.groups is not None]
    if groups:
        np.save(folder / "groups.npy", np.concatenate(groups))


def _refuse_empty(part: sources.Part, dropped: Counter[str], labels: Any) -> None:
    where = "data.path" if part.name == sources.WHOLE else f"data.{part.name}"
    reasons = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items())
    unknown = f" (such as {', '.join(map(repr, list(labels.unknown)[:5]))})" if getattr(labels, "unknown", None) else ""
    found = f"every row was dropped: {reasons}{unknown}" if reasons else "there is no row in it"
    raise UserError(
        f"{where} ({', '.join(map(_public, part.places[:3]))}): the data is empty, {found}. "
        "Check data.text, data.label and data.labels"
    )


def _public(place: str) -> str:
    """A bundled file by its public name, others as they were given."""
    path = Path(place)
    return f"{assets.BUNDLED}{path.relative_to(assets.FOLDER)}" if path.is_relative_to(assets.FOLDER) else place
