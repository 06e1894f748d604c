"""How every command line ends: the one place that turns an exception into an exit code.

0 done · 2 a mistake the user can mend, told on standard error without a traceback · 130 Ctrl-C ·
143 a scheduler's SIGTERM · 141 nobody reads the output any more · 1 our fault, with the traceback.
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from sweeper.errors import UserError

USER, OURS, INTERRUPTED, UNREAD, TERMINATED = 2, 1, 130, 141, 143
DISK = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "this file system is read-only; choose another folder (paths.runs, paths.exports)",
    errno.EACCES: "it may not be written or read by this user; mend its permissions or choose another folder",
    errno.EPERM: "the system forbids it; mend its permissions or choose another folder",
}


class Terminated(KeyboardInterrupt):
    """A SIGTERM, which ends a command as Ctrl-C does but with the exit code that schedulers expect."""


def run(main: Callable[[], int]) -> NoReturn:
    """Run a command and leave the process with the exit code that fits."""
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        code = _tell(str(error), USER)
    except Terminated:
        code = _tell("terminated", TERMINATED)
    except KeyboardInterrupt:
        code = _tell("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing to flush at exit
        code = UNREAD
    except OSError as error:
        code = _disk_trouble(error)
    except Exception:
        traceback.print_exc()
        code = OURS
    sys.exit(code)


def _tell(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code


def _disk_trouble(error: OSError) -> int:
    what = DISK.get(error.errno or 0)
    if what is None:
        traceback.print_exception(error)
        return OURS
    return _tell(f"{error.filename or error.strerror}: {what}", USER)
