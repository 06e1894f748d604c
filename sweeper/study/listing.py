"""The list of a study's points on disk, `runs/<name>/studies/<study>@<id>.json`: the truth about which there are.

It changes under the lock that its ledger uses too, and in one step, so that two sweeps started together have one list
and a kill leaves either the list before or the list after.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeper.study.locks import LOCK_SECONDS, locked
from sweeper.training.checkpoint import ASIDE, write_atomically

TRIALS, MINUTES = "trials", "minutes"


def lock_of(file: Path) -> Path:
    """Held by whoever changes the study's list or its ledger."""
    return file.with_suffix(".lock")


@contextmanager
def changing(file: Path, head: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The list for the time of the block; what the block makes of it is written where it ends without an error.

    Args:
        head: what stands beside the points (`TRIALS`, by key): the study's name, id and configuration.
    """
    with locked(lock_of(file), wait=LOCK_SECONDS):
        for half_written in file.parent.glob(f".{file.name}.*{ASIDE}"):
            half_written.unlink()
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {TRIALS: {}}
        content = {**known, **head}
        yield content
        write_atomically(file, json.dumps(content, ensure_ascii=False, indent=1).encode())
