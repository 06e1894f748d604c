"""How every study stands, from files and locks alone; one living holder of a lock is a process of its own."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.status import main, study_files
from sweeper.study.record import TrialRecord
from sweeper.training.metrics import EpochMetrics

HOLD = """
import sys
from pathlib import Path
from sweeper.study.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def epoch(number: int) -> EpochMetrics:
    return EpochMetrics(number, 1.1, 0.5 + number, 0.5, 0.5, 0.5, 1e-3, 60.0, 100.0)


def record(key: str, **more) -> TrialRecord:
    return TrialRecord(
        key=key, state="complete", config={"train": {"epochs": 3}}, varied={"lr": 1e-3}, data="d",
        curve=tuple(epoch(i) for i in (1, 2, 3)), overfit_epoch=1, overfit_reached=True, threads=1, device="cpu",
        precision="float32", **more,
    )  # fmt: skip


@pytest.fixture
def runs(tmp_path) -> Path:
    """A study of four trials: done, diverged, begun and waiting."""
    studies, trials = tmp_path / "made" / "studies", tmp_path / "made" / "trials"
    studies.mkdir(parents=True)
    keys = {"k1": 1e-1, "k2": 1e-2, "k3": 1e-3, "k4": 1e-4}
    points = {key: {"lr": lr, "batch_size": 8} for key, lr in keys.items()}
    content = {"study": "lr", "id": "made/lr@1", "trials": points, "config": {"train": {"epochs": 3}}}
    (studies / "lr@1.json").write_text(json.dumps(content))
    for key in ("k1", "k2", "k3"):
        (trials / key).mkdir(parents=True)
    record("k1").write(trials / "k1")
    replace(record("k2"), state="diverged", overfit_epoch=None).write(trials / "k2")
    (trials / "k3" / "trial.json").write_text("{}")
    (trials / "k3" / "curve.jsonl").write_text(json.dumps(asdict(epoch(1))) + "\n" + '{"epoch": 2, "tr')
    (trials / "k3" / "lock").write_text("1 on elsewhere")
    return tmp_path


@pytest.fixture
def holder(runs):
    lock = runs / "made" / "trials" / "k3" / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def printed(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> dict[str, str]:
        """Each printed line by its trial, and the title."""
        assert main(list(arguments)) == 0
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        return {line.split(" bs=")[0] if " bs=" in line else "title" if "@" in line else "": line for line in lines}

    return run


def test_every_trial_is_shown_with_its_state_and_epochs(runs, printed):
    shown = printed("--runs", str(runs))
    assert shown["title"].startswith("made/lr@1: 1 complete, 1 diverged, 1 stopped, 1 waiting")
    for name, state, epochs in (("0.1", "complete", 3), ("0.01", "diverged", 3), ("0.001", "stopped", 1)):
        assert state in shown[f"lr={name}"]
        assert shown[f"lr={name}"].split()[3] == str(epochs)  # after learning rate, batch size and state
    assert "waiting" in shown["lr=0.0001"]


def test_a_trial_runs_where_its_lock_is_held_and_is_stopped_once_the_holder_is_dead(runs, printed, holder):
    running = printed("--runs", str(runs))
    assert "running" in running["lr=0.001"]
    assert f"process {holder.pid} on" in running["lr=0.001"]
    assert time.strftime("%m-%d") in running["lr=0.001"]
    assert "5 min left" in running["title"]  # five epochs of a minute, one at a time
    holder.kill()
    holder.wait()
    assert "stopped" in printed("--runs", str(runs))["lr=0.001"]


@pytest.mark.parametrize("content", ["", '{"key": "k1", "sta', "{}", "[]"])
def test_a_damaged_record_is_shown_as_such(runs, printed, content):
    (runs / "made" / "trials" / "k1" / "record.json").write_text(content)
    shown = printed("--runs", str(runs))
    assert "damaged" in shown["lr=0.1"]
    assert "1 damaged, 1 diverged" in shown["title"]


def test_a_pruned_trial_that_is_trained_to_its_last_epoch_is_running(runs, printed, holder):
    replace(record("k3"), state="pruned", curve=(epoch(1), epoch(2))).write(runs / "made" / "trials" / "k3")
    shown = printed("--runs", str(runs))
    assert "running" in shown["lr=0.001"]
    assert shown["lr=0.001"].split()[3] == "1"
    assert "5 min left" in shown["title"]
    holder.kill()
    holder.wait()
    assert "pruned" in printed("--runs", str(runs))["lr=0.001"]


def test_a_search_shows_its_budget_and_counts_the_trials_to_come(runs, capsys, holder):
    def shown() -> str:
        main(["--runs", str(runs)])
        return " ".join(capsys.readouterr().out.split())  # the title has two lines

    file = runs / "made" / "studies" / "lr@1.json"
    study = json.loads(file.read_text())
    study["config"]["study"] = {"budget": {"trials": 6, "minutes": None, "epochs": None}}
    file.write_text(json.dumps(study))
    assert "1 waiting, budget 6 trials, about 11 min left" in shown()  # two trials of three epochs more
    study["config"]["study"] = {"budget": {"trials": None, "minutes": 9.0, "epochs": None}}
    file.write_text(json.dumps(study))
    assert "left" not in shown()


def test_several_seeds_are_a_row_a_configuration_and_every_trial_can_be_had(runs, printed, holder):
    file = runs / "made" / "studies" / "lr@1.json"
    study = json.loads(file.read_text())
    study["config"]["study"] = {"seeds": 2}
    study["config"]["train"]["seed"] = 0
    places = {"k1": (1e-1, 0), "k2": (1e-1, 1), "k3": (1e-2, 0), "k4": (1e-2, 1)}
    study["trials"] = {key: {"lr": lr, "batch_size": 8, "seed": seed} for key, (lr, seed) in places.items()}
    file.write_text(json.dumps(study))
    replace(record("k2"), varied={"lr": 1e-3, "seed": 1}).write(runs / "made" / "trials" / "k2")
    shown = printed("--runs", str(runs))
    assert shown["title"].startswith("made/lr@1: 2 complete, 1 running, 1 waiting")
    assert shown["lr=0.1"].split() == ["lr=0.1", "bs=8", "2", "complete", "6", "0.5000", "0.0000"]
    assert "1 running, 1 waiting" in shown["lr=0.01"]
    assert f"process {holder.pid} on" in shown["lr=0.01"]
    assert main(["--runs", str(runs), "--trials"]) == 0


def test_of_very_many_configurations_those_under_way_are_listed_and_all_of_them_if_asked_for(
    runs, holder, capsys, monkeypatch
):
    monkeypatch.setattr("sweeper.status.MOST", 1)
    file = runs / "made" / "studies" / "lr@1.json"
    study = json.loads(file.read_text())
    study["config"] |= {"study": {"seeds": 2}, "train": {"epochs": 3, "seed": 0}}
    places = {"k1": (1e-1, 0), "w1": (1e-1, 1), "k3": (1e-2, 0), "w2": (1e-2, 1)}
    study["trials"] = {key: {"lr": lr, "batch_size": 8, "seed": seed} for key, (lr, seed) in places.items()}
    file.write_text(json.dumps(study))
    main(["--runs", str(runs)])
    text = capsys.readouterr().out
    assert "lr=0.01 " in text  # where one is being trained
    assert "lr=0.1 " not in text
    assert "and 1 more: --all lists them" in text
    main(["--runs", str(runs), "--all"])
    text = capsys.readouterr().out
    assert "lr=0.1 " in text
    assert "more" not in text


def test_a_seed_whose_record_is_damaged_has_no_part_in_the_mean(runs, printed):
    file = runs / "made" / "studies" / "lr@1.json"
    study = json.loads(file.read_text())
    study["config"] |= {"study": {"seeds": [3, 4]}, "train": {"epochs": 3, "seed": 0}}
    study["trials"] = {key: {"lr": 1e-1, "batch_size": 8, "seed": seed} for key, seed in (("k1", 3), ("k2", 4))}
    file.write_text(json.dumps(study))
    (runs / "made" / "trials" / "k2" / "record.json").write_text("{")
    assert printed("--runs", str(runs))["lr=0.1"].split() == [
        "lr=0.1", "bs=8", "1", "complete,", "1", "damaged", "3", "0.5000", "–",
    ]  # fmt: skip


def test_a_search_that_has_found_nothing_yet_has_a_table(runs, printed):
    content = {"study": "search", "id": "made/search@1", "trials": {}, "config": {"train": {"epochs": 3}}}
    (runs / "made" / "studies" / "search@1.json").write_text(json.dumps(content))
    assert "made/search@1: no trial yet" in printed("--runs", str(runs))["title"]


def test_looking_takes_no_lock_and_writes_nothing(runs, printed):
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    printed("--runs", str(runs))
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before
    assert (runs / "made" / "trials" / "k3" / "lock").read_text() == "1 on elsewhere"


def test_one_experiment_can_be_chosen(runs):
    assert len(study_files(runs, "made")) == 1
    with pytest.raises(UserError, match=r"no study of other yet \(experiments there: made"):
        study_files(runs, "other")


def test_no_study_at_all_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="make sweep"):
        main(["--runs", str(tmp_path)])


def test_watching_shows_it_until_it_is_interrupted(runs, printed, monkeypatch):
    looks = []

    def interrupt(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("sweeper.status.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        main(["--runs", str(runs), "--watch"])
    assert len(looks) == 2
