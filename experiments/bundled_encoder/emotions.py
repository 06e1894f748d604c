"""The recipe's second step: what people say when they feel something, from dialogues written for this encoder.

`dialogues.tsv` has the columns of the sample and its 60 pairs of emotions, by other hands; sentences that resemble one
of the sample's are left out. It is learned as the reviews are, the emotion in the place of the rating: words are masked
there too, and more of them, for without that the encoder knows the few sentences by heart (experiments/LOG.md).
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import AutoModel, PreTrainedModel

from experiments.bundled_encoder.corpus import MAX_LENGTH, Corpus, bare
from experiments.bundled_encoder.pretraining import Pretraining, Settings, Stretch, held_out_rows, pretrain, resumable
from sweeper import assets
from sweeper.data.cache import built, key
from sweeper.data.tokens import TokenTable, write_tokens
from sweeper.errors import UserError
from sweeper.training.checkpoint import StateFiles, sha256

DIALOGUES = Path(__file__).with_name("dialogues.tsv")
SAMPLE = "bundled:emotion58_sample/dialogues.tsv"
SENTENCES, EMOTION = ("사람문장1", "사람문장2", "사람문장3"), ("감정_대분류", "감정_소분류")
NGRAM = 5  # characters that two sentences are compared by
TOO_ALIKE = 0.5  # of the cosine of their sets of n-grams
BATCH_SIZE, WARMUP = 64, 0.1  # of this step
VERSION = 1  # of the tokens


@dataclass(frozen=True)
class Taught:
    """The encoder after the second step, and what its card says.

    Attributes:
        encoder: a `BertModel`.
        counts: `dialogues`, `sentences` that are left of them, and those `left_out`.
        settings: it was made with.
        last: point of the curve.
    """

    encoder: PreTrainedModel
    counts: dict[str, int]
    settings: Settings
    last: Stretch


def teach(
    encoder: Path, dialogues: Path, out: Path, settings: Settings, epochs: int, say: Callable[[Pretraining], None]
) -> Taught:
    """Go on with an encoder on the dialogues; killed and started again, from its last epoch.

    Args:
        encoder: folder of the first step.
        dialogues: a table with the columns of the sample.
        out: for the tokens and the states.
        settings: of the first step; the batch, the warm-up and the budget are this step's own, as is `masked`.
        epochs: over the dialogues, a point of the curve each.
        say: told each point of the curve, the training's last.

    Raises:
        UserError: the table is not there or has other columns, or `out` was begun with other settings.
    """
    corpus = open_dialogues(dialogues, encoder, out)
    rows = len(corpus.labels) - held_out_rows(len(corpus.labels))
    own = replace(
        settings, batch_size=BATCH_SIZE, warmup=WARMUP, factors=False, stretches=epochs,
        steps=epochs * -(-rows // BATCH_SIZE),
    )  # fmt: skip
    states = StateFiles(out / "states")
    state = resumable(states, own, out)
    start = AutoModel.from_pretrained(encoder, dtype=torch.float32) if state is None else None
    training = Pretraining(corpus, own, state, start)
    for _ in pretrain(training):
        states.save(len(training.curve), training.state_dict())
        say(training)
    return Taught(training.model.encoder, corpus.counts, own, training.curve[-1])


def open_dialogues(dialogues: Path, encoder: Path, cache: Path) -> Corpus:
    """The sentences of the dialogues as tokens, each pair of emotions a class."""
    table, counts = read_dialogues(dialogues, Path(assets.data_path(SAMPLE)))
    pairs = [tuple(pair) for pair in table[list(EMOTION)].to_numpy()]
    classes = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    said = [
        (sentence, classes[pair])
        for pair, sentences in zip(pairs, table[list(SENTENCES)].to_numpy(), strict=True)
        for sentence in sentences
        if sentence
    ]
    texts = [sentence for sentence, _ in said]

    def build(folder: Path) -> None:
        write_tokens(folder, [texts], str(encoder), MAX_LENGTH, report=lambda rows: None)

    folder = built(cache / key("dialogues", VERSION, texts, sha256(encoder / "tokenizer.json")), build)
    return Corpus(
        TokenTable.open(folder), np.array([label for _, label in said], dtype=np.int64), len(classes), counts, encoder
    )


def read_dialogues(dialogues: Path, sample: Path) -> tuple[pd.DataFrame, dict[str, int]]:
    """The dialogues; a sentence that says what one of the sample's does, or twice what another does, is emptied.

    Raises:
        UserError: a file is missing or has other columns.
    """
    table, others = read_columns(dialogues), read_columns(sample)
    said = [sentence for name in SENTENCES for sentence in others[name] if sentence]
    own = [(row, name) for name in SENTENCES for row, sentence in enumerate(table[name]) if sentence]
    alike = resembling([table[name][row] for row, name in own], said)
    seen: set[str] = set()
    for (row, name), out in zip(own, alike, strict=True):
        letters = bare(table.at[row, name])
        if out or letters in seen:
            table.at[row, name] = ""
        seen.add(letters)
    left = sum(bool(sentence) for name in SENTENCES for sentence in table[name])
    return table, {"dialogues": len(table), "sentences": left, "left_out": len(own) - left}


def read_columns(path: Path) -> pd.DataFrame:
    """A tab-separated table of texts.

    Raises:
        UserError: it is missing or has other columns.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)
    if missing := [name for name in (*EMOTION, *SENTENCES) if name not in table]:
        raise UserError(f"{path}: no column {', '.join(missing)}; the columns are {', '.join(table)}")
    return table


def resembling(texts: Sequence[str], others: Sequence[str]) -> list[bool]:
    """Which texts have about the same n-grams of letters and digits as one of the others."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    counted = TfidfVectorizer(analyzer="char", ngram_range=(NGRAM, NGRAM), binary=True, use_idf=False)
    grams = counted.fit_transform([f"^{bare(text):_<{NGRAM}}" for text in [*texts, *others]])
    likeness = (grams[: len(texts)] @ grams[len(texts) :].T).max(axis=1).toarray().ravel()
    found: list[bool] = (np.asarray(likeness) >= TOO_ALIKE).tolist()
    return found
