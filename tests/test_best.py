"""`python -m sweeper.best`: who wins, tested once, frozen with all that belongs to it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from transformers import pipeline

from sweeper.best import main
from sweeper.config import compose, plain
from sweeper.errors import UserError
from sweeper.study.locks import locked
from sweeper.study.prepare import prepare
from sweeper.study.record import TrialRecord
from sweeper.study.task import LOCK, TrialTask
from sweeper.study.trial import run_trial
from sweeper.winner import choice
from sweeper.winner.choice import Winner, choose
from sweeper.winner.publishing import push, register


@pytest.fixture(scope="module")
def swept(tiny_encoder: Path, tiny_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `runs` folder with a real 2×1 grid, three labels, trained for two epochs."""
    runs = tmp_path_factory.mktemp("swept") / "runs"
    return train(runs, tiny_encoder, tiny_table)


def train(runs: Path, encoder: Path, table: Path, *more: str) -> Path:
    given = {
        "data": "table", "data.path": table, "data.text": "text", "data.label": "label", "data.max_length": 16,
        "model": encoder, "name": "mine", "study": "grid", "study.lr": "[1e-2,1e-4]", "study.batch_size": "[16]",
        "train.epochs": 2, "train.precision": "float32", "paths.runs": runs,
    }  # fmt: skip
    config = plain(compose([*(f"{key}={value}" for key, value in given.items()), *more]))
    prepared = prepare(config, lambda _: None)
    for point in prepared.points.known:
        task = TrialTask(
            key=point.key, varied=point.varied, config=point.config, folder=str(prepared.trials / point.key),
            corpus=str(prepared.corpus.folder), threads=1, device="cpu", precision="float32",
        )  # fmt: skip
        run_trial(task, lambda _: None)
    return runs


@pytest.fixture
def runs(swept: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; the newest record stays the newest."""
    return Path(shutil.copytree(swept, tmp_path / "runs"))


def call(runs: Path, *arguments: str) -> int:
    return main(["--runs", str(runs), "--exports", str(runs.parent / "exports"), *arguments])


def printed_json(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_before_any_study_it_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="make sweep"):
        call(tmp_path / "runs")


def test_an_unknown_experiment_is_told_with_those_there_are(runs):
    with pytest.raises(UserError, match=r"experiment other: .*of mine only. Name one"):
        call(runs, "--experiment", "other")
    with pytest.raises(UserError, match=r"did you mean mine\?"):
        call(runs, "--experiment", "mime")


def test_while_trials_are_trained_there_is_no_winner_and_the_test_split_is_not_read(runs):
    [first, *_] = sorted((runs / "mine/trials").iterdir())
    with locked(first / LOCK), pytest.raises(UserError, match="1 of its trials are being trained"):
        call(runs, "--export")
    assert not (runs / "mine/test").exists()
    assert not (runs.parent / "exports").exists()


def test_a_setting_is_not_taken_for_an_exports_folder(runs, capsys):
    with pytest.raises(SystemExit):
        call(runs, "--export", "paths.runs=elsewhere")
    assert "a setting, not a folder; this command takes --runs DIR" in capsys.readouterr().err


def test_the_winner_is_the_best_at_the_overfitting_point(runs, capsys):
    assert call(runs, "--json") == 0
    told = printed_json(capsys)
    scores = {trial["key"]: trial["at_overfitting_point"]["val_accuracy"] for trial in told["trials"]}
    assert len(scores) == 2
    assert scores[told["winner"]["key"]] == max(scores.values())
    assert told["winner"]["test"]["accuracy"] == told["test"]["accuracy"]


def test_the_terminal_shows_table_winner_and_test_report(runs, capsys):
    assert call(runs) == 0
    out = capsys.readouterr().out
    for part in ("★", "overfitting", "Winner: lr=", "macro average", "Confusion matrix", "기쁨"):
        assert part in out


def test_the_test_split_is_read_once(runs, capsys, monkeypatch):
    call(runs, "--json")
    first = printed_json(capsys)
    monkeypatch.setattr("sweeper.export.test_report", lambda *_: pytest.fail("read again"))
    call(runs, "--json")
    assert printed_json(capsys) == first


def test_an_export_is_a_pipeline_with_card_config_and_winner(runs, capsys):
    assert call(runs, "--export", "--json") == 0
    told = printed_json(capsys)
    folder = Path(told["export"])
    assert folder == runs.parent / "exports" / "mine"
    assert pipeline("text-classification", str(folder))("기쁜 영화")[0]["label"] in ("기쁨", "슬픔", "보통")
    assert json.loads((folder / "winner.json").read_text(encoding="utf-8")) == told["winner"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("library_name: transformers", "## Data", "## Settings", "## Trials", "★", "## Test", "## Limits"):
        assert part in card
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["optimizer"]["lr"] == told["winner"]["lr"]
    assert {key: value for key, value in config["study"].items() if value and key != "budget"} == {"name": "single"}
    assert set(config["study"]["budget"].values()) == {None}


def test_no_sentence_of_the_data_is_in_the_export(runs, tiny_table):
    call(runs, "--export")
    sentences = [line.rsplit(",", 1)[0] for line in tiny_table.read_text(encoding="utf-8").splitlines()[1:]]
    for name in ("README.md", "winner.json", "config.yaml"):
        text = (runs.parent / "exports/mine" / name).read_text(encoding="utf-8")
        assert not [sentence for sentence in sentences if sentence in text]


def test_no_folder_of_this_machine_is_in_the_export(runs, swept, tiny_encoder, tiny_table):
    call(runs, "--export")
    files = [path for path in (runs.parent / "exports/mine").iterdir() if path.suffix in (".json", ".md", ".yaml")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    assert len(texts) > 4
    for folder in (tiny_encoder.parent, tiny_table.parent, swept.parent):
        assert not [text for text in texts if str(folder) in text]


def test_exporting_onto_something_is_refused_before_the_test_split_is_read(runs, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        call(runs, "--export", str(tmp_path / "taken"))
    assert not (runs / "mine/test").exists()


def test_trials_on_other_data_are_left_out_and_counted(runs, capsys):
    old = next((runs / "mine/trials").glob("*/record.json")).parent
    record = TrialRecord.read(old)
    other = replace(record, key="other", data="elsewhere", config={**record.config, "model": "x"})
    (runs / "mine/trials/other").mkdir()
    other.write(runs / "mine/trials/other")
    for path in (runs / "mine/trials").glob("*/record.json"):
        os.utime(path, (1000, 1000 if path.parent.name == "other" else 2000))
    chosen = choose(runs)
    assert chosen.left_out == 1
    assert "other" not in [one.key for one in chosen.records]


def test_the_experiment_trained_last_is_taken_and_the_others_are_named(runs, capsys):
    shutil.copytree(runs / "mine", runs / "older")
    for path in runs.glob("*/trials/*/record.json"):
        os.utime(path, (1000, 2000 if path.parts[-4] == "mine" else 1000))
    call(runs)
    out = capsys.readouterr().out
    assert "Experiment mine" in out
    assert "older" in out


def test_without_a_complete_trial_there_is_no_winner_and_the_reasons_are_told(runs):
    for path in (runs / "mine/trials").glob("*/record.json"):
        record = TrialRecord.read(path.parent)
        replace(record, state="diverged", reason="loss is not finite in epoch 1").write(path.parent)
    with pytest.raises(UserError, match=r"no trial is complete.*not finite"):
        call(runs)


@pytest.mark.parametrize("content", ["{", "[]", '{"curve": []}'])
def test_a_record_that_cannot_be_read_is_told_with_the_way_out(content, runs):
    damaged = next((runs / "mine/trials").glob("*/record.json"))
    damaged.write_text(content)
    with pytest.raises(UserError, match=rf"{damaged.parent.name}.*Remove its folder and sweep again"):
        call(runs, "--json")


def test_data_that_changed_since_the_sweep_is_noticed(runs, monkeypatch):
    winner = Winner(choose(runs))
    record = replace(winner.choice.winner, data="before")
    winner.choice = replace(winner.choice, records=(record,))
    with pytest.raises(UserError, match="data has changed"):
        _ = winner.corpus


def test_nothing_but_json_is_on_standard_output(runs, capfd):
    call(runs, "--export", "--json")
    out = capfd.readouterr().out
    assert out.count("\n") == 1
    json.loads(out)


def test_ties_go_to_the_lower_loss_then_to_fewer_epochs(runs):
    folder = next((runs / "mine/trials").glob("*/record.json")).parent
    record = TrialRecord.read(folder)
    first, last = record.curve
    ties = {
        "high": [replace(first, val_accuracy=0.5, val_loss=0.9)],
        "late": [replace(first, val_accuracy=0.1, val_loss=0.9), replace(last, val_accuracy=0.5, val_loss=0.8)],
        "early": [replace(first, val_accuracy=0.5, val_loss=0.8)],
    }
    for path in (runs / "mine/trials").iterdir():
        shutil.rmtree(path)
    for key, curve in ties.items():
        (runs / "mine/trials" / key).mkdir()
        replace(record, key=key, curve=tuple(curve), overfit_epoch=len(curve)).write(runs / "mine/trials" / key)
    assert [one.key for one in choose(runs).records] == ["early", "late", "high"]


def test_of_several_seeds_the_best_one_of_the_best_mean_is_exported_and_said_so(
    tiny_encoder, tiny_table, tmp_path, capsys
):
    runs = train(tmp_path / "runs", tiny_encoder, tiny_table, "study.seeds=[0,1]")
    scores = {(1e-2, 0): 0.9, (1e-2, 1): 0.2, (1e-4, 0): 0.6, (1e-4, 1): 0.7}
    for path in (runs / "mine/trials").glob("*/record.json"):
        record = TrialRecord.read(path.parent)
        score = scores[record.varied["lr"], record.varied["seed"]]
        curve = tuple(replace(epoch, val_accuracy=score) for epoch in record.curve)
        replace(record, curve=curve).write(path.parent)
    assert call(runs, "--export", "--json") == 0
    told = printed_json(capsys)
    assert (told["winner"]["lr"], told["winner"]["seed"]) == (1e-4, 1)
    assert told["winner"]["over_seeds"] == told["configurations"][0]
    assert told["configurations"][0]["mean"] == pytest.approx(0.65)
    assert [one["verdict"] for one in told["configurations"]] == ["winner", "same"]
    assert yaml.safe_load((Path(told["export"]) / "config.yaml").read_text(encoding="utf-8"))["train"]["seed"] == 1
    card = (Path(told["export"]) / "README.md").read_text(encoding="utf-8")
    assert "those of seed 1, **the best of its seeds** (seed 0 0.6000, seed 1 0.7000)" in card
    assert call(runs) == 0
    shown = capsys.readouterr().out
    assert "Winner: lr=0.0001 bs=16, val acc 0.6500 ± 0.6353 over 2 seeds" in shown
    assert "Cannot be told from it, seed by seed: lr=0.01 bs=16" in shown
    assert "Its weights are those of seed 1" in shown
    assert shown.count("complete") == 0
    assert call(runs, "--trials") == 0
    assert capsys.readouterr().out.count("complete") == 4


def test_a_configuration_that_still_lacks_seeds_is_no_match_for_one_that_has_them(tiny_encoder, tiny_table, tmp_path):
    runs = train(tmp_path / "runs", tiny_encoder, tiny_table, "study.seeds=2")
    [first, *_] = [one for one in choose(runs).configurations if one.best.varied["lr"] == 1e-2]
    for record in first.trials:
        curve = tuple(replace(epoch, val_accuracy=0.99) for epoch in record.curve)
        replace(record, curve=curve).write(runs / "mine/trials" / record.key)
    assert choose(runs).winner.varied["lr"] == 1e-2
    shutil.rmtree(runs / "mine/trials" / first.trials[1].key)  # as if it had not been begun
    chosen = choose(runs)
    assert chosen.winner.varied["lr"] == 1e-4
    assert [one.missing for one in chosen.configurations] == [(), (first.trials[1].varied["seed"],)]


class FakeHub:
    """Notes what would have been uploaded."""

    def __init__(self, private: bool = True, error: Exception | None = None) -> None:
        self.private, self.error = private, error
        self.calls: list[tuple[str, dict]] = []

    def create_repo(self, repo: str, **given: object) -> str:
        if self.error:
            raise self.error
        self.calls.append(("create", {"repo": repo, **given}))
        return f"https://hub/{repo}"

    def model_info(self, repo: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **given: object) -> None:
        self.calls.append(("upload", given))


def test_a_push_is_private_unless_said_otherwise(tmp_path):
    hub = FakeHub()
    assert push(tmp_path, "me/model", public=False, api=hub) == "https://hub/me/model"
    assert hub.calls[0] == ("create", {"repo": "me/model", "private": True, "exist_ok": True})
    assert hub.calls[1][1]["folder_path"] == str(tmp_path)
    hub = FakeHub(private=False)
    push(tmp_path, "me/model", public=True, api=hub)
    assert hub.calls[0][1]["private"] is False


def test_a_private_push_does_not_go_to_a_public_repository(tmp_path):
    hub = FakeHub(private=False)
    with pytest.raises(UserError, match="public"):
        push(tmp_path, "me/model", public=False, api=hub)
    assert [name for name, _ in hub.calls] == ["create"]


def test_a_hub_that_refuses_is_told_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match="hf auth login"):
        push(tmp_path, "me/model", public=False, api=FakeHub(error=ValueError("401 Unauthorized")))


def test_an_export_that_is_there_is_pushed_without_being_made_again(runs, monkeypatch, capsys):
    call(runs, "--export")
    pushed: list[Path] = []
    monkeypatch.setattr("sweeper.winner.publishing.push", lambda folder, repo, public: pushed.append(folder) or repo)
    assert call(runs, "--push", "me/model") == 0
    assert pushed == [runs.parent / "exports/mine"]


def test_a_registry_that_is_away_is_told(runs, monkeypatch):
    record = choose(runs).winner
    config = {**record.config, "tracking": {"name": "mlflow", "uri": "http://127.0.0.1:9"}}
    with pytest.raises(UserError, match="--register m"):
        register(replace(record, config=config), runs, "m", runs)


def test_a_tracking_password_is_asked_for_not_stored(runs, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    record = choose(runs).winner
    config = {**record.config, "tracking": {"name": "mlflow", "uri": "https://u:***@host"}}
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        register(replace(record, config=config), runs, "m", runs)


@pytest.fixture(scope="module")
def made(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Runs with two labels (one logit) or with a number for a label."""

    def make(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        labels = ("좋음", "싫음") if kind == "binary" else ("0.5", "2.5")
        rows = [f"{'기쁜' if i % 2 else '슬픈'} 날 {i},{labels[i % 2]}" for i in range(100)]
        (folder / "rows.csv").write_text("text,label\n" + "\n".join(rows), encoding="utf-8")
        task = "data.task=regression" if kind == "numbers" else "data.task=classification"
        return train(folder / "runs", tiny_encoder, folder / "rows.csv", task)

    return make


@pytest.mark.parametrize("kind", ["binary", "numbers"])
def test_two_labels_and_numbers_are_tested_and_frozen_too(kind, made, capsys):
    runs = made(kind)
    assert call(runs, "--export", "--json") == 0
    told = printed_json(capsys)
    given = pipeline("text-classification", told["export"])("기쁜 날")[0]
    if kind == "binary":
        assert given["label"] in ("좋음", "싫음")
        assert given["score"] >= 0.5
        assert told["winner"]["test"]["accuracy"] > 0.4
    else:
        assert "mse" in told["winner"]["test"]
        assert told["winner"]["at_overfitting_point"]["val_accuracy"] is None
    assert call(runs) == 0
    assert choice.Winner(choose(runs)).report is not None
