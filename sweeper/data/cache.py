"""Folders that are either whole or not there: what is derived from data is built aside and renamed.

Two processes may build the same folder at once; the first to rename wins and the other takes the
winner's. A name holds the hash of everything its content depends on, so nothing is ever updated.
Limit: nothing is deleted but the left-overs of builds that died; `rm -r runs/cache` is always safe.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sweeper.errors import UserError

UNFINISHED = ".building-"
STALE_SECONDS = 24 * 3600
SCHEMA = 1  # raise when the layout or the meaning of what is cached changes


def key(*parts: Any) -> str:
    """A hash (32 hex digits) of JSON-able values, the same on every machine."""
    text = json.dumps([SCHEMA, *parts], ensure_ascii=True, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def built(folder: Path, build: Callable[[Path], None]) -> Path:
    """The folder, built by `build(temporary folder)` unless it is there already.

    Raises:
        UserError: the cache cannot be written (rights, disk full).
    """
    if folder.is_dir():
        return folder
    aside = _aside(folder.parent)
    try:
        build(aside)
        _flush(aside)
        _rename(aside, folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"no space left for the data cache in {folder.parent}: free some, or set paths.runs"
            ) from None
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _aside(parent: Path) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep_up(parent)
        return Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=parent))
    except OSError as error:
        raise UserError(
            f"the data cache cannot be written to {parent} ({error.strerror}): set paths.runs to a writable folder"
        ) from None


def _sweep_up(parent: Path) -> None:
    """Remove what builds killed more than a day ago left behind."""
    for left in parent.glob(f"{UNFINISHED}*"):
        try:
            stale = time.time() - left.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:  # another process has just finished or swept it
            continue
        if stale:
            shutil.rmtree(left, ignore_errors=True)


def _flush(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rename(aside: Path, folder: Path) -> None:
    aside.chmod(0o755)  # mkdtemp's 0700 would shut out the colleagues who share runs/
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def write_json(path: Path, value: Any) -> None:
    """Write plain values as readable JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
