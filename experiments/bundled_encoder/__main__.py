"""Make the bundled encoder: `python -m experiments.bundled_encoder REVIEWS --leave-out FILE ...`.

One command from the reviews to a folder that `transformers` loads. Killed and started again it goes on where it was;
started again after the end it writes the folder anew from the last state.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from experiments.bundled_encoder.card import write_encoder
from experiments.bundled_encoder.corpus import open_corpus
from experiments.bundled_encoder.emotions import DIALOGUES, teach
from experiments.bundled_encoder.pretraining import Pretraining, Settings, Stretch, pretrain, resumable
from sweeper.errors import UserError
from sweeper.tracking import MlflowTracker, NoTracker, Run, Tracker
from sweeper.training.checkpoint import StateFiles, write_atomically
from sweeper.training.metrics import EpochMetrics

NAME = "bundled_encoder"


def main(arguments: Sequence[str]) -> None:
    """Read the reviews, train, write the encoder."""
    options = parse(arguments)
    settings = Settings(**{one.name: getattr(options, one.name) for one in fields(Settings)})
    if options.threads:
        torch.set_num_threads(options.threads)
    corpus = open_corpus(options.reviews, options.leave_out, settings.vocabulary, options.out / "corpus")
    print("reviews: {read:,} read, {left_out:,} left out (their texts are among {forbidden:,} texts to leave out), "
          "{kept:,} kept".format(**corpus.counts), flush=True)  # fmt: skip
    states = StateFiles(options.out / "states")
    training = Pretraining(corpus, settings, resumable(states, settings, options.out))
    tracker = MlflowTracker(NAME, options.out.parent) if options.tracking else NoTracker()
    run = tracker.study(NAME, str(options.out.resolve()), asdict(settings), corpus.counts)
    for _ in pretrain(training):
        states.save(len(training.curve), training.state_dict())
        show(training, options.out, tracker, run, "rating")
    tracker.finish(run, "complete")
    command, taught = told(arguments), None
    if options.dialogues:
        first, second = options.out / "reviews_alone", options.out / "emotions"
        write_encoder(training, corpus, first, command, taught=None)
        own = replace(settings, masked=options.dialogue_masked)
        run = tracker.study(f"{NAME}, dialogues", str(second.resolve()), asdict(own), {})

        def say(training: Pretraining) -> None:
            show(training, second, tracker, run, "emotion")

        taught = teach(first, options.dialogues, second, own, options.dialogue_epochs, say)
        tracker.finish(run, "complete")
    write_encoder(training, corpus, options.out / "encoder", command, taught)
    tracker.close()
    print(f"the encoder is in {options.out / 'encoder'}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line: files, and every field of `Settings`, whose docstring says what they are."""
    parser = argparse.ArgumentParser(prog="python -m experiments.bundled_encoder", description=__doc__)
    parser.add_argument("reviews", type=Path, help="parquet file with the columns text and rating (1 to 10)")
    parser.add_argument("--leave-out", type=Path, nargs="+", required=True, metavar="FILE",
                        help="tables with texts to leave out in their column `document`: NSMC's files")  # fmt: skip
    parser.add_argument("--dialogues", type=Path, default=DIALOGUES, metavar="FILE",
                        help="table of the second step, with the sample's columns (default: %(default)s)")  # fmt: skip
    parser.add_argument("--no-dialogues", dest="dialogues", action="store_const", const=None, help="no second step")
    parser.add_argument("--dialogue-epochs", type=int, default=10, metavar="N", help="of the second step")
    parser.add_argument("--dialogue-masked", type=float, default=0.3, metavar="SHARE", help="`masked` of that step")
    parser.add_argument("--out", type=Path, default=Path("runs") / NAME, help="states, curve and the encoder")
    parser.add_argument("--threads", type=int, help="of the processor")
    parser.add_argument("--tracking", action=argparse.BooleanOptionalAction, default=True, help="log to MLflow")
    group = parser.add_argument_group("settings", "see Settings in pretraining.py")
    for one in fields(Settings):
        assert one.default is not MISSING
        kind = int if one.default is None else type(one.default)
        how: dict[str, Any] = {"type": kind} if kind is not bool else {"action": argparse.BooleanOptionalAction}
        group.add_argument(f"--{one.name.replace('_', '-')}", default=one.default, **how)
    return parser.parse_args(arguments)


def told(arguments: Sequence[str]) -> str:
    """The arguments as the card tells them: without the folder, which is somebody's own."""
    own = [number for number, one in enumerate(arguments) if one == "--out"]
    return " ".join(one for number, one in enumerate(arguments) if number not in own and number - 1 not in own)


def show(training: Pretraining, out: Path, tracker: Tracker, run: Run, label: str) -> None:
    """The curve's last point on the terminal, the curve in `curve.jsonl` and in MLflow; `label` is what a label is."""
    lines = [json.dumps(asdict(one)) for one in training.curve]
    write_atomically(out / "curve.jsonl", ("\n".join(lines) + "\n").encode())
    tracker.epochs(run, epochs(training.curve, training.settings.batch_size))
    print(f"{training.progress:4.0%}  {told_of(training.curve[-1], label)}", flush=True)


def told_of(stretch: Stretch, label: str) -> str:
    """A point of the curve in words; `label` is what a label is called."""
    seen = stretch.held_out
    return (
        f"step {stretch.step:,}  {stretch.seconds:,.0f} s  {stretch.tokens_per_second:,.0f} tokens/s  held out: masked "
        f"words {seen['masked_loss']:.3f} ({seen['masked_right']:.3f} right), {label} {seen['label_loss']:.3f} "
        f"({seen['label_right']:.3f} right), words {seen['words_loss']:.3f}"
    )


def epochs(curve: Sequence[Stretch], batch_size: int) -> list[EpochMetrics]:
    """The curve under the names of a trial's: loss is that of the masked words, accuracy that of the ratings."""
    result, step, seconds = [], 0, 0.0
    for number, one in enumerate(curve, start=1):
        took, rows = one.seconds - seconds, (one.step - step) * batch_size
        result.append(
            EpochMetrics(
                epoch=number, train_loss=one.train["masked_loss"], val_loss=one.held_out["masked_loss"],
                train_accuracy=one.train["label_right"], val_accuracy=one.held_out["label_right"],
                val_macro_f1=None, lr=one.lr, seconds=took, sentences_per_second=rows / max(took, 1e-9),
            )
        )  # fmt: skip
        step, seconds = one.step, one.seconds
    return result


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"{error}")
