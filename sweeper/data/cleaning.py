"""Which rows are fit to train on, and a count of every row that is not.

Two steps. A row alone: missing or blank text, missing or unknown label (`clean`, chunk by chunk). Rows
among each other: duplicates, one text under two labels, a text in two splits (`resolve_repeats`,
`drop_overlap`), decided on 8-byte hashes of the texts so that memory does not grow with them. Limit: two
different texts share a hash once in 370,000 corpora of ten million rows.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from sweeper.data.settings import DataSettings
from sweeper.data.tables import Chunk
from sweeper.errors import UserError

Rows = NDArray[np.int64]
SHOWN = 60


@dataclass(frozen=True)
class Clean:
    """The rows of a chunk that can stand alone.

    Attributes:
        text: pyarrow string array.
        labels: (rows,) codes of the label reader, int64, or float64 for regression.
        hashes: (rows,) uint64 of the texts.
        groups: (rows,) uint64 of the group, or None.
        dropped: reason → rows.
    """

    text: Any
    labels: NDArray[Any]
    hashes: NDArray[np.uint64]
    groups: NDArray[np.uint64] | None
    dropped: Counter[str]


class Labels(Protocol):
    """Turns label texts into numbers."""

    def read(self, labels: Any, chunk: Chunk, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Numbers of labels that are not missing, and which of them are known.

        Args:
            labels: pyarrow string array, trimmed.
            chunk: where they come from.
            rows: (labels,) their row numbers in the source.
        """


class ClassNames:
    """Class names → codes, in the given order or as they come (`ordered` gives the final ids)."""

    def __init__(self, order: Sequence[str] | None, unknown: str) -> None:
        self.order = None if order is None else tuple(name.strip() for name in order)
        if len(set(self.order or ())) < len(self.order or ()):
            raise UserError(f"data.labels: a label stands there twice: {', '.join(self.order or ())}")
        self.strict = unknown == "error"
        self.codes = {name: code for code, name in enumerate(self.order or ())}
        self.unknown: Counter[str] = Counter()

    def read(self, labels: Any, chunk: Chunk, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Codes, int64; -1 for a label that is not in the given order."""
        encoded = labels.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        for name in names if self.order is None else ():
            self.codes.setdefault(name, len(self.codes))
        of_name = np.array([self.codes.get(name, -1) for name in names], np.int64)
        codes = of_name[encoded.indices.to_numpy(zero_copy_only=False)]
        known = codes >= 0
        if not known.all():
            self._note(labels.filter(pa.array(~known)), chunk, int(rows[~known][0]))
        return codes, known

    def _note(self, unknown: Any, chunk: Chunk, row: int) -> None:
        if self.strict:
            raise UserError(
                f"{chunk.file}, row {row}: the label {unknown[0].as_py()!r} is not in data.labels "
                f"({', '.join(self.order or ())}); add it, or drop such rows with data.unknown_labels=drop"
            )
        self.unknown.update(unknown.to_pylist())

    def ordered(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Final class names, and the id of each code: the given order, else sorted (numbers by value)."""
        names = self.order or tuple(sorted(self.codes, key=_by_value))
        ids = {name: number for number, name in enumerate(names)}
        return names, np.array([ids[name] for name in self.codes], np.int64)


class Numbers:
    """Labels of a regression."""

    def read(self, labels: Any, chunk: Chunk, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values, float64.

        Raises:
            UserError: a label is no finite number.
        """
        try:
            values = pc.cast(labels, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            values = np.array([_number(text) for text in labels.to_pylist()], np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise UserError(
                f"{chunk.file}, row {rows[bad[0]]}: the label {labels[int(bad[0])].as_py()!r} is no finite number; "
                "data.task=regression needs one in every row (data.task=classification takes names)"
            )
        return values, np.ones(len(values), np.bool_)


def labels_of(settings: DataSettings) -> ClassNames | Numbers:
    """The label reader for the task.

    Raises:
        UserError: an unknown task.
    """
    if settings.task not in ("classification", "regression"):
        raise UserError(f"data.task: got {settings.task!r}; it takes classification or regression")
    return Numbers() if settings.task == "regression" else ClassNames(settings.labels, settings.unknown_labels)


def clean(chunk: Chunk, labels: Labels) -> Clean:
    """Drop what cannot stand alone; texts stay as they are, labels lose blanks around them."""
    dropped: Counter[str] = Counter()
    trimmed = pc.utf8_trim_whitespace(chunk.label)
    reasons = {
        "missing_text": pc.is_null(chunk.text),
        "blank_text": pc.equal(pc.utf8_trim_whitespace(chunk.text), ""),
        "missing_label": pc.fill_null(pc.equal(trimmed, ""), True),
    }
    keep = np.ones(len(chunk.text), np.bool_)
    for reason, found in reasons.items():
        bad = keep & pc.fill_null(found, False).to_numpy(zero_copy_only=False)
        dropped[reason] = int(bad.sum())
        keep &= ~bad
    rows = np.flatnonzero(keep)
    numbers, known = labels.read(trimmed.filter(pa.array(keep)), chunk, rows + chunk.first_row)
    dropped["unknown_labels"] = int((~known).sum())
    kept = pa.array(rows[known])
    text = chunk.text.take(kept)
    groups = None if chunk.group is None else _group_hashes(chunk.group.take(kept), chunk, rows[known])
    return Clean(text, numbers[known], hash_texts(text), groups, dropped)


def hash_texts(texts: Any) -> NDArray[np.uint64]:
    """A 64-bit hash of each string of a pyarrow array without nulls, the same on every machine."""
    return np.fromiter(map(xxhash.xxh3_64_intdigest, texts.cast(pa.binary()).to_pylist()), np.uint64, len(texts))


def resolve_repeats(
    hashes: NDArray[np.uint64], labels: NDArray[Any], duplicates: str, conflicts: str
) -> tuple[NDArray[np.bool_], Counter[str]]:
    """Which rows stay where a text stands more than once; both arguments (rows,), rows in source order.

    A text under one label: the first row stays, or all with `duplicates="keep"`. A text under two labels is
    a conflict: `keep_first` keeps what stands under the first row's label, `drop` keeps none of its rows,
    `keep` all (then a duplicate is a text that stood before under the same label).

    Returns:
        (rows,) True where the row stays; dropped rows as `duplicates` and `conflicts`.
    """
    if conflicts == "keep":
        repeats = _stood_before(hashes, labels) & (duplicates == "drop")
        return ~repeats, Counter(duplicates=int(repeats.sum()), conflicts=0)
    order = np.argsort(hashes, kind="stable")
    starts = np.ones(len(order), np.bool_)
    starts[1:] = hashes[order][1:] != hashes[order][:-1]
    text_of_row = np.cumsum(starts) - 1
    contradicts = labels[order] != labels[order[starts]][text_of_row]
    if conflicts == "drop":
        contradicts = np.isin(text_of_row, text_of_row[contradicts])
    repeats = ~starts & ~contradicts if duplicates == "drop" else np.zeros_like(starts)
    keep = np.empty_like(starts)
    keep[order] = ~(contradicts | repeats)
    return keep, Counter(duplicates=int(repeats.sum()), conflicts=int(contradicts.sum()))


def _stood_before(hashes: NDArray[np.uint64], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(rows,) whether the same text stood before under the same label."""
    order = np.lexsort((labels, hashes))  # stable: of equal rows the first in the source comes first
    same = np.zeros(len(order), np.bool_)
    same[1:] = (hashes[order][1:] == hashes[order][:-1]) & (labels[order][1:] == labels[order][:-1])
    repeats = np.empty_like(same)
    repeats[order] = same
    return repeats


def drop_overlap(splits: Mapping[str, Rows], hashes: NDArray[np.uint64]) -> tuple[dict[str, Rows], int]:
    """Take texts of the test rows out of validation and train, and those of validation out of train.

    So evaluation rows stay those of the corpus.

    Args:
        splits: rows of `train`, `validation` and `test`, or some of them.
        hashes: (all rows,) of the texts.

    Returns:
        the splits, in the order they came, and how many rows were taken out.
    """
    left = dict(splits)
    taken = np.empty(0, np.uint64)
    dropped = 0
    for name in ("test", "validation", "train"):
        if name in left:
            own = hashes[left[name]]
            # Arrow's hash set: numpy.isin took twenty seconds for four million rows.
            stays = ~pc.is_in(pa.array(own), value_set=pa.array(taken)).to_numpy(zero_copy_only=False)
            dropped += int((~stays).sum())
            left[name] = left[name][stays]
            taken = np.concatenate([taken, own])
    return left, dropped


def _group_hashes(groups: Any, chunk: Chunk, rows: Rows) -> NDArray[np.uint64]:
    """Hashes of the group values; a row without a group is a group of its own."""
    if groups.null_count:
        alone = pa.array([f"\0{chunk.file}\0{chunk.first_row + row}" for row in rows], pa.string())
        groups = pc.coalesce(groups, alone)
    return hash_texts(groups)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _by_value(name: str) -> tuple[bool, float, str]:
    number = _number(name)
    return (True, 0.0, name) if math.isnan(number) else (False, number, name)
