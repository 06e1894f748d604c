"""One trial on its files: what it leaves, and that a trial cut off anywhere ends as if undisturbed."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from sweeper.config import compose, plain
from sweeper.study.files import read_curve
from sweeper.study.locks import Busy, locked
from sweeper.study.prepare import prepare
from sweeper.study.record import PREDICTIONS, RECORD, WEIGHTS, TrialRecord
from sweeper.study.task import LOCK, START, TrialTask, failed_record, task_from
from sweeper.study.trial import run_trial
from sweeper.training.checkpoint import sha256

TIMES = ("seconds", "sentences_per_second", "peak_memory_mb", "peak_rss_mb", "peak_gpu_mb")


class Killed(Exception):
    """Stands for a kill at this moment."""


@pytest.fixture(scope="module")
def study(tmp_path_factory, tiny_encoder, tiny_table):
    runs = tmp_path_factory.mktemp("trial") / "runs"
    overrides = [
        "data=table",
        f"data.path={tiny_table}",
        f"model={tiny_encoder}",
        f"paths.runs={runs}",
        "study=single",
        "optimizer.lr=3e-2",
        "train.batch_size=8",
        "train.epochs=4",
        "train.early_stop.monitor=null",
        "data.max_length=16",
    ]
    return prepare(plain(compose(overrides)), lambda _: None)


@pytest.fixture
def task(study, tmp_path):
    point = study.points.known[0]
    return TrialTask(
        point.key, point.varied, point.config, str(tmp_path / point.key), str(study.corpus.folder), 1, "cpu", "float32"
    )


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    point = study.points.known[0]
    folder = tmp_path_factory.mktemp("undisturbed")
    return run_trial(
        TrialTask(point.key, point.varied, point.config, str(folder), str(study.corpus.folder), 1, "cpu", "float32"),
        lambda _: None,
    )


def folder_of(task):
    from pathlib import Path

    return Path(task.folder)


def without_times(record):
    plain_record = json.loads(json.dumps(asdict(record)))
    for epoch in plain_record["curve"]:
        for name in TIMES:
            epoch.pop(name)
    return plain_record


def kill_after(epochs):
    def on_epoch(epoch):
        if epoch.epoch == epochs:
            raise Killed

    return on_epoch


def test_a_finished_trial_leaves_record_curve_weights_and_predictions(task, study):
    seen = []
    record = run_trial(task, seen.append)
    folder = folder_of(task)
    assert record.state == "complete"
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]
    assert tuple(read_curve(folder)) == record.curve == tuple(seen)
    assert TrialRecord.read(folder) == record
    assert sha256(folder / WEIGHTS) == record.weights_sha256
    predictions = np.load(folder / PREDICTIONS)
    assert float(np.mean(predictions == study.corpus.validation.labels)) == pytest.approx(
        record.at_overfit.val_accuracy
    )
    assert {path.name for path in folder.iterdir()} == {RECORD, WEIGHTS, PREDICTIONS, LOCK, START, "curve.jsonl"}


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_trial_cut_off_after_any_epoch_ends_as_if_undisturbed(task, undisturbed, epochs):
    with pytest.raises(Killed):
        run_trial(task, kill_after(epochs))
    assert without_times(run_trial(task, lambda _: None)) == without_times(undisturbed)


def test_epochs_already_trained_are_told_again_and_not_trained_again(task):
    with pytest.raises(Killed):
        run_trial(task, kill_after(2))
    before, seen = read_curve(folder_of(task)), []
    run_trial(task, seen.append)
    assert seen[:2] == before  # the very same seconds: these lines were read, not made


def test_a_line_of_an_epoch_whose_state_is_lost_is_trained_again(task, undisturbed):
    with pytest.raises(Killed):
        run_trial(task, kill_after(2))
    with (folder_of(task) / "curve.jsonl").open("a") as file:
        file.write('{"epoch": 3, "train_')
    assert without_times(run_trial(task, lambda _: None)) == without_times(undisturbed)


def test_a_damaged_state_is_noticed_and_the_epoch_before_is_used(task, undisturbed):
    with pytest.raises(Killed):
        run_trial(task, kill_after(3))
    newest = max(folder_of(task).glob("state-*.pt"))
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        record = run_trial(task, lambda _: None)
    assert without_times(record) == without_times(undisturbed)


def test_a_flipped_byte_in_kept_weights_is_noticed(task, undisturbed):
    with pytest.raises(Killed):
        run_trial(task, kill_after(2))
    weights = max(folder_of(task).glob("weights-*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        record = run_trial(task, lambda _: None)
    assert without_times(record) == without_times(undisturbed)


def test_a_finished_trial_is_not_trained_again(task):
    first = run_trial(task, lambda _: None)
    assert run_trial(task, kill_after(1)) == first


def test_a_trial_that_somebody_trains_is_busy(task):
    with locked(folder_of(task) / LOCK), pytest.raises(Busy):
        run_trial(task, lambda _: None)


def test_a_resumed_trial_keeps_its_number_of_threads(task):
    with pytest.raises(Killed):
        run_trial(task, kill_after(1))
    assert run_trial(replace(task, threads=2), lambda _: None).threads == 1
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("content", ["", '{"threads": 1, "var', "[]", "{}"])
def test_a_damaged_start_file_is_said_and_written_again(task, undisturbed, content):
    with pytest.raises(Killed):
        run_trial(task, kill_after(2))
    whole = (folder_of(task) / START).read_text()
    (folder_of(task) / START).write_text(content)
    with pytest.warns(UserWarning, match="trial.json is damaged"):
        record = run_trial(task, lambda _: None)
    assert without_times(record) == without_times(undisturbed)
    assert (folder_of(task) / START).read_text() == whole


def test_a_non_finite_loss_ends_the_trial_as_diverged_with_its_epoch(task):
    config = json.loads(json.dumps(task.config))
    config["optimizer"] |= {"lr": 1e30, "name": "sgd"}
    record = run_trial(replace(task, config=config), lambda _: None)
    assert record.state == "diverged"
    assert record.reason == f"loss is not finite in epoch {len(record.curve)}"
    assert record.score == -np.inf


def test_a_failed_point_keeps_its_curve_and_reason(task):
    with pytest.raises(Killed):
        run_trial(task, kill_after(2))
    record = failed_record(task, "d", "killed three times")
    assert (record.state, record.reason, len(record.curve)) == ("failed", "killed three times", 2)
    assert not list(folder_of(task).glob("state-*"))


OVERFIT = {"prune": "overfit", "stopped_by": "overfit"}


@pytest.fixture(scope="module")
def eight(study):
    """A point of eight epochs, so that losses do rise, without its folder."""
    point = study.points.known[0]
    config = {**point.config, "train": {**point.config["train"], "epochs": 8}}
    return TrialTask(point.key, point.varied, config, "", str(study.corpus.folder), 1, "cpu", "float32")


@pytest.fixture(scope="module")
def whole(eight, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run_trial(replace(eight, folder=str(folder)), lambda _: None)


def test_pruning_at_the_overfitting_point_changes_neither_score_nor_weights(eight, whole, tmp_path):
    pruned, (folder, full) = replace(eight, folder=str(tmp_path / "pruned"), **OVERFIT), whole
    with pytest.raises(Killed):
        run_trial(pruned, kill_after(full.overfit_epoch))
    record = run_trial(pruned, lambda _: None)
    assert (record.state, record.stopped_by, record.reason) == ("pruned", "overfit", None)
    assert full.overfit_reached
    assert len(record.curve) == full.overfit_epoch + 1 < len(full.curve)
    assert record.score == full.score > -np.inf
    assert (record.overfit_epoch, record.weights_sha256) == (full.overfit_epoch, full.weights_sha256)
    for name in (WEIGHTS, PREDICTIONS):
        assert sha256(folder_of(pruned) / name) == sha256(folder / name)
    assert without_times(record)["curve"] == without_times(full)["curve"][: len(record.curve)]

    asked = replace(pruned, prune="none", stopped_by=None)  # later, for the whole curve
    with pytest.raises(Killed):
        run_trial(asked, kill_after(3))
    assert TrialRecord.read(folder_of(asked)) == record  # until there is a better one
    assert without_times(run_trial(asked, lambda _: None)) == without_times(full)
    assert run_trial(pruned, kill_after(1)).state == "complete"  # and that one answers both


def test_extra_epochs_after_the_overfitting_point_change_the_curve_alone(eight, whole, tmp_path):
    record = run_trial(replace(eight, folder=str(tmp_path), extra_epochs=1, **OVERFIT), lambda _: None)
    assert len(record.curve) == whole[1].overfit_epoch + 2
    assert (record.score, record.weights_sha256) == (whole[1].score, whole[1].weights_sha256)


def test_whoever_watches_can_stop_a_trial_which_is_then_no_candidate(task):
    judged = replace(task, prune="median", stopped_by="median in made/grid@1")
    record = run_trial(judged, lambda epoch: epoch.epoch == 2)
    assert (record.state, record.reason, len(record.curve)) == ("pruned", "by median after epoch 2", 2)
    assert record.overfit_reached or record.score == -np.inf
    assert run_trial(judged, kill_after(1)) == record


def test_a_trial_stopped_after_its_last_epoch_is_complete(task, undisturbed):
    judged = replace(task, prune="median", stopped_by="median in made/grid@1")
    assert without_times(run_trial(judged, lambda epoch: epoch.epoch == 4)) == without_times(undisturbed)


def test_a_task_survives_its_json_form(task):
    assert task_from(json.loads(json.dumps(asdict(task)))) == task
