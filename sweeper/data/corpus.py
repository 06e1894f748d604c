"""From settings to a corpus that is ready to train on: read, clean, split, tokenise, once.

Three folders under the cache, each named by a hash of what it depends on: `rows-…` (cleaned texts),
`tokens-…` (the token table) and `corpus-…` (splits and card). A second start only maps them. The corpus'
`fingerprint` covers the content of the sources, cleaning, splits, limits and `max_length`, not the tokenizer,
so that trials of different encoders on the same data compare.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.data import sources
from sweeper.data.cache import built, key, read_json, write_json
from sweeper.data.card import make_card, short_card
from sweeper.data.cleaning import drop_overlap, resolve_repeats
from sweeper.data.rows import RowStore, write_rows
from sweeper.data.settings import SPLITS, DataSettings, RowSettings, SplitSettings
from sweeper.data.splits import limit_rows, refuse_rare_classes, split_rows
from sweeper.data.tokens import Split, TokenTable, tokenizer_fingerprint, write_tokens
from sweeper.errors import UserError

__all__ = ["Corpus", "DataSettings", "RowSettings", "SplitSettings", "load_corpus", "short_card"]

Rows = NDArray[np.int64]
ROW_KEYS = (
    *("source", "text", "label", "header", "encoding", "delimiter", "quoting", "config", "revision"),
    *("task", "labels", "unknown_labels"),
)
MOST = 0.5  # a smaller share of the rows is tokenised alone, a larger one with all others for later use
REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class Corpus:
    """Tokenised, split data, memory-mapped.

    Attributes:
        folder: where it lies; `Corpus.open(folder)` gives it again.
        table: token ids of every row that a split uses (and maybe others).
        train, validation, test: rows and labels; `test` may be empty.
        label_names: by class id; empty for regression.
        task: `classification` or `regression`.
        card: the whole data card, JSON-able.
        fingerprint: hash of the data, its cleaning and its splits.
    """

    folder: Path
    table: TokenTable
    train: Split
    validation: Split
    test: Split
    label_names: tuple[str, ...]
    task: str
    card: dict[str, Any]
    fingerprint: str

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Map a corpus that `load_corpus` built; reads no text and no tokenizer."""
        meta = read_json(folder / "meta.json")
        train, validation, test = (
            Split(np.load(folder / f"{name}_rows.npy", mmap_mode="r"), np.load(folder / f"{name}_labels.npy"))
            for name in SPLITS
        )
        table = TokenTable.open(folder.parent / meta["tokens"])
        card = meta["card"]
        names = tuple(card["labels"])
        return cls(folder, table, train, validation, test, names, card["task"], card, card["fingerprint"])

    def texts(self, rows: Rows) -> list[str]:
        """The texts of some rows of the token table (as in `Split.rows`), in their order."""
        meta = read_json(self.folder / "meta.json")
        subset = self.folder.parent / meta["tokens"] / "rows.npy"
        stored = np.load(subset, mmap_mode="r")[rows] if subset.exists() else rows
        return RowStore(self.folder.parent / meta["rows"]).texts(np.asarray(stored))


def load_corpus(
    settings: DataSettings, model: str, cache: Path, report: Callable[[str], None] = lambda _: None
) -> Corpus:
    """Build the corpus, or map the one built before from equal sources, settings and tokenizer.

    Args:
        settings: what to read and how.
        model: encoder whose tokenizer is used: bundled name, folder or hub id.
        cache: folder for everything that is derived.
        report: called with a line now and then while something takes time.

    Raises:
        UserError: anything about the data, the tokenizer or the cache folder that the user can mend.
    """
    if settings.path and settings.source != "hub" and (settings.train or settings.validation or settings.test):
        report("data.path is set: data.train, data.validation and data.test are not read")
    plain = settings.plain
    content = {name: plain[name] for name in ROW_KEYS} | {"group": settings.split.group}
    rows_key = key("rows", sources.fingerprint(settings), content)
    decided = {name: plain[name] for name in ("duplicates", "conflicts", "overlap", "max_length", "split", "rows")}
    fingerprint = key("corpus", rows_key, decided)
    tokenizer = tokenizer_fingerprint(model, settings.max_length)
    folder = cache / f"corpus-{key(fingerprint, tokenizer)}"
    if not _whole(folder):
        store = RowStore(built(cache / f"rows-{rows_key}", lambda aside: write_rows(aside, settings, report)))
        splits, dropped = _splits(store, settings)
        tokens_key = key("tokens", rows_key, tokenizer, settings.max_length)
        tokens, rows = _tokens(store, splits, tokens_key, model, settings, report)

        def write(aside: Path) -> None:
            _write_corpus(aside, store, tokens, splits, rows, dropped, settings, fingerprint)

        built(folder, write)
    return Corpus.open(folder)


def _whole(folder: Path) -> bool:
    """Whether the corpus and the two folders it points to are there."""
    if not (folder / "meta.json").is_file():
        return False
    meta = read_json(folder / "meta.json")
    return all((folder.parent / meta[kind]).is_dir() for kind in ("rows", "tokens"))


def _splits(store: RowStore, settings: DataSettings) -> tuple[dict[str, Rows], Counter[str]]:
    """Rows of the store for each split, and how many of its rows no split has, by reason."""
    dropped: Counter[str] = Counter(store.meta["dropped"])
    parts: dict[str, Rows] = {}
    for name, rows in store.parts.items():
        keep, counts = resolve_repeats(store.hashes[rows], store.labels[rows], settings.duplicates, settings.conflicts)
        parts[name] = rows[keep]
        dropped.update(counts)
    names = tuple(store.meta["labels"])
    parts = _apart(parts, store, settings, dropped)
    if settings.split.stratify and names:
        carved = next(iter(parts.values()))
        refuse_rare_classes(store.labels[carved], names, 1 + sum(name not in parts for name in SPLITS[1:]))
    splits = split_rows(parts, settings.split, store.labels if names else None, store.groups)
    splits, beyond = limit_rows(_apart(splits, store, settings, dropped), settings.rows)
    dropped["row_limits"] = beyond
    _refuse_untrainable(splits, store, names)
    return splits, dropped


def _apart(
    splits: Mapping[str, Rows], store: RowStore, settings: DataSettings, dropped: Counter[str]
) -> dict[str, Rows]:
    if settings.overlap == "keep":
        return dict(splits)
    apart, count = drop_overlap(splits, store.hashes)
    dropped["overlap"] += count
    return apart


def _refuse_untrainable(splits: Mapping[str, Rows], store: RowStore, names: tuple[str, ...]) -> None:
    for name in SPLITS[:2]:
        if not len(splits[name]):
            raise UserError(
                f"no row is left for {name} of {sum(store.meta['dropped'].values()) + len(store.labels):,} rows read; "
                f"see data.split.{name}, data.rows.{name} and data.overlap"
            )
    present = np.unique(store.labels[splits["train"]])
    if names and len(present) < 2:
        raise UserError(
            f"train holds one class only, {names[present[0]]!r}, in {len(splits['train']):,} rows; "
            "a classifier needs two. Check data.label and data.labels; with data.rows.train set, "
            "data.rows.shuffle_seed mixes sorted data"
        )


def _tokens(
    store: RowStore,
    splits: Mapping[str, Rows],
    name: str,
    model: str,
    settings: DataSettings,
    report: Callable[[str], None],
) -> tuple[Path, Rows | None]:
    """The token table's folder, and the rows of the store it holds (None: all)."""
    used = np.sort(np.concatenate(list(splits.values())))
    some = used if len(used) < MOST * len(store.labels) else None
    if some is not None:
        name = key(name, _digest(some))
    total = len(store.labels) if some is None else len(some)
    say = _now_and_then(lambda done: report(f"tokenising: {done:,} of {total:,} rows"))

    def write(aside: Path) -> None:
        texts = store.batches() if some is None else _batches(store, some)
        write_tokens(aside, texts, model, settings.max_length, say)
        if some is not None:
            np.save(aside / "rows.npy", some)

    return built(store.folder.parent / f"tokens-{name}", write), some


def _batches(store: RowStore, rows: Rows, size: int = 8192) -> Iterator[list[str]]:
    for start in range(0, len(rows), size):
        yield store.texts(rows[start : start + size])


def _digest(rows: Rows) -> str:
    import xxhash

    return str(xxhash.xxh3_128_hexdigest(np.ascontiguousarray(rows).data))


def _now_and_then(report: Callable[[int], None]) -> Callable[[int], None]:
    last = time.monotonic()

    def say(done: int) -> None:
        nonlocal last
        if time.monotonic() - last > REPORT_SECONDS:
            last = time.monotonic()
            report(done)

    return say


def _write_corpus(
    aside: Path,
    store: RowStore,
    tokens: Path,
    splits: Mapping[str, Rows],
    table_rows: Rows | None,
    dropped: Mapping[str, int],
    settings: DataSettings,
    fingerprint: str,
) -> None:
    full_lengths = np.load(tokens / "full_lengths.npy", mmap_mode="r")
    labels: dict[str, NDArray[Any]] = {}
    tables: dict[str, Rows] = {}
    for name, rows in splits.items():
        tables[name] = rows if table_rows is None else np.searchsorted(table_rows, rows).astype(np.int64)
        labels[name] = store.labels[rows].astype(np.float32 if settings.task == "regression" else np.int64)
        np.save(aside / f"{name}_rows.npy", tables[name])
        np.save(aside / f"{name}_labels.npy", labels[name])
    used = full_lengths[np.concatenate(list(tables.values()))]
    cut_at = read_json(tokens / "meta.json")["max_length"]
    card = make_card(settings, store.meta, dropped, labels, used, cut_at, fingerprint)
    write_json(aside / "meta.json", {"rows": store.folder.name, "tokens": tokens.name, "card": card})
