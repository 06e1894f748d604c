import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from sweeper.data.cache import UNFINISHED, built, key, read_json, write_json
from sweeper.errors import UserError


def test_key_is_stable_and_depends_on_every_part():
    assert key("rows", {"b": 1, "a": "가"}) == key("rows", {"a": "가", "b": 1})
    assert key("rows", {"a": 1}) != key("rows", {"a": 2}) != key("tokens", {"a": 2})


def test_a_folder_is_built_once(tmp_path):
    calls = []

    def build(folder):
        calls.append(folder)
        write_json(folder / "x.json", {"가": 1})

    for _ in range(2):
        assert read_json(built(tmp_path / "cache" / "a", build) / "x.json") == {"가": 1}
    assert len(calls) == 1


def test_a_failed_build_leaves_nothing(tmp_path):
    def build(folder):
        (folder / "half").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        built(tmp_path / "a", build)
    assert list(tmp_path.iterdir()) == []


def test_who_loses_the_race_takes_the_winners_folder(tmp_path):
    both_inside = Barrier(2)

    def build_as(name):
        def build(folder):
            (folder / "who").write_text(name)
            both_inside.wait(10)

        return (built(tmp_path / "a", build) / "who").read_text()

    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(build_as, ["first", "second"]))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    assert seen == [(tmp_path / "a" / "who").read_text()] * 2


def test_what_a_killed_build_left_is_swept_up_after_a_day(tmp_path):
    old, new = tmp_path / f"{UNFINISHED}old", tmp_path / f"{UNFINISHED}new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "half").write_text("half")
    os.utime(old, (0, time.time() - 2 * 24 * 3600))
    built(tmp_path / "a", lambda folder: None)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [new.name, "a"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*paths\.runs"):
        built(tmp_path / "file" / "cache", lambda folder: None)


def test_a_full_disk_is_the_users_to_mend(tmp_path):
    def build(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match="no space left"):
        built(tmp_path / "a", build)
