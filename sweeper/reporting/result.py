"""An experiment as one JSON value, to be kept beside what its document published: `result.json`.

Every figure that a document of this repository quotes about a run is read from here. No sentence of the data, no
folder and no machine's name is in it; what is not known is null, never a guess.
"""

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sweeper.config import compose, plain
from sweeper.intervals import Interval
from sweeper.reporting.answer import SETTINGS, chance
from sweeper.reporting.baseline import Baseline
from sweeper.reporting.comparison import wilson
from sweeper.reporting.evidence import STUDIES, Evidence
from sweeper.reporting.machine import describe
from sweeper.reporting.setting_figures import cost
from sweeper.study.configurations import seed_of
from sweeper.study.record import TrialRecord
from sweeper.study.seeds_table import plain_seeds
from sweeper.study.table import batch_of, lr_of

FIGURES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_macro_f1")
CURVE = ("train_loss", "val_loss", "val_accuracy")
TEST = ("rows", "loss", "accuracy", "macro_precision", "macro_recall", "macro_f1", "mse", "mae", "r2")
ROWS = ("train", "validation", "test")
VERSION = "version."
# of a configuration: where and how a sweep runs, which changes no figure
ELSEWHERE = ("paths.", "storage", "tracking.", "launcher.", "progress", "name", "experiment", "study.name")


def make_result(evidence: Evidence, baseline: Baseline | None) -> dict[str, Any]:
    """The experiment as JSON-able values."""
    first, winner = evidence.records[0], evidence.winner
    tags, card = first.tags, None if evidence.corpus is None else evidence.corpus.card
    return {
        "experiment": evidence.name,
        "commands": list(commands(evidence)),
        "versions": {
            name.removeprefix(VERSION): value for name, value in sorted(tags.items()) if name.startswith(VERSION)
        },
        "commit": tags.get("git.commit"),
        "machine": describe(gpu=first.device.startswith("cuda")),
        "model": first.config["model"],
        "device": first.device,
        "precision": first.precision,
        "threads": first.threads,
        "seed": first.config["train"]["seed"],
        "seeds": sorted({seed_of(record) for record in evidence.records}),
        "data": first.data,
        "task": "regression" if evidence.regression else "classification",
        "classes": card and card["classes"],
        "rows": card and dict(card["rows"]),
        "row_caps": {name: cap for name, cap in first.config["data"].get("rows", {}).items() if name in ROWS and cap},
        "configurations": plain_seeds(evidence.configurations),
        "trials": [_trial(record, evidence) for record in evidence.records],
        "trial_seconds": sum(record.seconds for record in evidence.records),
        "winner": None if winner is None else winner.key,
        "chance": None if (guess := chance(evidence)) is None else {"guess": guess[0], "figure": guess[1]},
        "baseline": None if baseline is None else _baseline(baseline, evidence),
        "test": _test(evidence.test),
    }


def _trial(record: TrialRecord, evidence: Evidence) -> dict[str, Any]:
    at, found = record.at_overfit, evidence.comparisons[record.key]
    return {
        "key": record.key,
        "lr": lr_of(record),
        "batch_size": batch_of(record),
        "also": {name: value for name, value in record.varied.items() if name not in SETTINGS},
        "state": record.state,
        "reason": record.reason,
        "epochs": len(record.curve),
        "overfitting": {"epoch": record.overfit_epoch, "reached": record.overfit_reached},
        **{name: None if at is None else getattr(at, name) for name in FIGURES},
        "interval": _ends(found.interval),
        "verdict": found.verdict,
        "p_adjusted": found.adjusted,
        "curve": {name: [_finite(getattr(epoch, name)) for epoch in record.curve] for name in CURVE},
        "seconds": record.seconds,
        "sentences_per_second": cost(record).speed if record.curve else None,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _baseline(baseline: Baseline, evidence: Evidence) -> dict[str, Any]:
    rows, accuracy = evidence.rows, baseline.accuracy
    return {
        "what": "ridge regression on TF-IDF" if evidence.regression else "logistic regression on TF-IDF",
        "loss": baseline.loss,
        "accuracy": baseline.accuracy,
        "macro_f1": baseline.macro_f1,
        "interval": _ends(None if accuracy is None or not rows else wilson(round(accuracy * rows), rows)),
        "seconds": baseline.seconds,
    }


def _test(report: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The figures of the test split, without its sentences."""
    if report is None:
        return None
    figures = {name: report[name] for name in TEST if name in report}
    if "accuracy" in report:
        figures["interval"] = _ends(wilson(round(report["accuracy"] * report["rows"]), report["rows"]))
    return figures


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def commands(evidence: Evidence) -> Iterator[str]:
    """The commands that train these trials again, from the studies' own configurations."""
    wanted = {record.key for record in evidence.records}
    by_settings: dict[tuple[str, ...], list[str]] = {}
    for path in sorted((evidence.folder / STUDIES).glob("*.json")):
        study = json.loads(path.read_text(encoding="utf-8"))
        if wanted & set(study["trials"]):
            by_settings.setdefault(tuple(overrides(study["config"])), []).append(study["study"])
    for settings, studies in by_settings.items():
        names = ",".join(sorted(studies, key=lambda name: (name != "lr", name)))
        experiment = [one for one in settings if one.startswith("experiment=")]
        rest = [one for one in settings if one not in experiment]
        yield shlex.join(["python", "-m", "sweeper", *experiment, f"study={names}", *rest])


def overrides(config: Mapping[str, Any]) -> list[str]:
    """What to say on the command line to get this configuration, the study and what changes no figure left out."""
    start = [f"study={config['study']['name']}"]
    start += [f"experiment={config['experiment']}"] if config["experiment"] else []
    usual = dict(_flat(plain(compose(start))))
    changed = [f"{key}={value}" for key, value in _flat(config) if usual.get(key) != value]
    return [*start[1:], *changed]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name.startswith(ELSEWHERE):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}.")
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
