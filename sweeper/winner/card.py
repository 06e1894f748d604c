"""What goes into an export beside the model: the model card, `winner.json` and the configuration that retrains it.

Text from plain values; nothing is read or written here. No sentence of the data is quoted, so that a card
can be published where the data cannot.
"""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweeper.launcher import on_one_machine
from sweeper.study.configurations import Configuration, has_seeds, seed_of
from sweeper.study.printed import MEANS, STAR
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import (
    each_seed,
    epochs_text,
    estimate_text,
    plain_seeds,
    seeds_markdown,
    told_apart_lines,
)
from sweeper.study.table import batch_of, lr_of, markdown_table
from sweeper.training.metrics import EpochMetrics

WINNER, CARD, CONFIG = "winner.json", "README.md", "config.yaml"
FIGURES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_macro_f1")
TEST_FIGURES = ("rows", "loss", "accuracy", "macro_precision", "macro_recall", "macro_f1", "mse", "mae", "r2")
SETTINGS = ("head", "optimizer", "schedule", "train", "overfitting")
PLACES = ("path", "train", "validation", "test")  # keys of `data` that may hold a path
MOST_CLASSES = 60  # of the per-class table


def files_of(
    ranked: Sequence[Configuration],
    card: Mapping[str, Any],
    report: Mapping[str, Any] | None,
    tested_before: Sequence[TrialRecord] = (),
) -> dict[str, str]:
    """The export's files beside model and tokenizer, by name.

    Args:
        ranked: all configurations that were compared, the winner first; its best trial is exported.
        card: the data card.
        report: of the test split, None where there is none.
        tested_before: other trials that the test split was read for.
    """
    return {
        CARD: model_card(ranked, card, report, tested_before),
        WINNER: json.dumps(summary(ranked, report), ensure_ascii=False, indent=1),
        CONFIG: frozen_config(ranked[0].best),
    }


def summary(ranked: Sequence[Configuration], report: Mapping[str, Any] | None) -> dict[str, Any]:
    """The winner as JSON-able values: settings, overfitting point, figures there, test figures, fingerprint.

    Where its configuration has several seeds, `over_seeds` says what they came to.
    """
    winner, at = ranked[0].best, ranked[0].best.at_overfit
    assert at is not None
    return {
        "experiment": winner.config["name"],
        "key": winner.key,
        "model": _portable_model(winner),
        "lr": lr_of(winner),
        "batch_size": batch_of(winner),
        "settings": {section: winner.config[section] for section in SETTINGS},
        "seed": seed_of(winner),
        "over_seeds": plain_seeds(ranked)[0] if ranked[0].asked > 1 else None,
        "overfitting": {"epoch": winner.overfit_epoch, "reached": winner.overfit_reached},
        "at_overfitting_point": figures(at),
        "test": None if report is None else {name: report[name] for name in TEST_FIGURES if name in report},
        "data_fingerprint": winner.data,
        "seconds": winner.seconds,
        "computed": {"device": winner.device, "precision": winner.precision, "threads": winner.threads},
        "weights_sha256": winner.weights_sha256,
    }


def figures(epoch: EpochMetrics) -> dict[str, float | None]:
    """An epoch's figures; what is absent or not finite is None, so that it is JSON."""
    plain = asdict(epoch)
    values = {name: plain[name] for name in FIGURES}
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}


def frozen_config(winner: TrialRecord) -> str:
    """The winner's whole configuration as YAML; where results go and who is told of them is left open.

    An export is handed on, so folders of this machine stay out: of an absolute path the name is kept, to be
    found from where the training is started, or to be replaced.
    """
    import yaml

    config = json.loads(json.dumps(winner.config))
    config["storage"] = None
    config["launcher"] = on_one_machine(config["launcher"], winner.threads)
    config["tracking"] = {"name": "mlflow", "uri": None}
    config["paths"] = {"runs": "runs", "exports": "exports"}
    config["model"] = _portable_model(winner)
    config["data"] |= (places := _portable_places(config["data"]))
    moved = [*places.values(), *([config["model"]] if config["model"] != winner.config["model"] else ())]
    lines = [f"# Trains this model again: python -m sweeper --config {CONFIG}"]
    if moved:
        lines.append("# Looked for in the folder that this is run from; elsewhere, write the path below:")
        lines += [f"#   {place}" for place in moved]
    return "\n".join([*lines, yaml.safe_dump(config, allow_unicode=True, sort_keys=False)])


def _portable_model(winner: TrialRecord) -> str:
    """The encoder as another machine can name it; `./` keeps a folder's name from being taken for a hub id."""
    model = str(winner.config["model"])
    return f"./{Path(model).name}" if Path(model).is_absolute() else model


def _portable_places(data: Mapping[str, Any]) -> dict[str, str]:
    """The data's absolute paths, relative to the folder that all of them share."""
    places = {key: Path(data[key]) for key in PLACES if data.get(key) and Path(data[key]).is_absolute()}
    if not places:
        return {}
    shared = os.path.commonpath([path.parent for path in places.values()])
    return {key: f"./{path.relative_to(shared)}" for key, path in places.items()}


def model_card(
    ranked: Sequence[Configuration],
    card: Mapping[str, Any],
    report: Mapping[str, Any] | None,
    tested_before: Sequence[TrialRecord] = (),
) -> str:
    """The card as markdown with the front matter that the Hugging Face hub reads."""
    winner = ranked[0].best
    parts = [
        _front(winner),
        f"# {_safe(str(winner.config['name']))}",
        _what(winner, card),
        "## Use",
        _use(card),
        "## Data",
        _data(card),
        "## Settings",
        _settings(winner),
        *(["## Seeds", _seeds(ranked)] if has_seeds(ranked) else []),
        "## Trials",
        _judged(ranked, card),
        markdown_table([trial for one in ranked for trial in one.trials], winner.key),
        "## Test",
        _test(report, tested_before),
        "## Limits",
        _limits(card, ranked[0]),
    ]
    return "\n\n".join(parts) + "\n"


def _judged(ranked: Sequence[Configuration], card: Mapping[str, Any]) -> str:
    """How trials were compared."""
    best = "Best validation accuracy" if card["classes"] else "The lowest validation loss"
    wins = "there wins" if not has_seeds(ranked) else "there, as the mean over a configuration's seeds, wins"
    return (
        "Figures are those at each trial's **overfitting point**: the last epoch before validation loss first rises "
        f'("not reached": it never rose, and the last epoch stands in). {best} {wins}.'
    )


def _front(winner: TrialRecord) -> str:
    model = str(winner.config["model"])
    is_folder = Path(model).is_absolute() or Path(model).exists()
    base = f"base_model: {model}\n" if model.count("/") == 1 and not is_folder else ""
    return f"---\nlibrary_name: transformers\npipeline_tag: text-classification\ntags: [sweeper]\n{base}---"


def _what(winner: TrialRecord, card: Mapping[str, Any]) -> str:
    kind = f"one of {card['classes']} labels to a sentence" if card["classes"] else "a number to a sentence"
    point = "the overfitting point" if winner.overfit_reached else "the last one (validation loss never rose)"
    return f"Gives {kind}. Fine-tuned from `{_base(winner)}`; weights of epoch {winner.overfit_epoch}, {point}."


def _base(winner: TrialRecord) -> str:
    """The encoder's name; of a local folder only its last part."""
    model = str(winner.config["model"])
    return Path(model).name if Path(model).is_absolute() or Path(model).exists() else model


def _use(card: Mapping[str, Any]) -> str:
    return (
        "```python\nfrom transformers import pipeline\n\n"
        'classify = pipeline("text-classification", "path/to/this/folder")\n'
        'classify(["a sentence", "another"], truncation=True)\n```\n\n'
        f"Texts are cut at {card['tokens']['max_length']} tokens (`truncation=True`), as in training. In bulk: "
        "`python -m sweeper.predict path/to/this/folder sentences.csv --top-k 3`."
    )


def _data(card: Mapping[str, Any]) -> str:
    files = ", ".join(f"`{_safe(Path(file['path']).name)}`" for file in card["files"][:5])
    more = f" and {len(card['files']) - 5} more files" if len(card["files"]) > 5 else ""
    rows = ", ".join(f"{name} {count:,}" for name, count in card["rows"].items())
    dropped = ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in card["dropped"].items() if count)
    lines = [
        f"- source: {files}{more}; {card['rows_in']:,} rows read",
        f"- dropped: {dropped or 'nothing'}",
        f"- splits: {rows}",
        f"- fingerprint: `{card['fingerprint']}`",
        f"- tokens: longest text {card['tokens']['longest']:,}, {card['tokens']['rows_truncated']:,} rows cut",
    ]
    if card["classes"]:
        train = card["balance"]["train"]
        shown = ", ".join(f"{_safe(name)} {count:,}" for name, count in list(train.items())[:MOST_CLASSES])
        lines.append(f"- labels (training rows): {shown}{', …' if len(train) > MOST_CLASSES else ''}")
    return "\n".join(lines)


def _settings(winner: TrialRecord) -> str:
    config = winner.config
    optimizer, train, schedule = config["optimizer"], config["train"], config["schedule"]
    rows = {
        "learning rate": f"{lr_of(winner):g} ({optimizer['name']}, {schedule['name']}, warm-up {schedule['warmup']})",
        "batch size": str(batch_of(winner)),
        "epochs": f"{winner.overfit_epoch} of {train['epochs']}",
        "loss, seed": f"{train['loss']}, {train['seed']}",
        "computed": f"{winner.device}, {winner.precision}, {winner.seconds:.1f} s for all epochs",
        **{key.removeprefix("version."): value for key, value in winner.tags.items() if key.startswith("version.")},
    }
    table = "\n".join(f"| {name} | {_safe(str(value))} |" for name, value in rows.items())
    return f"| | |\n|---|---|\n{table}\n\nAll of it: `python -m sweeper --config {CONFIG}`."


def _seeds(ranked: Sequence[Configuration]) -> str:
    """The configurations' means, and that the weights are one seed's."""
    winner, lines = ranked[0], []
    if winner.estimate is not None and winner.estimate.interval is not None:
        lines += [
            f"The configuration was chosen by its mean validation figure: {estimate_text(winner.estimate)}. These "
            f"weights are those of seed {seed_of(winner.best)}, **the best of its seeds** ({each_seed(winner)}), so "
            "expect the mean of another training, not its figure.",
            *(f"{_safe(line)}." for line in told_apart_lines(ranked)),
        ]
    star = [STAR] if any(epochs_text(one).endswith("*") for one in ranked) else []
    return "\n\n".join([*lines, seeds_markdown(ranked), " ".join([MEANS, *(_safe(one) for one in star)])])


def _test(report: Mapping[str, Any] | None, before: Sequence[TrialRecord]) -> str:
    if report is None:
        return "The data has no test split."
    named = [(name.replace("_", " "), report[name]) for name in TEST_FIGURES if report.get(name) is not None]
    lines = [f"The test split was read once for this model{also_read_for(before)}.", "", "| | |", "|---|---|"]
    lines += [
        f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value:.4f} |" for name, value in named
    ]
    if 0 < len(report.get("classes", [])) <= MOST_CLASSES:
        lines += ["", "| label | precision | recall | F1 | rows |", "|---|---|---|---|---|"]
        for one in report["classes"]:
            values = " | ".join(f"{one[name]:.4f}" for name in ("precision", "recall", "f1"))
            lines.append(f"| {_safe(one['label'])} | {values} | {one['rows']:,} |")
    return "\n".join(lines)


def also_read_for(before: Sequence[TrialRecord]) -> str:
    """What takes from a test figure's worth, as the end of a sentence; empty if the split had never been read."""
    names = " and ".join(record.name for record in before)
    return f", and for another winner before it ({names}), so these figures are not of its only use" if names else ""


def _limits(card: Mapping[str, Any], winner: Configuration) -> str:
    seeds = len(winner.scores)
    lines = [
        "- It knows the kind of text it was trained on; other domains, languages and later wording were not measured.",
        "- Settings were chosen on the validation split, so validation figures flatter; the test figures do not.",
        "- One seed: differences between trials smaller than what a second seed brings mean little."
        if seeds == 1
        else f"- The weights are the best of {seeds} seeds by the validation split, which flatters its figure there.",
    ]
    if card["classes"]:
        train = card["balance"]["train"]
        least = min(train, key=train.get)
        lines.append(f"- Rarest label in training: {_safe(least)}, {train[least]:,} rows.")
        lines.append("- Probabilities are not calibrated, and every text gets a label, also one that fits none.")
    return "\n".join(lines)


def _safe(text: str) -> str:
    """A user's name inside a line of markdown: no markup, no new line, no new table cell."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", plain)
