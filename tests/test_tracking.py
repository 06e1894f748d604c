"""Tracking: nothing twice, nothing lost, nobody kept waiting. Against a real SQLite store and a dead server."""

import math
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import sweeper
from sweeper.errors import UserError
from sweeper.run_list import RunList, one_at_a_time
from sweeper.tracked import flat, metrics_of
from sweeper.tracking import MlflowStore, MlflowTracker, NoTracker, default_uri
from sweeper.training.metrics import EpochMetrics

PARAMS = {"optimizer": {"lr": 2e-05}, "train": {"batch_size": 64, "clip_norm": None}, "model": "ko-mini"}


def epoch(number: int, val_loss: float = 1.5, accuracy: float | None = 0.5) -> EpochMetrics:
    return EpochMetrics(number, 2.0 / number, val_loss, accuracy, accuracy, accuracy, 2e-05, 1.25, 800.0)


CURVE = [epoch(1), epoch(2, 1.25), epoch(3, 1.75)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all tests of this file: making MLflow's tables takes seconds."""
    return tmp_path_factory.mktemp("runs 한글")


@pytest.fixture(scope="module")
def client(runs: Path):
    return MlflowStore("any", runs, default_uri(runs)).client


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return request.node.name


def sweep(tracker: MlflowTracker, epochs: int = 3, state: str | None = "complete"):
    study = tracker.study("lr", "lr-0123", PARAMS, {"sweeper.data": "f00"})
    trial = tracker.trial(study, "k1", "lr=2e-05 bs=64", PARAMS, {"git.commit": "abc"})
    for last in range(1, epochs + 1):
        tracker.epochs(trial, CURVE[:last])
    if state is not None:
        tags, card = {"sweeper.overfit_epoch": "2"}, {"data_card.json": {"rows": 3}}
        tracker.finish(trial, state, at_overfit=CURVE[1], tags=tags, figure=lambda: "<html>곡선", artifacts=card)
        tracker.finish(study, "complete")
    return study, trial


def stored_runs(client, experiment: str):
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id])
    return sorted(runs, key=lambda run: run.info.start_time)


def everything(client, experiment: str):
    """All that the store knows of an experiment, to compare before and after."""
    found = []
    for run in stored_runs(client, experiment):
        history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        points = {name: [(p.step, p.timestamp, p.value) for p in points] for name, points in history.items()}
        info = (run.info.run_id, run.info.status, run.info.run_name, run.info.start_time, run.info.end_time)
        found.append((info, dict(run.data.tags), dict(run.data.params), points))
    return found


def test_a_sweep_becomes_a_parent_run_with_a_child_for_each_trial(runs, client, experiment):
    tracker = MlflowTracker(experiment, runs)
    study, trial = sweep(tracker)
    assert tracker.close(timeout=30)
    parent, child = stored_runs(client, experiment)
    assert (parent.info.run_id, child.info.run_id) == (study.id, trial.id)
    assert parent.data.tags["sweeper.study"] == "lr-0123"
    assert child.info.run_name == "lr=2e-05 bs=64"
    assert child.data.tags["mlflow.parentRunId"] == study.id
    assert child.data.tags["sweeper.key"] == "k1"
    assert child.data.tags["sweeper.state"] == "complete"
    assert child.data.tags["sweeper.overfit_epoch"] == "2"
    assert child.data.tags["git.commit"] == "abc"
    assert child.data.params["optimizer.lr"] == "2e-05"
    assert child.data.params["train.clip_norm"] == "null"
    assert child.data.metrics["at_overfit.val_loss"] == 1.25
    assert (parent.info.status, child.info.status) == ("FINISHED", "FINISHED")


def test_every_epoch_is_one_step_in_order(runs, client, experiment):
    tracker = MlflowTracker(experiment, runs)
    _, trial = sweep(tracker)
    assert tracker.close(timeout=30)
    for name, value in metrics_of(CURVE[0]).items():
        history = client.get_metric_history(trial.id, name)
        assert [point.step for point in history] == [1, 2, 3]
        assert history[0].value == value
    times = [point.timestamp for point in client.get_metric_history(trial.id, "val_loss")]
    assert [b - a for a, b in pairwise(times)] == [1250, 1250]


def test_both_memory_figures_of_a_trial_are_shown_where_there_are_two():
    both = replace(CURVE[0], peak_memory_mb=900.0, peak_rss_mb=700.0, peak_gpu_mb=300.0)
    shown = metrics_of(both)
    assert (shown["peak_rss_mb"], shown["peak_gpu_mb"], shown["peak_memory_mb"]) == (700, 300, 900)
    assert "peak_gpu_mb" not in metrics_of(replace(both, peak_gpu_mb=None))


def test_figure_and_data_card_are_stored_whole_under_runs(runs, client, experiment):
    tracker = MlflowTracker(experiment, runs)
    _, trial = sweep(tracker)
    assert tracker.close(timeout=30)
    assert {item.path for item in client.list_artifacts(trial.id)} == {"curve.html", "data_card.json"}
    assert next((runs / "mlartifacts").glob(f"*/{trial.id}/artifacts/curve.html")).read_text() == "<html>곡선"


def test_a_second_start_changes_nothing(runs, client, experiment):
    for _ in range(2):
        tracker = MlflowTracker(experiment, runs)
        sweep(tracker)
        assert tracker.close(timeout=30)
        before = everything(client, experiment)
    assert everything(client, experiment) == before
    assert len(before) == 2


def test_a_sweep_killed_in_the_middle_goes_on_in_the_same_runs(runs, client, experiment):
    killed = MlflowTracker(experiment, runs)
    study, trial = sweep(killed, epochs=2, state=None)
    assert killed.close(timeout=30)
    assert client.get_run(trial.id).info.status == "RUNNING"
    again = MlflowTracker(experiment, runs)
    study_again, trial_again = sweep(again)
    assert again.close(timeout=30)
    assert (study_again.id, trial_again.id) == (study.id, trial.id)
    assert [point.step for point in client.get_metric_history(trial.id, "val_loss")] == [1, 2, 3]
    assert client.get_run(trial.id).info.status == "FINISHED"


def test_a_kill_between_the_tags_and_the_end_of_a_run_is_mended(runs, client, experiment):
    first = MlflowTracker(experiment, runs)
    _, trial = sweep(first)
    assert first.close(timeout=30)
    client.update_run(trial.id, status="RUNNING")
    second = MlflowTracker(experiment, runs)
    sweep(second)
    assert second.close(timeout=30)
    assert client.get_run(trial.id).info.status == "FINISHED"


def test_a_failed_trial_is_failed_and_runs_again_when_tried_again(runs, client, experiment):
    tracker = MlflowTracker(experiment, runs)
    _, trial = sweep(tracker, epochs=1, state="failed")
    assert tracker.close(timeout=30)
    assert client.get_run(trial.id).info.status == "FAILED"
    again = MlflowTracker(experiment, runs)
    sweep(again, epochs=2, state=None)
    assert again.close(timeout=30)
    assert client.get_run(trial.id).info.status == "RUNNING"


def test_why_a_trial_had_failed_is_not_said_of_one_that_was_tried_again(runs, client, experiment):
    tags = {"failed": {"sweeper.reason": "killed (3 tries)"}, "complete": {}}
    for state in ("failed", "failed", "complete"):
        tracker = MlflowTracker(experiment, runs)
        _, trial = sweep(tracker, state=None)
        tracker.finish(trial, state, tags=tags[state])
        assert tracker.close(timeout=30)
        stored = client.get_run(trial.id)
        assert stored.data.tags["sweeper.state"] == state
        assert stored.data.tags.get("sweeper.reason") == tags[state].get("sweeper.reason")
    assert len(stored_runs(client, experiment)) == 2


def test_trackers_started_together_share_their_runs(runs, client, experiment):
    trackers = [MlflowTracker(experiment, runs) for _ in range(3)]
    threads = [threading.Thread(target=sweep, args=(tracker,)) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(tracker.close(timeout=30) for tracker in trackers)
    assert len(stored_runs(client, experiment)) == 2
    _, child = stored_runs(client, experiment)
    assert [point.step for point in client.get_metric_history(child.info.run_id, "val_loss")] == [1, 2, 3]


def test_a_run_that_another_machine_made_meanwhile_is_shared(runs, client, experiment, monkeypatch):
    store = MlflowStore(experiment, runs, default_uri(runs))
    theirs = client.create_run(store.experiment_id, start_time=1, tags={"sweeper.id": "x", "theirs": "yes"})
    with one_at_a_time(runs / "mlflow.lock") as turn:
        found, is_new = RunList(client, store.experiment_id, is_shared=True).create({"sweeper.id": "x"}, "o", {}, turn)
    assert (found.id, is_new) == (theirs.info.run_id, False)
    assert len(stored_runs(client, experiment)) == 1


def test_non_finite_figures_are_logged_and_absent_ones_are_not(runs, client, experiment):
    tracker = MlflowTracker(experiment, runs)
    study = tracker.study("lr", "s", {}, {})
    trial = tracker.trial(study, "k", "t", {}, {})
    tracker.epochs(trial, [epoch(1, math.nan, accuracy=None), epoch(2, math.inf, accuracy=None)])
    tracker.finish(trial, "diverged")
    assert tracker.close(timeout=30)
    data = client.get_run(trial.id).data
    assert math.isnan(client.get_metric_history(trial.id, "val_loss")[0].value)
    assert "val_accuracy" not in data.metrics
    assert data.tags["sweeper.state"] == "diverged"


def test_names_with_quotes_and_long_values_break_nothing(runs, client, experiment):
    tracker = MlflowTracker('it\'s "x" ../../ 실험; DROP', runs)
    study = tracker.study("a'b\"`", "id ' or ''=' `", {f"p{i}": "x" * 9000 for i in range(150)}, {"t": "y" * 9000})
    again = tracker.study("a'b\"`", "id ' or ''=' `", {}, {})
    assert tracker.close(timeout=30)
    assert study.id == again.id
    assert len(client.get_run(study.id).data.params) == 150
    assert {path.parent for path in (runs / "mlartifacts").glob("*")} <= {runs / "mlartifacts"}


def test_an_experiment_in_mlflows_bin_is_brought_back(runs, client, experiment):
    client.delete_experiment(client.create_experiment(experiment, artifact_location=runs.as_uri()))
    tracker = MlflowTracker(experiment, runs)
    sweep(tracker)
    assert tracker.close(timeout=30)
    assert len(stored_runs(client, experiment)) == 2


def test_a_deleted_run_does_not_hold_up_the_rest(runs, client, experiment):
    warnings: list[str] = []
    tracker = MlflowTracker(experiment, runs, warn=warnings.append)
    study, trial = sweep(tracker, epochs=1, state=None)
    while "val_loss" not in trial.logged:  # deleted earlier, it would be found missing and made anew
        time.sleep(0.01)
    client.delete_run(trial.id)
    for _ in range(2):
        tracker.epochs(trial, CURVE)
    other = tracker.trial(study, "k2", "other", {}, {})
    assert not tracker.close(timeout=30)
    assert other.id is not None
    assert len(warnings) == 1
    assert "refused" in warnings[0]


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def test_a_dead_server_keeps_nobody_waiting_and_is_told_once_without_the_password(runs):
    warnings: list[str] = []
    uri = f"http://user:secret@127.0.0.1:{free_port()}"
    tracker = MlflowTracker("dead", runs, uri, warn=warnings.append)
    start = time.monotonic()
    sweep(tracker)
    assert time.monotonic() - start < 0.5
    assert not tracker.close(timeout=1)
    assert time.monotonic() - start < 3
    assert len(warnings) == 1
    assert "behind" in warnings[0]
    assert "secret" not in warnings[0]
    assert "refused" in warnings[0]


def test_a_silent_server_keeps_nobody_waiting(runs):
    with socket.socket() as server:  # accepts connections and never answers
        server.bind(("127.0.0.1", 0))
        server.listen()
        tracker = MlflowTracker("silent", runs, f"http://127.0.0.1:{server.getsockname()[1]}", warn=lambda _: None)
        start = time.monotonic()
        sweep(tracker)
        assert not tracker.close(timeout=1)
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("uri", ["foo://host", "mlruns", "/some/folder", "file:///x"])
def test_a_uri_without_a_store_is_refused_at_once(runs, uri):
    with pytest.raises(UserError, match=r"tracking\.uri"):
        MlflowTracker("x", runs, uri)


def test_nothing_is_printed_and_nothing_written_beside_runs(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom sweeper.tracking import MlflowTracker\n"
        "assert 'mlflow' not in sys.modules\n"
        "t = MlflowTracker('x', Path('runs'))\ns = t.study('lr', 'lr-1', {}, {})\n"
        "t.finish(s, 'complete', artifacts={'a.txt': 'a'})\nassert t.close(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(sweeper.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


def test_no_tracker_takes_the_same_calls():
    tracker = NoTracker()
    study = tracker.study("lr", "s", {}, {})
    tracker.epochs(tracker.trial(study, "k", "t", {}, {}), CURVE)
    tracker.finish(study, "complete", at_overfit=CURVE[1])
    assert tracker.close()


def test_params_are_flat_and_read_as_on_a_command_line():
    assert flat({"a": {"b": [1, 2], "c": None}, "d": True, "e": {}, "f": "한글"}) == {
        "a.b": "[1, 2]", "a.c": "null", "d": "true", "e": "{}", "f": "한글",
    }  # fmt: skip


def tiny_export(folder: Path) -> Path:
    from transformers import BertConfig, BertForSequenceClassification

    from sweeper.data.tokens import load_tokenizer

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    tokenizer = load_tokenizer("ko-mini")
    BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_an_export_is_registered_once_and_loads_from_the_registry(runs, client, experiment, tmp_path):
    tracker = MlflowTracker(experiment, runs)
    sweep(tracker)
    assert tracker.close(timeout=30)
    store = MlflowStore(experiment, runs, default_uri(runs))
    folder = tiny_export(tmp_path / "export")
    assert [store.register("k1", folder, "감정 model"), store.register("k1", folder, "감정 model")] == ["1", "1"]
    version = client.get_model_version("감정 model", "1")
    assert version.tags["sweeper.key"] == "k1"
    place = Path(client.download_artifacts(version.run_id, "model", str(tmp_path)))
    assert (place / "MLmodel").is_file()


def test_a_trial_trained_without_tracking_can_be_registered_and_nobody_is_asked_about_it(
    runs, client, experiment, tmp_path, monkeypatch
):
    asked: list[object] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *_, **__: asked.append(host) or [])
    store = MlflowStore(experiment, runs, default_uri(runs))
    assert store.register("untracked", tiny_export(Path("exports/name")), "untracked") == "1"
    assert [host for host in asked if host != "127.0.0.1"] == []  # that one: the dead server of an earlier test
