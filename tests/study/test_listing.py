import json

import pytest

from sweeper.study.listing import TRIALS, changing, lock_of
from sweeper.study.locks import is_free

HEAD = {"study": "lr", "id": "made/lr@1", "config": {}}


def test_points_of_earlier_starts_stay(tmp_path):
    file = tmp_path / "studies" / "lr@1.json"
    for key in ("a", "b"):
        with changing(file, HEAD) as content:
            content[TRIALS][key] = {"lr": 1e-3}
    assert json.loads(file.read_text()) == {TRIALS: {"a": {"lr": 1e-3}, "b": {"lr": 1e-3}}, **HEAD}


def test_a_list_changes_under_its_lock_and_not_at_all_where_the_change_fails(tmp_path):
    file = tmp_path / "lr@1.json"

    def fail():
        with changing(file, HEAD) as content:
            content[TRIALS]["a"] = {}
            assert not is_free(lock_of(file))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not file.exists()
    assert is_free(lock_of(file))


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    (tmp_path / ".lr@1.json.1.aside").write_text("{")
    with changing(tmp_path / "lr@1.json", HEAD):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"lr@1.json", "lr@1.lock"}
