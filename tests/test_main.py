"""The whole way through the command line: a real 2×1 grid, what it leaves in Optuna and MLflow, and its winner."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest

from sweeper.__main__ import main
from sweeper.study.configurations import winner_of
from sweeper.study.record import RECORD, WEIGHTS
from tests.command_line import command, overrides, records


def test_a_sweep_shows_epochs_time_left_and_the_winner(swept):
    out = swept[1].stdout
    assert "epoch 1/3" in out
    assert "left" in out
    assert "Winner: lr=" in out
    assert "-m sweeper.best --experiment rows --export" in out


def test_a_search_trains_its_budget_and_is_told_by_all_that_varies(tiny_encoder, tiny_table, tmp_path):
    from sweeper.report import main as report

    given = [one for one in overrides(tiny_encoder, tiny_table) if not one.startswith(("study", "train.batch_size"))]
    ranges = ["study.lr=[1e-3,5e-2]", "study.batch_size=[8,16]", "study.dropout=[0,0.3]", "study.budget.epochs=6"]
    done = command("sweeper", *given, "study=search", *ranges, "tracking=none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rows · search study: 6 epochs (tpe)" in done.stdout
    assert "[2/2 trials]" in done.stdout
    found = {record.key: record for record in records(tmp_path)}
    [file] = tmp_path.glob("runs/rows/studies/search@*.json")
    listed = json.loads(file.read_text(encoding="utf-8"))["trials"]
    assert {key: record.varied for key, record in found.items()} == listed
    assert any(f"Winner: {record.name}" in done.stdout for record in found.values())
    page, figures = tmp_path / "page.html", tmp_path / "result.json"
    report(["--runs", str(tmp_path / "runs"), "--output", str(page), "--no-baseline", "--record", str(figures)])
    text = page.read_text(encoding="utf-8")
    assert all(f" dropout={one['dropout']}" in text for one in listed.values())
    [again] = json.loads(figures.read_text(encoding="utf-8"))["commands"]
    assert {"study=search", "study.budget.epochs=6", "study.budget.trials=null"} <= set(again.split())


def test_a_sweep_writes_under_runs_only(swept):
    assert [path.name for path in swept[0].iterdir()] == ["runs"]


def test_optuna_holds_every_point_once(swept):
    import optuna

    from sweeper.study.ledger import open_storage

    storage = open_storage(None, swept[0] / "runs")
    [name] = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert name.startswith("rows/lr@")
    assert sorted(t.params["lr"] for t in study.trials) == [1e-2, 3e-2]
    assert {t.state.name for t in study.trials} == {"COMPLETE"}
    assert study.best_value == max(record.score for record in records(swept[0]))


def test_mlflow_holds_study_trials_and_every_epoch(swept):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept[0]}/runs/mlflow.db")
    experiment = client.get_experiment_by_name("rows")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"lr", "lr=0.03 bs=8", "lr=0.01 bs=8"}
    run = runs["lr=0.01 bs=8"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == runs["lr"].info.run_id
    assert run.data.params["optimizer.lr"] == "0.01"
    history = client.get_metric_history(run.info.run_id, "val_loss")
    [record] = [r for r in records(swept[0]) if r.varied["lr"] == 1e-2]
    assert [(m.step, m.value) for m in history] == [(e.epoch, e.val_loss) for e in record.curve]
    assert run.data.metrics["at_overfit.val_accuracy"] == record.score
    assert run.data.tags["sweeper.key"] == record.key
    assert {"curve.html", "data_card.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}


def test_only_the_winners_weights_stay(swept):
    best = max(records(swept[0]), key=lambda record: record.score)
    assert [path.parent.name for path in swept[0].glob(f"runs/rows/trials/*/{WEIGHTS}")] == [best.key]


def test_the_same_command_again_trains_nothing(swept, tiny_encoder, tiny_table):
    before = {path: path.stat().st_mtime_ns for path in swept[0].glob(f"runs/rows/trials/*/{RECORD}")}
    again = command("sweeper", *overrides(tiny_encoder, tiny_table), cwd=swept[0])
    assert again.returncode == 0
    assert "epoch 1/3" not in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_winner_is_frozen_as_a_folder_that_a_pipeline_loads(swept, tiny_encoder, tiny_table):
    from transformers import pipeline

    folder = swept[0]
    exported = command("sweeper.best", "--export", "frozen", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    winner = json.loads((folder / "frozen" / "winner.json").read_text(encoding="utf-8"))
    best = max(records(folder), key=lambda record: record.score)
    assert winner["overfitting"] == {"epoch": best.overfit_epoch, "reached": best.overfit_reached}
    assert winner["at_overfitting_point"]["val_accuracy"] == best.score
    answer = pipeline("text-classification", str(folder / "frozen"))("기쁜")
    assert answer[0]["label"] in {"기쁨", "슬픔", "보통"}
    assert command("sweeper.best", "--export", "frozen", cwd=folder).returncode == 0  # again: it is there already
    for given in (tiny_encoder, tiny_table):  # the frozen configuration knows their names, not where they lay
        (folder / given.name).symlink_to(given)
    retrained = command("sweeper", "--config", "frozen/config.yaml", cwd=folder)
    assert "taken over" in retrained.stdout, retrained.stderr
    predicted = command("sweeper.predict", "frozen", "--text", "기쁜", "--top-k", "1", cwd=folder)
    assert answer[0]["label"] in predicted.stdout


def test_a_killed_sweep_goes_on_and_ends_as_if_undisturbed(swept, tmp_path, tiny_encoder, tiny_table):
    arguments = [sys.executable, "-m", "sweeper", *overrides(tiny_encoder, tiny_table)]
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("runs/rows/trials/*/state.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert command("sweeper", *overrides(tiny_encoder, tiny_table), cwd=tmp_path).returncode == 0
    expected = {r.key: (r.weights_sha256, [e.val_loss for e in r.curve]) for r in records(swept[0])}
    assert {r.key: (r.weights_sha256, [e.val_loss for e in r.curve]) for r in records(tmp_path)} == expected


def test_seeds_killed_half_way_end_as_if_undisturbed_and_reuse_what_one_seed_had(
    swept, tmp_path, tiny_encoder, tiny_table
):
    given = [*overrides(tiny_encoder, tiny_table), "launcher.workers=1", "launcher.threads=1", "tracking=none"]
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    shutil.copytree(swept[0], killed)
    undisturbed.mkdir()
    assert command("sweeper", *given, "study.seeds=[0,1,2]", cwd=undisturbed).returncode == 0
    arguments = [sys.executable, "-m", "sweeper", *given, "study.seeds=3"]
    process = subprocess.Popen(arguments, cwd=killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(killed.glob(f"runs/rows/trials/*/{RECORD}"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = command("sweeper", *given, "study.seeds=3", cwd=killed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("taken over: already trained") in (4, 5)  # another may have ended before the signal
    expected = {r.key: (r.weights_sha256, [e.val_loss for e in r.curve]) for r in records(undisturbed)}
    assert len(expected) == 6
    assert {r.key: (r.weights_sha256, [e.val_loss for e in r.curve]) for r in records(killed)} == expected
    best = winner_of(records(undisturbed))
    for folder in (undisturbed, killed):
        assert [
            path.parent.name for path in folder.glob(f"runs/rows/trials/*/{WEIGHTS}") if path.parent.name == best.key
        ]
    assert " over 3 seeds (95% interval " in done.stdout
    assert f"Its weights are those of seed {best.config['train']['seed']}, its best" in done.stdout
    frozen = command("sweeper.best", "--export", "frozen", "--json", cwd=killed)
    assert json.loads(frozen.stdout)["winner"]["key"] == best.key


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train.epochs=0"], ["train.epochs", "0"]),
        (["data=table", "data.path=absent.csv"], ["absent.csv"]),
        (["nonsense=1"], ["nonsense"]),
        (["study=nonsense"], ["nonsense", "grid"]),
        (["--config", "absent.yaml"], ["absent.yaml"]),
        (["--config", "a.yaml", "train.epochs=3"], ["nothing else"]),
    ],
)
def test_a_users_mistake_is_told_without_a_traceback(arguments, words, tmp_path):
    done = command("sweeper", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_the_composed_configuration_can_be_shown(capsys):
    assert main(["--cfg", "study=single", "train.epochs=3"]) == 0
    assert "epochs: 3" in capsys.readouterr().out
