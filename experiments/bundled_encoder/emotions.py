"""The recipe's second step: what people say when they feel something, from dialogues written for this encoder.

`dialogues.tsv` has the columns of the sample and its 58 emotions, by other hands; sentences that resemble one of the
sample's are left out. The trainer is sweeper itself: an lr study whose winner, with the weights of its overfitting
point, loses its head and is the encoder.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import AutoModel, PreTrainedModel

from experiments.bundled_encoder.corpus import bare
from sweeper import assets
from sweeper.api import best, sweep
from sweeper.errors import UserError

DIALOGUES = Path(__file__).with_name("dialogues.tsv")
SAMPLE = "bundled:emotion58_sample/dialogues.tsv"
SENTENCES, EMOTION = ("사람문장1", "사람문장2", "사람문장3"), "감정_소분류"
NGRAM = 5  # characters that two sentences are compared by
TOO_ALIKE = 0.5  # of the cosine of their sets of n-grams
RATES = "[1e-3,5e-4,2e-4]"
NAME = "emotions"


@dataclass(frozen=True)
class Taught:
    """The encoder after the second step, and what its card says.

    Attributes:
        encoder: a `BertModel`.
        counts: `dialogues`, `sentences` that are left of them, and those `left_out`.
        lr, batch_size, epoch: of the winner; the epoch is its overfitting point.
        accuracy: of the 58 emotions, on the validation split of the dialogues.
    """

    encoder: PreTrainedModel
    counts: dict[str, int]
    lr: float
    batch_size: int
    epoch: int
    accuracy: float


def teach(encoder: Path, dialogues: Path, out: Path, settings: Sequence[str] = ()) -> Taught:
    """Fine-tune an encoder on the dialogues.

    Args:
        encoder: folder of the first step.
        dialogues: a table with the columns of the sample.
        out: for the cleaned table, the study and its winner; started again, what is trained is not trained again.
        settings: more of the study, as on the command line.

    Raises:
        UserError: the table is not there or has other columns, or no training came to an end.
    """
    table, counts = read_dialogues(dialogues, Path(assets.data_path(SAMPLE)))
    out.mkdir(parents=True, exist_ok=True)
    cleaned = out / f"{NAME}.tsv"
    table.to_csv(cleaned, sep="\t", index=False, quoting=csv.QUOTE_NONE)
    found = sweep(
        [
            "experiment=emotion58_sample", f"name={NAME}", f"data.path={cleaned}", f"data.label={EMOTION}",
            "data.split.train=0.85", "data.split.validation=0.1", "data.split.test=0.05", f"model={encoder}",
            "study=lr", f"study.lr={RATES}", "optimizer=adamw", "schedule=linear", "schedule.warmup=0.1",
            "prune=overfit", "tracking=none", "progress=plain", f"paths.runs={out / 'runs'}", *settings,
        ]
    )  # fmt: skip
    winner = found.winner
    if winner is None or winner.at_overfit is None or winner.at_overfit.val_accuracy is None:
        raise UserError(f"{out}: no training on the dialogues came to an end; see its logs")
    frozen = best(NAME, runs=out / "runs", export=out / "classifier")
    return Taught(
        AutoModel.from_pretrained(frozen.export, dtype="float32"),
        counts,
        float(winner.config["optimizer"]["lr"]),
        int(winner.config["train"]["batch_size"]),
        winner.at_overfit.epoch,
        winner.at_overfit.val_accuracy,
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
    if missing := [name for name in (EMOTION, *SENTENCES) if name not in table]:
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
