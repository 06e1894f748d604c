"""Which trials a study consists of, and what names a trial.

A trial's key is a hash of everything that changes its result (CONTRIBUTING.md contract 3) and of nothing
else: where it runs, how it is tracked and where its files go stay out, so that the same
configuration is the same trial in every study and on every machine.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

SCHEMA = 1  # raised when a change of the code changes the results of an unchanged configuration

IDENTITY = ("data", "head", "optimizer", "overfitting", "schedule", "train")
NOT_IDENTITY = {
    "train": ("device", "keep_weights", "cuda_graphs"),
    "data": ("source", "path", "train", "validation", "test"),
}
PLACES = {  # what a study may vary, and where the configuration has it
    "lr": ("optimizer", "lr"),
    "batch_size": ("train", "batch_size"),
    "warmup": ("schedule", "warmup"),
    "weight_decay": ("optimizer", "weight_decay"),
    "dropout": ("head", "dropout"),
    "schedule": ("schedule", "name"),
    "seed": ("train", "seed"),
}
GRID = ("lr", "batch_size")  # what every trial is named by, whether it varies or not
Value = float | int | str


@dataclass(frozen=True)
class Point:
    """One point of a study: what varies, the whole configuration with it put in, and the trial's key."""

    key: str
    varied: Mapping[str, Value]
    config: Mapping[str, Any]


def grid(
    learning_rates: Sequence[float], batch_sizes: Sequence[int], seeds: Sequence[int] | None = None
) -> list[dict[str, Value]]:
    """The full product, in the order given: every learning rate at the first batch size first.

    Args:
        seeds: each configuration has all its seeds before the next is begun, so that a sweep that is stopped leaves
            whole ones; None lets the seed be.
    """
    points: list[dict[str, Value]] = [
        {"lr": lr, "batch_size": size} for size, lr in product(batch_sizes, learning_rates)
    ]
    return points if seeds is None else [{**point, "seed": seed} for point in points for seed in seeds]


def seeds_of(config: Mapping[str, Any]) -> list[int] | None:
    """The seeds that a study trains each configuration with; None where it has the one of `train.seed`."""
    asked = config.get("study", {}).get("seeds")
    if isinstance(asked, int):
        return list(range(config["train"]["seed"], config["train"]["seed"] + asked))
    return None if asked is None else list(asked)


def ranges_of(config: Mapping[str, Any]) -> dict[str, list[Value]]:
    """What a search varies, by setting: the two ends of a range or the values to choose from.

    Learning rate and batch size are always there, with their one value where they do not vary.
    """
    fixed = {name: [config[section][key]] for name, (section, key) in PLACES.items() if name in GRID}
    return fixed | {name: list(config["study"][name]) for name in PLACES if config["study"].get(name)}


def with_values(config: Mapping[str, Any], varied: Mapping[str, Value]) -> dict[str, Any]:
    """The configuration that trains exactly this point: a `single` study with the point's values put in."""
    changed = {section: dict(config[section]) for section, _ in PLACES.values()}
    for name, value in varied.items():
        section, key = PLACES[name]
        changed[section][key] = value
    return {**config, **changed, "study": {**_emptied(config["study"]), "name": "single"}}


def _emptied(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _emptied(value) if isinstance(value, Mapping) else None for key, value in section.items()}


def identity(config: Mapping[str, Any], *, data: str, model: str, precision: str) -> dict[str, Any]:
    """Everything that changes a trial's result, as plain values.

    Args:
        config: the whole configuration (`config.plain`).
        data: fingerprint of the corpus; it stands for the files, whose paths do not matter.
        model: fingerprint of the encoder's weights.
        precision: float32, bf16 or fp16, as resolved for the device.
    """
    parts = {
        section: {key: value for key, value in config[section].items() if key not in NOT_IDENTITY.get(section, ())}
        for section in IDENTITY
    }
    parts["train"]["precision"] = precision
    parts["schedule"]["warmup"] = parts["schedule"]["warmup"] or 0  # 0.0 of a range trains what a grid's 0 does
    return {**parts, "data_fingerprint": data, "model_fingerprint": model, "schema": SCHEMA}


def digest(value: Mapping[str, Any]) -> str:
    """16 hexadecimal digits (64 bits) of the SHA-256 of the value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def trial_key(whole: Mapping[str, Any]) -> str:
    """The key of the trial with this identity."""
    return digest(whole)


def configuration_key(whole: Mapping[str, Any], ranges: Mapping[str, Any] | None = None, *, seeds: bool = False) -> str:
    """The key that all points of a study share: the identity without what varies.

    Args:
        ranges: of a search, which is another one where they differ: what was learned in one range says little of
            another, and samplers want one space.
        seeds: of a study with several seeds a configuration; which ones may change from start to start, as its rates.
    """
    shared = {section: dict(value) if isinstance(value, Mapping) else value for section, value in whole.items()}
    for section, key in (PLACES[name] for name in {*GRID, *(ranges or ()), *(("seed",) if seeds else ())}):
        shared[section].pop(key)
    return digest(shared | ({"ranges": ranges} if ranges else {}) | ({"seeds": "several"} if seeds else {}))[:8]


def model_fingerprint(model: str) -> str:
    """What names an encoder's weights: a hash of a local folder's files, or a hub id with its commit.

    Args:
        model: a folder, or a hub id whose files are cached or can be reached.

    Raises:
        UserError: the hub cannot be reached.
    """
    folder = Path(model)
    if folder.is_dir():
        hashed = hashlib.sha256()
        for path in sorted(folder.iterdir()):
            if path.suffix in (".safetensors", ".bin") or path.name == "config.json":
                with path.open("rb") as file:
                    hashed.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        about = folder / "config.json"
        names = json.loads(about.read_text(encoding="utf-8")).get("architectures") if about.is_file() else None
        return hashed.hexdigest()[:16] + _head(names)
    from transformers import AutoConfig

    from sweeper.training.classifier import explained

    with explained(model, model):
        config = AutoConfig.from_pretrained(model, trust_remote_code=False)
    return f"{model}@{getattr(config, '_commit_hash', None)}{_head(config.architectures)}"


def _head(architectures: Sequence[str] | None) -> str:
    """A mark for fine-tuned classifiers: once their own head was trained on, so those trials are others' (SCHEMA 1)."""
    return "+fresh-head" if any(name.endswith("ForSequenceClassification") for name in architectures or ()) else ""
