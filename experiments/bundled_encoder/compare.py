"""Which encoder is worth more: `python -m experiments.bundled_encoder.compare NAME=FOLDER ...`.

Every encoder runs the same lr study with every seed on every data set; what counts is the validation accuracy of each
study's winner at its overfitting point. Beside them stands TF-IDF of character 1- to 4-grams with logistic regression
on the same split. Intervals are Wilson's for the mean accuracy on that many validation rows; `compared.json`
has each seed's. All studies lie under `--runs`, so a second start trains only what is missing. No test split is read.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from experiments.bundled_encoder.emotions import DIALOGUES, SAMPLE, SENTENCES, read_dialogues
from sweeper import assets
from sweeper.api import sweep
from sweeper.config import compose, plain
from sweeper.data.cache import write_json
from sweeper.data.corpus import Corpus, load_corpus
from sweeper.data.settings import DataSettings
from sweeper.errors import UserError
from sweeper.reporting.baseline import find_baseline, train_baseline
from sweeper.reporting.comparison import wilson

RANDOM, TFIDF, TAUGHT = "random start", "TF-IDF", "TF-IDF, taught the dialogues too"
CAPPED = ("data.rows.validation=2000", "data.rows.shuffle_seed=0", "schedule.warmup=0.1")
SMALLEST = "data.rows.test=1"  # it is never read


def data_sets(data: str) -> dict[str, tuple[str, ...]]:
    """What is compared on, as settings of the command line; the sample is bundled."""
    return {
        "sample, 58 emotions": ("data.label=감정_소분류",),
        "sample, 6 emotions": (),
        "NSMC, 2,000 rows": (
            "experiment=nsmc", "data.source=table", "data.quoting=false", f"data.train={data}/nsmc/ratings_train.txt",
            f"data.test={data}/nsmc/ratings_test.txt", "data.rows.train=2000", SMALLEST, *CAPPED,
        ),
        "kor_3i4k, 5,000 rows": (
            "experiment=kor_3i4k", f"data.train={data}/kor_3i4k/fci_train_val.txt",
            f"data.test={data}/kor_3i4k/fci_test.txt", "data.rows.train=5000", SMALLEST, *CAPPED,
        ),
    }  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One encoder on one data set.

    Attributes:
        accuracies, rates: of each seed's winner, and its learning rate.
        rows: validation rows.
        mean, low, high: mean accuracy and its 95% interval.
    """

    data: str
    encoder: str
    accuracies: list[float]
    rates: list[float]
    rows: int
    mean: float
    low: float
    high: float


def main(arguments: Sequence[str]) -> None:
    """Compare, writing the table after each result."""
    options = parse(arguments)
    encoders = dict(one.split("=", 1) for one in options.encoders)
    if options.random is not None:
        encoders = {RANDOM: random_start(encoders[options.random], options.runs / "random_start"), **encoders}
    results: list[Result] = []
    for data, overrides in data_sets(options.data).items():
        if options.only and not any(word in data for word in options.only):
            continue
        overrides = (*overrides, *options.overrides, "study=lr", "tracking=none", "progress=none")
        results.append(baseline(data, overrides, next(iter(encoders.values())), options.runs))
        if data.startswith("sample"):
            results.append(taught_baseline(data, overrides, next(iter(encoders.values())), options.runs))
        for name, model in encoders.items():
            results.append(winners(data, name, model, overrides, options.seeds, options.runs))
            write_json(options.runs / "compared.json", [asdict(one) for one in results])
            (options.runs / "compared.md").write_text(table(results), encoding="utf-8")
            print(table(results), flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bundled_encoder.compare", description=__doc__)
    parser.add_argument("encoders", nargs="+", metavar="NAME=MODEL", help="as model= takes it: a folder, ko-mini")
    parser.add_argument("--random", metavar="NAME", help="compare a random start of this encoder's shape, too")
    parser.add_argument("--data", default="../shared/data", help="folder of the corpora")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="data sets with such a word in their name")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/compared"))
    parser.add_argument("--with", dest="overrides", nargs="+", default=[], metavar="KEY=VALUE",
                        help="more settings of the studies: study.lr=[1e-3,1e-4] launcher.workers=2")  # fmt: skip
    options = parser.parse_args(arguments)
    if wrong := [one for one in options.encoders if "=" not in one]:
        parser.error(f"NAME=MODEL, not {wrong[0]}")
    return options


def random_start(model: str, folder: Path) -> str:
    """An untrained encoder of the same shape with the same tokenizer, as a folder."""
    source = assets.encoder(model)
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.from_pretrained(source), dtype=torch.float32).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return str(folder)


def winners(data: str, name: str, model: str, overrides: Sequence[str], seeds: Sequence[int], runs: Path) -> Result:
    """The lr study with every seed."""
    accuracies, rates = [], []
    for seed in seeds:
        found = sweep([*overrides, f"model={model}", f"train.seed={seed}", f"paths.runs={runs}"]).winner
        if found is None or found.at_overfit is None or found.at_overfit.val_accuracy is None:
            raise UserError(f"{data}, {name}, seed {seed}: no trial is complete")
        accuracies.append(found.at_overfit.val_accuracy)
        rates.append(float(found.config["optimizer"]["lr"]))
    rows = len(_corpus(overrides, model, runs).validation.rows)
    return summed_up(data, name, accuracies, rates, rows)


def baseline(data: str, overrides: Sequence[str], model: str, runs: Path) -> Result:
    """TF-IDF on the same split; `model` only reads the data."""
    corpus = _corpus(overrides, model, runs)
    found = find_baseline(corpus, runs, wanted=True)
    assert found is not None
    assert found.accuracy is not None
    return summed_up(data, TFIDF, [found.accuracy], [], len(corpus.validation.rows))


def taught_baseline(data: str, overrides: Sequence[str], model: str, runs: Path) -> Result:
    """TF-IDF that has read what the bundled encoder has: the dialogues of its second step, under the same labels."""
    corpus, label = _corpus(overrides, model, runs), compose(overrides).data.label
    dialogues, _ = read_dialogues(DIALOGUES, Path(assets.data_path(SAMPLE)))
    names = list(corpus.label_names or ())
    said = [(text, names.index(emotion)) for name in SENTENCES for text, emotion in dialogues[[name, label]].to_numpy()]
    more = [(text, emotion) for text, emotion in said if text]
    found = train_baseline(
        [*corpus.texts(corpus.train.rows), *(text for text, _ in more)],
        np.concatenate([corpus.train.labels, [emotion for _, emotion in more]]),
        corpus.texts(corpus.validation.rows), corpus.validation.labels, regression=False,
    )  # fmt: skip
    assert found.accuracy is not None
    return summed_up(data, TAUGHT, [found.accuracy], [], len(corpus.validation.rows))


def _corpus(overrides: Sequence[str], model: str, runs: Path) -> Corpus:
    config = plain(compose([*overrides, f"model={model}"]))
    return load_corpus(DataSettings.of(config["data"]), model, runs / "cache")


def summed_up(data: str, encoder: str, accuracies: list[float], rates: list[float], rows: int) -> Result:
    """Mean and interval."""
    average = mean(accuracies)
    interval = wilson(round(average * rows), rows)
    return Result(data, encoder, accuracies, rates, rows, average, interval.low, interval.high)


def table(results: Sequence[Result]) -> str:
    """Markdown: a line a data set, a column an encoder."""
    names = list(dict.fromkeys(one.encoder for one in results))
    cells: Mapping[tuple[str, str], Result] = {(one.data, one.encoder): one for one in results}
    lines = ["| validation accuracy (95%) | rows | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for data in dict.fromkeys(one.data for one in results):
        found = [cells.get((data, name)) for name in names]
        rows = next(one.rows for one in found if one)
        shown = [f"{one.mean:.3f} ({one.low:.3f}–{one.high:.3f})" if one else "–" for one in found]
        lines.append(f"| {data} | {rows:,} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"{error}")
