"""Files that a crash, a kill or a full disk cannot leave half-written.

Everything is written beside its place, flushed to the disk and renamed, so that a reader sees the old
file or the new one. Weights are safetensors. Resume states are `torch.save` files read back with
`weights_only=True`, which runs no code; the last two epochs stay, each with its checksum, so that a
damaged newest state costs one epoch and not the trial. Any failure to write is an OSError.
"""

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

KEPT_STATES = 2
MANIFEST = "state.json"
ASIDE = ".aside"


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; on leaving it is flushed and takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}{ASIDE}"
    try:
        yield aside
        flush(aside)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Checksum of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _as_oserror(path: Path, kind: type[Exception]) -> Iterator[None]:
    """The C++ and Rust writers raise errors of their own `kind` for a full disk; callers look for OSError."""
    try:
        yield
    except kind as error:
        full = shutil.disk_usage(path.parent).free < 1 << 20 or "No space left" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, f"could not write: {error}", str(path)) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: as any write; the old file is then untouched.
    """
    with _aside(path) as aside:
        aside.write_bytes(content)


def save_weights(path: Path, model: nn.Module) -> str:
    """Write the model's parameters and buffers as safetensors; tied weights are stored once.

    Returns:
        sha256 of the file, in hex.

    Raises:
        OSError: the disk is full or not writable; an older file at `path` is then untouched.
    """
    with _aside(path) as aside:
        with _as_oserror(path, SafetensorError):
            save_model(model, str(aside), metadata={"format": "pt"})
        return sha256(aside)


def load_weights(path: Path, model: nn.Module) -> None:
    """Read what `save_weights` wrote into a model of the same shape, in place.

    Raises:
        RuntimeError: names or shapes do not fit the model.
        SafetensorError: the file is damaged.
    """
    load_model(model, str(path), strict=True)


class _Entry(TypedDict):
    epoch: int
    file: str
    sha256: str


class StateFiles:
    """The resume states of one trial: `state-0003.pt` an epoch, and `state.json` with their checksums.

    Args:
        folder: the trial's folder, made when something is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, epoch: int, state: dict[str, Any]) -> None:
        """Keep the state after `epoch` and drop all but the last two.

        Args:
            epoch: 1-based; a state of the same epoch is replaced.
            state: tensors and plain values only, so that it can be read with `weights_only=True`.

        Raises:
            OSError: the disk is full or not writable; the states before are then untouched.
        """
        path = self.folder / f"state-{epoch:04d}.pt"
        with _aside(path) as aside:
            with _as_oserror(path, RuntimeError), aside.open("wb") as file:
                torch.save(state, file)
            checksum = sha256(aside)
        before = [entry for entry in self._entries() if entry["epoch"] < epoch]
        kept = [*before, _Entry(epoch=epoch, file=path.name, sha256=checksum)][-KEPT_STATES:]
        write_atomically(self.folder / MANIFEST, json.dumps(kept, indent=1).encode())
        self._remove_all_but({entry["file"] for entry in kept})

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest state that is whole, as (epoch, state) with tensors on the CPU; None where there is none.

        Warns:
            UserWarning: a state was missing or damaged and an older one, or none, is given instead.
        """
        for entry in reversed(self._entries()):
            path = self.folder / entry["file"]
            if path.is_file() and sha256(path) == entry["sha256"]:
                return entry["epoch"], torch.load(path, map_location="cpu", weights_only=True)
            warnings.warn(
                f"{path}: the saved state of epoch {entry['epoch']} is missing or damaged "
                "(its checksum differs); going back to the epoch before",
                stacklevel=2,
            )
        return None

    def clear(self) -> None:
        """Remove all states: the trial has ended."""
        (self.folder / MANIFEST).unlink(missing_ok=True)
        self._remove_all_but(set())

    def _entries(self) -> list[_Entry]:
        try:
            entries: list[_Entry] = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except ValueError:
            warnings.warn(f"{self.folder / MANIFEST} is damaged; starting without saved states", stacklevel=3)
            return []
        return entries

    def _remove_all_but(self, names: set[str]) -> None:
        """A killed process leaves its half-written files; they go with the old states."""
        for pattern in ("state-*.pt", f".state-*{ASIDE}", f".{MANIFEST}*{ASIDE}"):
            for path in self.folder.glob(pattern):
                if path.name not in names:
                    path.unlink(missing_ok=True)
