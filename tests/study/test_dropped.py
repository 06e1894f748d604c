import json
from types import SimpleNamespace

import pytest
from records import CONFIG, point, record

from sweeper.study.dropped import end_dropped
from sweeper.study.ledger import Ledger, open_storage
from sweeper.study.locks import locked
from sweeper.study.points import GridPoints
from sweeper.study.task import LOCK

STAYS, DROPPED = point("a", lr=1e-3), point("b", lr=1e-4)


class Tracks:
    """Notes what is told to tracking."""

    def __init__(self):
        self.told = []

    def begin(self, one):
        assert one.config["optimizer"]["lr"] == one.varied["lr"]
        return one.key

    def stop(self, one):
        self.told.append((one.key, "stopped"))

    def end(self, ended, run, note):
        self.told.append((run, ended.state))


@pytest.fixture
def study(tmp_path):
    """A study that was begun with two points, and is asked for one of them."""
    file = tmp_path / "study.json"
    file.write_text(json.dumps({"trials": {one.key: dict(one.varied) for one in (STAYS, DROPPED, point("c"))}}))
    prepared = SimpleNamespace(
        study="lr",
        file=file,
        trials=tmp_path / "trials",
        points=GridPoints((STAYS,)),
        config=CONFIG,
        trial_name=lambda one: one.key,
    )
    ledger = Ledger(open_storage(None, tmp_path), "made/lr@1", tmp_path / "lock")
    for one in (STAYS, DROPPED):
        ledger.claim([one], lambda p: False)
    said, tracks = [], Tracks()
    return SimpleNamespace(
        prepared=prepared,
        ledger=ledger,
        folder=tmp_path / "trials" / DROPPED.key,
        said=said,
        tracks=tracks,
        end=lambda: end_dropped(prepared, ledger, tracks, said.append),
    )


def test_a_dropped_point_that_was_cut_off_is_open_nowhere(study):
    study.end()
    assert study.ledger.fates() == {"a": "open", "b": "let go"}
    assert study.tracks.told == [("b", "stopped")]
    assert study.said == ["no longer in the lr study's list, and left unfinished: b"]


def test_tracking_is_told_again_at_the_next_start_and_nobody_else(study):
    study.end()
    study.end()
    assert study.tracks.told == [("b", "stopped")] * 2
    assert len(study.said) == 1


def test_a_dropped_point_that_somebody_trains_is_left_alone(study):
    with locked(study.folder / LOCK):
        study.end()
    assert study.ledger.fates() == {"a": "open", "b": "open"}
    assert study.tracks.told == []


@pytest.mark.parametrize("told", [False, True])
def test_a_dropped_point_with_a_record_ends_with_it(study, told):
    study.folder.mkdir(parents=True)
    record("b").write(study.folder)
    if told:
        study.ledger.tell(DROPPED, record("b"))
    study.end()
    assert study.ledger.fates() == {"a": "open", "b": "told"}
    assert study.tracks.told == [("b", "complete")]
    assert study.said == []


def test_a_search_ends_no_point_that_another_start_of_it_has_found(study):
    study.prepared.points = SimpleNamespace(known=(STAYS,), grows=True)
    study.end()
    assert study.ledger.fates() == {"a": "open", "b": "open"}
    assert (study.tracks.told, study.said) == ([], [])


def test_a_dropped_point_whose_record_is_lost_keeps_its_end(study):
    study.ledger.tell(DROPPED, record("b"))
    study.end()
    assert study.ledger.fates() == {"a": "open", "b": "told"}
    assert study.tracks.told == []
