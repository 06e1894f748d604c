"""What a worker on another machine must find there before it trains; the machine is this one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sweeper.study.locks import locked
from sweeper.study.remote import Place, Worker, code_version, misplaced


@pytest.fixture
def place(tmp_path):
    return Place(str(tmp_path), str(tmp_path / "held.lock"), None, 1, code_version())


def test_a_worker_that_sees_the_commands_lock_may_train(place):
    with locked(Path(place.held)):
        assert misplaced(place) is None


def test_a_machine_without_the_shared_folder_is_told(place):
    assert "does not see" in misplaced(place)
    assert "set paths.runs to a folder on storage that all nodes share" in misplaced(place)


def test_storage_whose_locks_do_not_cross_machines_is_told(place):
    Path(place.held).touch()  # seen, and free: the command holds it somewhere else
    assert "needs flock between machines" in misplaced(place)


def test_other_code_and_a_missing_encoder_are_told(place, tmp_path):
    with locked(Path(place.held)):
        assert "install the same on both" in misplaced(replace(place, code="sweeper 0.0.1 (trials of schema 0)"))
        assert f"has no folder {tmp_path / 'encoder'}" in misplaced(replace(place, model=str(tmp_path / "encoder")))


def test_a_worker_says_why_it_leaves_and_listening_to_it_ends(place):
    said = list(Worker(place).listen())
    assert [event["event"] for event in said] == ["exit"]
    assert said[0]["reason"] == misplaced(place)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it belongs into the log
def test_a_worker_enters_the_commands_folder_and_takes_its_threads(place, monkeypatch, tmp_path):
    entered = []

    def serve(inbox, say):
        entered.append((Path.cwd(), os.environ["OMP_NUM_THREADS"]))
        say(event="ready")
        say(event="told", of=inbox.tasks.get(timeout=10))
        raise RuntimeError("it broke")

    monkeypatch.setattr("sweeper.study.remote.serve", serve)
    monkeypatch.chdir(Path.cwd())  # to be restored
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "x")
    with locked(Path(place.held)):
        worker = Worker(replace(place, threads=3))
        worker.tell({"key": "a"})
        said = list(worker.listen())
    assert entered == [(tmp_path.resolve(), "3")]
    assert said[:2] == [{"event": "ready"}, {"event": "told", "of": {"key": "a"}}]
    assert said[2]["reason"] == "failed with RuntimeError: it broke"
