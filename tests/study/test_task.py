"""What is tidied up in a trial's folder, and when it is somebody else's."""

from dataclasses import asdict, replace
from json import dumps

import pytest
from records import epoch, record

from sweeper.study.locks import locked
from sweeper.study.task import LOCK, tidy_up

STATE = "state-0002.pt"


@pytest.fixture
def left(tmp_path):
    """A trial's folder with a record, its curve and a state that a kill has left there."""

    def left(state, epochs=3):
        one = replace(record("k1"), state=state, curve=tuple(epoch(number) for number in (1, 2, 3)))
        one.write(tmp_path)
        lines = [dumps(asdict(each)) + "\n" for each in one.curve[:epochs]]
        (tmp_path / "curve.jsonl").write_text("".join(lines))
        (tmp_path / STATE).write_bytes(b"a state")
        return one

    return left


@pytest.mark.parametrize("state", ["complete", "pruned"])
def test_what_a_kill_after_the_record_has_left_is_removed(left, tmp_path, state):
    tidy_up(tmp_path, left(state))
    assert not (tmp_path / STATE).exists()


def test_the_files_of_a_trial_that_somebody_trains_anew_stay(left, tmp_path):
    one = left("pruned")
    with locked(tmp_path / LOCK):
        tidy_up(tmp_path, one)
    assert (tmp_path / STATE).exists()


def test_a_pruned_trial_that_was_cut_off_on_its_way_to_its_whole_curve_can_go_on(left, tmp_path):
    tidy_up(tmp_path, left("pruned", epochs=2))
    assert (tmp_path / STATE).exists()
