"""`python -m bench.profile`: where the seconds of a trial on the sample go, and how much arithmetic bounds them.

Steps of the sample's training, bundled encoder, batch 64, one thread as in `make sweep`, under torch's profiler: every
operator's own time, summed by kind. Beside it the rate of useful arithmetic and the machine's ceiling for one thread.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.child import measure
from bench.flops import ceiling, executed_flops, useful_flops
from bench.machine import describe
from bench.publish import RESULTS, write_json
from sweeper import cli

SAMPLE = ("experiment=emotion58_sample", "study=single", "train.epochs=1", "train.early_stop.monitor=null")
KO_MINI = {"layers": 3, "hidden": 192, "inner": 768}
KINDS = {  # an operator is of the first kind of which its name holds a part
    "matrix products": ("addmm", "::mm", "bmm", "baddbmm", "matmul", "linear", "einsum"),
    "optimizer": ("adam", "_foreach", "lerp", "addcdiv", "addcmul", "clip"),
    "dropout": ("dropout", "bernoulli", "random", "rand"),
    "GELU, LayerNorm, softmax": ("gelu", "layer_norm", "softmax"),
    "look-ups and copies": ("embedding", "index", "gather", "scatter", "copy", "cat", "select", "slice"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Where a trial's seconds go.")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    machine = describe(1)
    found = measure("profile:sample", {"seed": 0}, 1)
    result = {"case": "profile", "about": "one epoch of the sample, one thread", **found, "machine": machine}
    write_json(result, given.results / "profile.json")
    print(json.dumps(result, ensure_ascii=False))
    return 0


def sample(job: dict[str, Any]) -> dict[str, Any]:
    """One epoch without the profiler for its seconds, one with it for the shares.

    Args:
        job: `seed`.

    Returns:
        `train_seconds`, `useful` and `executed` FLOPs a second, `ceiling`, `shares` of the profiled time by kind.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    training, lengths = _training(job["seed"])
    seconds = _epoch(training)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        _epoch(_training(job["seed"])[0])
    own: Counter[str] = Counter()
    for event in profiled.key_averages():
        own[_kind(event.key)] += event.self_cpu_time_total
    shape = {"hidden": KO_MINI["hidden"], "inner": KO_MINI["inner"], "tokens": 64 * int(lengths.mean())}
    limit = ceiling({**shape, "squares": [512, 1024], "precision": "float32", "device": "cpu"})
    return {
        "train_seconds": seconds,
        "threads": torch.get_num_threads(),
        "tokens": int(lengths.sum()),
        "useful": useful_flops(lengths.tolist(), **KO_MINI) / seconds,
        "executed": executed_flops(lengths.tolist(), **KO_MINI) / seconds,
        "ceiling": limit["flops_per_second"],
        "ceiling_of_its_shapes": limit["shapes"],
        "shares": {kind: round(time_of / own.total(), 4) for kind, time_of in own.most_common()},
    }


def _training(seed: int) -> tuple[Any, Any]:
    from sweeper.config import compose, plain
    from sweeper.data.corpus import DataSettings, load_corpus
    from sweeper.training.classifier import load_classifier
    from sweeper.training.loop import FitSettings, Training

    config = compose(SAMPLE)
    with TemporaryDirectory(prefix="bench-") as cache:
        corpus = load_corpus(DataSettings.of(plain(config)["data"]), config.model, Path(cache))
    model = load_classifier(
        config.model,
        label_names=corpus.label_names,
        loss="cross_entropy",
        dropout=None,
        freeze_encoder=False,
        seed=seed,
    )
    settings = FitSettings(
        lr=1e-4, batch_size=64, epochs=1, seed=seed, loss="cross_entropy", precision="float32", device="cpu"
    )
    lengths = corpus.table.lengths[corpus.train.rows]
    return Training(model, corpus.table, corpus.train, corpus.validation, settings), lengths


def _epoch(training: Any) -> float:
    """Seconds of an epoch's training, validation left out."""
    from sweeper.training.loop import fit

    rows = len(training.train)
    (epoch,) = fit(training)
    return float(rows / epoch.sentences_per_second)


def _kind(name: str) -> str:
    return next(
        (kind for kind, parts in KINDS.items() if any(part in name.lower() for part in parts)), "everything else"
    )


if __name__ == "__main__":
    cli.run(main)
