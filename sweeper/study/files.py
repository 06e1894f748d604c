"""The files of one trial's folder, each written so that a kill at any moment leaves it readable.

The curve is append-only, one line an epoch; a last line that a kill cut off is not read. Weights and
predictions that may turn out to be the overfitting point's have files of their own for each epoch, so
that repeating an epoch never harms those of the one before; their checksums travel in the resume state.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sweeper.study.record import CURVE, PREDICTIONS, WEIGHTS
from sweeper.training.checkpoint import ASIDE, StateFiles, flush, save_weights, sha256, write_atomically
from sweeper.training.metrics import EpochMetrics


def read_curve(folder: Path) -> list[EpochMetrics]:
    """The epochs written so far; a last line cut off by a kill is left out."""
    try:
        lines = (folder / CURVE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    curve = []
    for line in lines:
        try:
            curve.append(EpochMetrics(**json.loads(line)))
        except (ValueError, TypeError):
            break
    return curve


def write_curve(folder: Path, curve: Sequence[EpochMetrics]) -> None:
    """Replace the curve, after a restart that goes back to an earlier epoch."""
    text = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in curve)
    write_atomically(folder / CURVE, text.encode())


def append_epoch(folder: Path, epoch: EpochMetrics) -> None:
    """Add one line and flush it to the disk; the resume state written after it makes it count."""
    with (folder / CURVE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(epoch)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def are_whole(folder: Path, kept: Mapping[str, str]) -> bool:
    """Whether the files of these names have these sha256."""
    return all((folder / name).is_file() and sha256(folder / name) == checksum for name, checksum in kept.items())


def weights_name(epoch: int) -> str:
    """File of an epoch's weights while they may be the overfitting point's."""
    return f"weights-{epoch:04d}.safetensors"


def predictions_name(epoch: int) -> str:
    """File of an epoch's validation predictions, likewise."""
    return f"predictions-{epoch:04d}.npy"


def epoch_of(name: str) -> int:
    """The epoch in such a file's name."""
    return int(name.split("-")[1].split(".")[0])


def keep_candidate(folder: Path, epoch: int, model: nn.Module, predictions: NDArray[Any]) -> dict[str, str]:
    """Write an epoch's weights and validation predictions; gives {file name: sha256}."""
    weights, predicted = weights_name(epoch), predictions_name(epoch)
    checksum = save_weights(folder / weights, model)
    write_atomically(folder / predicted, _npy(predictions))
    return {weights: checksum, predicted: sha256(folder / predicted)}


def _npy(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def drop_candidates(folder: Path, keep: set[str]) -> None:
    """Remove all such files but those of these names."""
    for path in [*folder.glob("weights-*.safetensors"), *folder.glob("predictions-*.npy")]:
        if path.name not in keep:
            path.unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Remove what a killed process was writing; only for whoever holds the trial's lock."""
    for path in folder.glob(f".*{ASIDE}"):
        path.unlink(missing_ok=True)


def discard_state(folder: Path, epoch: int) -> None:
    """Remove a resume state whose curve or weights are damaged, so that the one before is the latest."""
    (folder / f"state-{epoch:04d}.pt").unlink(missing_ok=True)


def name_final(folder: Path, epoch: int) -> None:
    """Give the overfitting epoch's files their lasting names."""
    _link(folder / weights_name(epoch), folder / WEIGHTS)
    _link(folder / predictions_name(epoch), folder / PREDICTIONS)


def drop_final(folder: Path) -> None:
    """Remove files of a lasting name that a trial got on its way to an end that it did not reach."""
    for name in (WEIGHTS, PREDICTIONS):
        (folder / name).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    """A second name, not a move: until the record is written the trial may have to be resumed."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)
        flush(target)  # before the record says that it is there; a link's content is on the disk already


def clear_up(folder: Path) -> None:
    """Remove what a trial needs no more once it has a record; a kill may have come between the two."""
    StateFiles(folder).clear()
    drop_candidates(folder, keep=set())
    remove_half_written(folder)
