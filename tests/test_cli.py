"""Exit codes: 2 for the user's mistakes, 1 for ours, 130 after Ctrl-C."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sweeper
from sweeper.cli import Terminated, run
from sweeper.errors import UserError


def raising(error: BaseException):
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no such column"), 2),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (PermissionError(errno.EACCES, "Permission denied", "runs/x"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2),
        (OSError(errno.EROFS, "Read-only file system", "runs/x"), 2),
        (OSError(errno.EIO, "Input/output error"), 1),
        (ValueError("ours"), 1),
    ],
)
def test_an_error_ends_with_its_exit_code(error, code, capsys):
    with pytest.raises(SystemExit) as ended:
        run(raising(error))
    assert ended.value.code == code
    assert ("Traceback" in capsys.readouterr().err) == (code == 1)


def test_the_users_message_is_on_standard_error(capsys):
    with pytest.raises(SystemExit):
        run(raising(UserError("data.text: no column 'x'")))
    assert capsys.readouterr() == ("", "data.text: no column 'x'\n")


def test_a_full_disk_is_named_with_its_file(capsys):
    with pytest.raises(SystemExit):
        run(raising(OSError(errno.ENOSPC, "No space left on device", "runs/x")))
    assert capsys.readouterr().err == "runs/x: the disk is full; free some space and run the same command again\n"


def test_what_the_command_returns_is_its_exit_code():
    with pytest.raises(SystemExit) as ended:
        run(lambda: 0)
    assert ended.value.code == 0


def test_output_that_nobody_reads_is_no_error():
    code = "from sweeper.cli import run\nrun(lambda: [print('x' * 100) for _ in range(10000)] and 0)"
    command = f'{sys.executable} -c "{code.replace(chr(10), ";")}" | head -1'
    environment = {**os.environ, "PYTHONPATH": str(Path(sweeper.__file__).parents[1])}
    shell = ["bash", "-o", "pipefail", "-c", command]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 141
    assert done.stderr == ""
