import subprocess
import sys

import pytest

from sweeper.study.locks import Busy, among_others, is_free, locked

HOLD = """
import sys
from pathlib import Path
from sweeper.study.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_lock_held_elsewhere_is_busy(tmp_path, holder):
    assert not is_free(tmp_path / "lock")
    with pytest.raises(Busy), locked(tmp_path / "lock", wait=0.1):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert is_free(tmp_path / "lock")


def test_a_lock_is_free_again_after_the_block(tmp_path):
    with locked(tmp_path / "deep" / "lock"):
        assert not is_free(tmp_path / "deep" / "lock")
    assert is_free(tmp_path / "deep" / "lock")


def test_whoever_finds_nobody_among_others_is_alone(tmp_path):
    alone = []
    with among_others(tmp_path / "present", lambda: alone.append("first")):
        with among_others(tmp_path / "present", lambda: alone.append("second")):
            pass
        with among_others(tmp_path / "present", lambda: alone.append("third")):
            pass
    with among_others(tmp_path / "present", lambda: alone.append("fourth")):
        pass
    assert alone == ["first", "fourth"]


def test_nobody_is_among_others_while_one_is_alone(tmp_path):
    path, seen = tmp_path / "present", []
    with among_others(path, lambda: seen.append(is_free(path))):
        seen.append(is_free(path))
    assert seen == [False, True]
