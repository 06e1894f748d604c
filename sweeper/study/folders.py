"""Whether a sweep may write where it is told to, found out before anything else is done."""

import errno
from pathlib import Path

from sweeper.errors import UserError


def check_writable(folder: Path) -> None:
    """Make the folder and try to write into it.

    Raises:
        UserError: it cannot be written.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink(missing_ok=True)  # another sweep may probe at the same time
    except OSError as error:
        full = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(
            f"paths.runs={folder}: cannot write there ({full}). Free some space, or set paths.runs to a folder that "
            "you may write to."
        ) from None
