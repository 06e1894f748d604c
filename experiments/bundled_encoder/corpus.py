"""Reviews as a token table with ratings, and a tokenizer made from them: what the bundled encoder learns from.

A text that stands in one of the files to leave out (NSMC's train and test rows are among the reviews) is left out
before anything is learned: of the vocabulary, of the co-occurrences, of the masked words and of the ratings. Two texts
count as the same where their letters and digits are, so `재밌다!!` leaves out `재밌다` too.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast

from sweeper.data.cache import built, key, read_json, write_json
from sweeper.data.settings import DataSettings
from sweeper.data.tables import find_column, read_table
from sweeper.data.tokens import TokenTable, write_tokens
from sweeper.errors import UserError
from sweeper.training.checkpoint import sha256

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MASK = SPECIAL.index("[MASK]")
MAX_LENGTH = 128  # tokens; a review has 147 characters at most
RATINGS = 10
CHARACTERS = 2_500  # pieces of one character
BATCH = 10_000
VERSION = 1  # of what is written below


@dataclass(frozen=True)
class Reviews:
    """Texts (n,) with their ratings (n,), 0 for one point to 9 for ten; `counts` says what was read and left out."""

    texts: Sequence[str]
    ratings: NDArray[np.int64]
    counts: dict[str, int]


@dataclass(frozen=True)
class Corpus:
    """Texts as tokens with their labels (n,), 0 to `classes` - 1: here the ratings; `tokenizer` is its folder."""

    table: TokenTable
    labels: NDArray[np.int64]
    classes: int
    counts: dict[str, int]
    tokenizer: Path


def open_corpus(reviews: Path, left_out: Sequence[Path], vocabulary: int, cache: Path) -> Corpus:
    """The corpus from its folder in `cache`, made there first if need be (a minute or two).

    Args:
        reviews: parquet file with the columns `text` and `rating` (1 to 10).
        left_out: tables whose column `document` holds the texts to leave out.
        vocabulary: word pieces, special tokens included.

    Raises:
        UserError: a file is missing or has other columns.
    """
    for path in (reviews, *left_out):
        if not path.is_file():
            raise UserError(f"{path}: there is no such file")

    def build(folder: Path) -> None:
        found = read_reviews(reviews, left_out)
        train_tokenizer(found.texts, vocabulary, folder / "tokenizer")
        parts = (found.texts[start : start + BATCH] for start in range(0, len(found.texts), BATCH))
        write_tokens(folder, parts, str(folder / "tokenizer"), MAX_LENGTH, report=lambda rows: None)
        np.save(folder / "ratings.npy", found.ratings)
        write_json(folder / "counts.json", found.counts)

    content = [sha256(path) for path in (reviews, *left_out)]
    folder = built(cache / key("reviews", VERSION, content, vocabulary), build)
    return Corpus(
        TokenTable.open(folder), np.load(folder / "ratings.npy"), RATINGS, read_json(folder / "counts.json"),
        folder / "tokenizer",
    )  # fmt: skip


def read_reviews(reviews: Path, left_out: Sequence[Path]) -> Reviews:
    """All reviews but those in the files to leave out."""
    table = pq.read_table(reviews, columns=["text", "rating"])
    texts, ratings = table["text"].to_pylist(), table["rating"].to_numpy().astype(np.int64) - 1
    forbidden = {bare(text) for path in left_out for text in _documents(path)}
    kept = np.array([bare(text) not in forbidden for text in texts], dtype=bool)
    counts = {"read": len(texts), "forbidden": len(forbidden), "left_out": int((~kept).sum()), "kept": int(kept.sum())}
    return Reviews([text for text, stays in zip(texts, kept, strict=True) if stays], ratings[kept], counts)


def bare(text: str) -> str:
    """Letters and digits alone, in lower case and one Unicode form: what two texts are compared by."""
    return "".join(one for one in unicodedata.normalize("NFKC", text).lower() if one.isalnum())


def _documents(path: Path) -> Iterator[str]:
    settings = DataSettings(text="document", quoting=False)

    def pick(names: Sequence[str]) -> list[int]:
        return [find_column(settings.text, names, path, "--leave-out")]

    for (column,) in read_table(path, settings, pick):
        yield from (text or "" for text in column.to_pylist())


def train_tokenizer(texts: Iterable[str], vocabulary: int, folder: Path) -> None:
    """Lower-cased WordPieces of some texts, as a folder that `AutoTokenizer` loads; equal texts, equal pieces.

    The trainer breaks ties by the ids of single characters, which it hands out in the order of a hash table with a
    random seed. So characters get their ids here, as if they were special tokens, and words with others are left out.
    """
    normalizer, words = (
        normalizers.BertNormalizer(lowercase=True, strip_accents=False),
        pre_tokenizers.BertPreTokenizer(),
    )
    counts = Counter(
        word for text in texts for word, _ in words.pre_tokenize_str(normalizer.normalize_str(text))
    )  # fmt: skip
    characters = _characters(counts)
    counted = sorted((word, count) for word, count in counts.items() if characters.issuperset(_spelled(word)))
    trained = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=[*SPECIAL, *sorted(characters)], show_progress=False
    )
    trained.train_from_iterator((" ".join([word] * count) for word, count in counted), trainer)
    pieces = sorted(trained.get_vocab().items(), key=itemgetter(1))
    tokenizer = Tokenizer(
        models.WordPiece({piece: number for number, (piece, _) in enumerate(pieces)}, unk_token="[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, words
    ends = [(name, SPECIAL.index(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    BertTokenizerFast(
        tokenizer_object=tokenizer, do_lower_case=True, strip_accents=False, model_max_length=MAX_LENGTH
    ).save_pretrained(folder)


def _characters(words: Counter[str]) -> set[str]:
    """The most frequent pieces of one character."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for piece in _spelled(word):
            counts[piece] += count
    return {piece for piece, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:CHARACTERS]}


def _spelled(word: str) -> list[str]:
    """A word in pieces of one character: the first as it is, the others after `##`."""
    return [word[0], *(f"##{one}" for one in word[1:])]
