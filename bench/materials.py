"""What both sides of a comparison are given: the same encoder weights, the same rows.

Made once a run into a folder that is thrown away. Rows are texts with class ids as JSON; each side tokenises
them itself, outside the time that is measured unless the case says otherwise.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sweeper import assets
from sweeper.errors import UserError

NSMC = Path(__file__).parent.parent.parent / "shared" / "data" / "nsmc"
TRAIN_FILE, TEST_FILE = "ratings_train.txt", "ratings_test.txt"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
NSMC_LABELS = ("0", "1")

BASE = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
TINY = {"num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}


def check_nsmc(folder: Path) -> Path:
    """The folder, if NSMC's two files are in it.

    Raises:
        UserError: they are not.
    """
    for name in (TRAIN_FILE, TEST_FILE):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder / name}: there is no such file; the benchmark needs NSMC's {TRAIN_FILE} and {TEST_FILE} "
                "(github.com/e9t/nsmc). Say where they are: --nsmc FOLDER"
            )
    return folder


def nsmc_rows(file: Path, count: int, seed: int = 0) -> list[tuple[str, int]]:
    """(text, class id) of `count` random rows with a text, the same ones every time.

    Raises:
        UserError: the file has fewer.
    """
    rows = list(read_nsmc(file))
    if len(rows) < count:
        raise UserError(f"{file}: holds {len(rows):,} rows with a text, {count:,} are needed")
    return [rows[number] for number in np.random.default_rng(seed).permutation(len(rows))[:count]]


def read_nsmc(file: Path) -> Iterator[tuple[str, int]]:
    """(text, class id) of every row that has a text."""
    with file.open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            _, text, label = line.rstrip("\n").split("\t")
            if text.strip():
                yield text, int(label)


def make_encoder(folder: Path, shape: Mapping[str, int], seed: int = 0) -> Path:
    """A BERT of this shape with random weights and the bundled tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from sweeper.training.classifier import quiet

    folder.mkdir(parents=True)
    for name in TOKENIZER:
        shutil.copyfile(Path(assets.encoder("ko-mini")) / name, folder / name)
    torch.manual_seed(seed)
    config: Any = {"vocab_size": len(AutoTokenizer.from_pretrained(folder)), **shape}
    with quiet():
        BertModel(BertConfig(**config)).save_pretrained(folder)
    return folder


def make_classifier(folder: Path, model: str, labels: Sequence[str]) -> Path:
    """A classifier with a random head as a frozen folder, as `best --export` writes them."""
    from sweeper.data.tokens import load_tokenizer
    from sweeper.training.classifier import load_classifier

    classifier = load_classifier(
        model, label_names=labels, loss="cross_entropy", dropout=None, freeze_encoder=False, seed=0
    )
    classifier.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    return folder


def write_rows(
    path: Path, train: Sequence[tuple[str, int]], validation: Sequence[tuple[str, int]], **more: Any
) -> None:
    """Both splits and whatever else a side needs, as JSON."""
    splits = {
        name: {"texts": [text for text, _ in rows], "labels": [label for _, label in rows]}
        for name, rows in (("train", train), ("validation", validation))
    }
    path.write_text(json.dumps({**splits, **more}, ensure_ascii=False), encoding="utf-8")


def read_rows(path: str) -> dict[str, Any]:
    """What `write_rows` wrote."""
    rows: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return rows


def prepare(job: Mapping[str, Any]) -> dict[str, Any]:
    """Make everything that the chosen cases need; runs in a process of its own, like a measurement.

    Args:
        job: `work` (folder), `nsmc` (folder or None where no case needs it), `sizes` (`cases.Sizes` as a mapping).
    """
    work, sizes = Path(job["work"]), job["sizes"]
    make_encoder(work / "encoder", sizes["shape"])
    make_classifier(work / "frozen", "ko-mini", NSMC_LABELS)
    write_sample(work, sizes["sample_overrides"])
    if job["nsmc"] is not None:
        folder, train = Path(job["nsmc"]), sizes["rows"]
        rows = nsmc_rows(folder / TRAIN_FILE, train + sizes["validation_rows"])
        for name in ("rows", "fewer_rows", "max_length_rows"):
            write_rows(work / f"{name}.json", rows[: sizes[name]], rows[train:], label_names=NSMC_LABELS)
        sentences = [text for text, _ in nsmc_rows(folder / TEST_FILE, sizes["sentences"])]
        (work / "sentences.json").write_text(json.dumps(sentences, ensure_ascii=False), encoding="utf-8")
    return {}


def write_sample(work: Path, overrides: Sequence[str]) -> None:
    """The rows and the grid of the sample's lr study, read through sweeper's own configuration and data room."""
    from sweeper.config import compose, plain
    from sweeper.data.corpus import DataSettings, load_corpus

    config = plain(compose(list(overrides)))
    corpus = load_corpus(DataSettings.of(config["data"]), config["model"], work / "cache")
    splits = [
        list(zip(corpus.texts(split.rows), split.labels.tolist(), strict=True))
        for split in (corpus.train, corpus.validation)
    ]
    write_rows(
        work / "sample.json", *splits, label_names=corpus.label_names, model=assets.encoder(config["model"]),
        lr=config["study"]["lr"], batch_size=config["train"]["batch_size"], epochs=config["train"]["epochs"],
        max_length=config["data"]["max_length"],
    )  # fmt: skip
