"""Who may work on what: advisory file locks that the kernel drops when their holder dies.

A lock left behind by a killed process or a restarted machine does not exist, so nothing has to guess
from clocks or heartbeats whether its holder is alive. Between machines this needs a shared file
system with working `flock` (NFS 4, Lustre with `-o flock`, CephFS).
"""

import fcntl
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_SECONDS = 120.0  # for locks that are held for a moment at a time: longer means that something is wrong


class Busy(Exception):
    """Somebody else holds the lock."""


@contextmanager
def locked(path: Path, *, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` (made if absent) for the time of the block.

    Args:
        wait: seconds to wait for another holder before giving up.

    Raises:
        Busy: another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(handle, path, time.monotonic() + wait)
        os.truncate(handle, 0)
        os.write(handle, f"{os.getpid()} on {platform.node()}".encode())
        yield
    finally:
        os.close(handle)  # closing drops the lock


@contextmanager
def among_others(path: Path, alone: Callable[[], None]) -> Iterator[None]:
    """Be one of those who hold the lock file `path` together for the time of the block.

    Args:
        alone: done first by whoever finds nobody else there; others that come meanwhile wait for its end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            alone()
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)  # closing drops the lock


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file `path` at this moment. Writes nothing, so that everybody may look."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def holder(path: Path) -> str:
    """`1234 on host`: who holds the lock file, or held it last."""
    return path.read_text(encoding="utf-8")


def _acquire(handle: int, path: Path, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(str(path)) from None
            time.sleep(0.02)
