"""Texts as one flat row of token ids with offsets, memory-mapped; each text is tokenised once.

The ids are appended to a file batch by batch and mapped back, so neither text nor ids need fit into memory,
and worker processes share one copy. A tokenizer is named by a hash of its files, so that a second start
finds the table without importing transformers. Limit: a hub model is looked for in the local hub cache
first; a tokenizer that changes on the hub is seen when that cache is emptied.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sweeper import assets
from sweeper.data.cache import read_json, write_json
from sweeper.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILES = (
    *("tokenizer*", "vocab*", "merges*", "special_tokens_map*", "added_tokens*"),
    *("*.spm", "*.tiktoken", "*piece*.model", "*.bpe.model"),
)
CONFIG = "config.json"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
BATCH = 2048
ENDLESS = 2**31 - 1  # tokens that an encoder takes which states no limit
FROM_PADDING = ("camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "mpnet", "xmod")


@dataclass(frozen=True)
class TokenTable:
    """All tokenised texts.

    Attributes:
        ids: (tokens,) int32, memory-mapped; row r is `ids[offsets[r]:offsets[r + 1]]`.
        offsets: (rows + 1,) int64, memory-mapped.
        pad_id: the tokenizer's padding token.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pad_id: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,) tokens of each row, special tokens included."""
        return np.diff(self.offsets)

    @classmethod
    def open(cls, folder: Path) -> "TokenTable":
        """Map a table that `write_tokens` made."""
        ids = np.memmap(folder / "ids.i32", np.int32, "r")
        return cls(ids, np.load(folder / "offsets.npy", mmap_mode="r"), read_json(folder / "meta.json")["pad_id"])


@dataclass(frozen=True)
class Split:
    """Rows of one split, in its order.

    Attributes:
        rows: (n,) int64, indices into the token table.
        labels: (n,) int64 class ids, or float32 values for regression.
    """

    rows: NDArray[np.int64]
    labels: NDArray[Any]


def load_tokenizer(model: str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a bundled encoder, a folder or a hub id; no code from a hub is run.

    Raises:
        UserError: unknown folder, unreachable hub, or a folder without a tokenizer.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    folder = tokenizer_folder(model)
    _files(folder, model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise UserError(f"model={model}: no tokenizer could be read from {folder} ({_short(error)})") from None
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise UserError(f"model={model}: {folder} holds no tokenizer")
    return tokenizer


def tokenizer_folder(model: str) -> Path:
    """Where the tokenizer's files lie, fetched from the hub if need be.

    Raises:
        UserError: neither a folder nor a hub id, or the hub cannot be reached.
    """
    name = assets.encoder(model)
    if Path(name).is_dir():
        return Path(name)
    if not HUB_ID.fullmatch(model) or model.startswith("."):
        raise UserError(
            f"model={model}: there is no such folder (seen from {Path.cwd()}). Give a folder with config.json, "
            f"tokenizer and weights, a hub id such as klue/bert-base, or one of {', '.join(assets.ENCODERS)}"
        )
    return _snapshot(model)


def positions(config: Mapping[str, Any]) -> int:
    """Tokens of a text that an encoder has positions for, by its `config.json`; `ENDLESS` where it states no limit.

    RoBERTa and its like count positions from `pad_token_id + 1`, so that many are never a token's.
    """
    stated, family = config.get("max_position_embeddings"), str(config.get("model_type"))
    if not isinstance(stated, int) or stated < 1 or config.get("position_biased_input") is False:  # DeBERTa: relative
        return ENDLESS
    if "roberta" not in family and family not in FROM_PADDING:
        return stated
    pad = config.get("pad_token_id")
    return stated - (1 if pad is None else int(pad)) - 1


def tokenizer_fingerprint(model: str, max_length: int = 0) -> str:
    """A hash of the files that make the tokenizer; imports no transformers.

    Args:
        max_length: tokens a text may have; an encoder with fewer positions cuts elsewhere and gets its own hash.
    """
    folder = tokenizer_folder(model)
    state = xxhash.xxh3_128()
    for file in _files(folder, model):
        content = file.read_bytes()
        state.update(f"{file.name} {len(content)}\n".encode() + content)
    if (folder / CONFIG).is_file():  # decides the tokenizer's class where its own files do not
        config = read_json(folder / CONFIG)
        state.update(json.dumps([config.get("model_type"), config.get("tokenizer_class")]).encode())
        if (room := positions(config)) < max_length:
            state.update(f"{room} positions".encode())
    return state.hexdigest()


def tokenise(
    texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Token ids of some texts, cut to `max_length` with special tokens kept.

    Returns:
        ids (tokens,) int32, offsets (texts + 1,) int64.
    """
    ids, offsets, _ = _flat(_encode(texts, tokenizer, max_length))
    return ids, offsets


def write_tokens(
    folder: Path, texts: Iterable[Sequence[str]], model: str, max_length: int, report: Callable[[int], None]
) -> None:
    """Tokenise batches of texts into `ids.i32`, `offsets.npy`, `full_lengths.npy` and `meta.json`.

    Args:
        texts: batches, in the order of the table's rows.
        max_length: tokens a row may have; an encoder that takes fewer gets what it takes (`meta.json` says so).
        report: called with the rows done so far.

    Raises:
        UserError: the tokenizer cannot be loaded, or `max_length` leaves no room for a text.
    """
    tokenizer = load_tokenizer(model)
    max_length = _fitting_length(tokenizer, tokenizer_folder(model) / CONFIG, max_length)
    lengths: list[NDArray[np.int64]] = []
    full: list[NDArray[np.int32]] = []
    with (folder / "ids.i32").open("wb") as file:
        for batch in texts:
            for start in range(0, len(batch), BATCH):
                some = batch[start : start + BATCH]
                ids, offsets, encodings = _flat(_encode(some, tokenizer, max_length))
                ids.tofile(file)
                lengths.append(np.diff(offsets))
                full.append(_full_lengths(some, lengths[-1], encodings, tokenizer, max_length))
            report(sum(map(len, lengths)))
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64))
    np.save(folder / "full_lengths.npy", np.concatenate(full))
    pad = tokenizer.pad_token_id
    write_json(folder / "meta.json", {"pad_id": 0 if pad is None else int(pad), "max_length": max_length})


def _files(folder: Path, model: str) -> list[Path]:
    files = sorted({file for pattern in FILES for file in folder.glob(pattern) if file.is_file()})
    if not files:  # transformers would make an empty tokenizer of nothing and read every word as unknown
        raise UserError(f"model={model}: {folder} holds no tokenizer (tokenizer.json or vocab.txt); save it there too")
    return files


def _encode(texts: Sequence[str], tokenizer: "PreTrainedTokenizerBase", max_length: int | None) -> Any:
    if not texts:  # transformers fails on an empty batch
        return None
    return tokenizer(
        list(texts),
        truncation=max_length is not None,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )


def _flat(encoded: Any) -> tuple[NDArray[np.int32], NDArray[np.int64], Any]:
    """Ids end to end, offsets, and the Rust encodings (None for a tokenizer written in Python)."""
    rows = [] if encoded is None else encoded["input_ids"]
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    ids = np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1]))
    return ids, offsets, None if encoded is None else encoded.encodings


def _full_lengths(
    texts: Sequence[str],
    lengths: NDArray[np.int64],
    encodings: Any,
    tokenizer: "PreTrainedTokenizerBase",
    max_length: int,
) -> NDArray[np.int32]:
    """(texts,) tokens each text would have without a limit.

    The encodings hold what was cut off, in pieces with special tokens of their own; without encodings the
    texts at the limit are tokenised again.
    """
    full = lengths.astype(np.int32)
    at_limit = [int(row) for row in np.flatnonzero(lengths >= max_length)]
    special = tokenizer.num_special_tokens_to_add()
    if at_limit and encodings is None:
        full[at_limit] = [len(row) for row in _encode([texts[row] for row in at_limit], tokenizer, None)["input_ids"]]
        return full
    for row in at_limit:
        full[row] += sum(len(piece) - special for piece in encodings[row].overflowing)
    return full


def _fitting_length(tokenizer: "PreTrainedTokenizerBase", config: Path, max_length: int) -> int:
    special = tokenizer.num_special_tokens_to_add()
    if max_length <= special:
        raise UserError(f"data.max_length: got {max_length}; the tokenizer adds {special} special tokens to every text")
    room = positions(read_json(config)) if config.is_file() else ENDLESS  # many a tokenizer states no limit
    return int(min(max_length, tokenizer.model_max_length, room))


def _snapshot(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # a refusing proxy is its error, no OSError

    patterns = [*FILES, CONFIG]
    try:
        folder = Path(snapshot_download(model, allow_patterns=patterns, local_files_only=True))
        if any(file.name != CONFIG for pattern in patterns for file in folder.glob(pattern)):
            return folder
    except (OSError, ValueError):
        pass  # not in the local hub cache
    try:
        return Path(snapshot_download(model, allow_patterns=patterns))
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise UserError(
            f"model={model}: there is no such folder here, and the hub could not give it ({_short(error)}). "
            "Check the name and the connection, or download the model elsewhere and set model=FOLDER; "
            "model=ko-mini needs no hub"
        ) from None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
