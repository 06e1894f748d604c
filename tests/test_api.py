"""The Python interface: what the commands do, as functions that give DataFrames and dataclasses."""

import importlib
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import sweeper
from sweeper import Sweep, UserError, best, predict, sweep
from sweeper.api import configurations_frame, spelled, trials_frame
from sweeper.config import compose
from sweeper.study.configurations import configurations
from tests.reporting import fabricated

SETTINGS = {
    "data": "table", "data.max_length": 16, "study": ["lr", "batch"], "study.lr": [1e-2, 1e-4],
    "study.batch_size": [64], "train.epochs": 2, "train.precision": "float32", "launcher.workers": 1,
    "tracking": "none", "progress": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def swept(tiny_encoder: Path, tiny_table: Path, folder: Path) -> Sweep:
    return sweep({**SETTINGS, "data.path": tiny_table, "model": tiny_encoder, "paths.runs": folder / "runs"})


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_sweep_gives_trials_curves_and_the_winner(swept):
    assert swept.experiment == "rows"
    assert sorted(swept.trials["lr"]) == [1e-4, 1e-2]  # the batch study's one trial is one of the lr study's
    assert set(swept.trials["state"]) == {"complete"}
    assert swept.winner.key == swept.trials["key"][0]
    assert swept.trials["val_accuracy"].is_monotonic_decreasing
    assert swept.curves.groupby("key")["epoch"].apply(list).tolist() == [[1, 2], [1, 2]]
    at = swept.curves[(swept.curves["key"] == swept.winner.key) & (swept.curves["epoch"] == swept.winner.overfit_epoch)]
    assert at["val_loss"].item() == swept.trials["val_loss"][0]


def test_of_several_seeds_there_is_a_row_a_configuration_and_one_of_one_seed_is_its_trial(swept):
    assert swept.configurations["seeds"].tolist() == [1, 1]
    assert swept.configurations["mean"].tolist() == swept.trials["val_accuracy"].tolist()
    made = [fabricated.make_record(f"{seed}", [1.0, 0.5], val_accuracy=score) for seed, score in enumerate((0.4, 0.6))]
    made = [
        replace(one, config={**one.config, "train": {**one.config["train"], "seed": seed}})
        for seed, one in enumerate(made)
    ]
    [row] = configurations_frame(configurations(made)).to_dict("records")
    assert (row["seeds"], row["verdict"]) == (2, "winner")
    assert row["mean"] == pytest.approx(0.5)
    assert row["low"] < 0.5 < row["high"]


def test_sentences_come_from_lists_series_and_tables(swept, folder, tmp_path):
    frozen = best("rows", runs=swept.runs, export=folder / "other").export
    assert predict(frozen, pd.Series(["기쁜 날", None, float("nan")]))["label"].isna().tolist() == [False, True, True]
    table = tmp_path / "two.csv"
    table.write_text("id,sentence\n1,기쁜 날\n2,슬픈 날\n", encoding="utf-8")
    assert predict(frozen, table, column="sentence")["text"].tolist() == ["기쁜 날", "슬픈 날"]
    with pytest.raises(UserError, match="column"):
        predict(frozen, table)
    with pytest.raises(UserError, match="top_k=0"):
        predict(frozen, "기쁜 날", top_k=0)


def test_a_pruned_trial_with_its_score_may_win(tiny_encoder, tiny_table, tmp_path):
    settings = {
        **SETTINGS,
        "study": "lr",
        "data.path": tiny_table,
        "model": tiny_encoder,
        "paths.runs": tmp_path / "runs",
    }
    del settings["study.batch_size"]
    done = sweep({**settings, "prune": "overfit", "study.lr": [0.5], "train.epochs": 8})
    assert done.trials["state"].tolist() == ["pruned"]
    assert done.winner.key == done.trials["key"][0]
    assert len(done.curves) == done.winner.overfit_epoch + 1


def test_what_else_differs_among_trials_is_a_column():
    made = [fabricated.make_record(key, [1.0, 0.5]) for key in ("a", "b")]
    made[1] = replace(made[1], config={**made[1].config, "model": "klue/bert-base"})
    assert trials_frame(made)["model"].tolist() == ["ko-mini", "klue/bert-base"]
    assert "model" not in trials_frame(made[:1])


def test_what_a_search_varies_is_a_column_of_numbers():
    made = [fabricated.make_record(key, [1.0, 0.5]) for key in ("a", "b")]
    made = [
        replace(one, varied={**one.varied, "dropout": rate}, config={**one.config, "head": {"dropout": rate}})
        for one, rate in zip(made, (0.1, 0.25), strict=True)
    ]
    frame = trials_frame(made)
    assert frame["dropout"].tolist() == [0.1, 0.25]
    assert "head.dropout" not in frame


def test_the_winner_is_tested_frozen_and_predicts(swept, folder, tmp_path):
    found = best("rows", runs=folder / "runs", export=folder / "frozen")
    assert found.winner.key == swept.winner.key
    pd.testing.assert_frame_equal(found.trials, swept.trials)
    assert found.test["accuracy"] == pytest.approx(found.confusion.values.diagonal().sum() / found.test["rows"])
    assert list(found.classes.index) == list(found.confusion.index) == ["기쁨", "보통", "슬픔"]
    assert best("rows", runs=folder / "runs", export=folder / "frozen").export == folder / "frozen"  # it is there
    answers = predict(found.export, ["기쁜 날", ""], top_k=2)
    assert list(answers.columns) == ["text", "label", "probability", "label_2", "probability_2"]
    assert answers["probability"][0] >= answers["probability_2"][0]
    assert answers["label"].isna().tolist() == [False, True]
    (tmp_path / "new.txt").write_text("기쁜 날\n\n", encoding="utf-8")
    pd.testing.assert_frame_equal(predict(found.export, tmp_path / "new.txt", top_k=2), answers)
    assert predict(found.export, "기쁜 날")["label"][0] == answers["label"][0]


def test_a_folder_that_holds_something_else_is_refused(swept, folder, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="not empty"):
        best("rows", runs=folder / "runs", export=tmp_path)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: sweep({"lr": 1e-5}), "did you mean optimizer.lr"),
        (lambda: sweep([{"study": "lr"}]), "takes a mapping"),
        (lambda: best(runs="nowhere"), "no trial has been trained"),
        (lambda: predict("nowhere", ["x"]), "no model folder"),
    ],
)
def test_a_mistake_is_raised_as_a_user_error(call, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        call()


def test_values_reach_the_configuration_as_they_are():
    labels = ["yes, sir", 'say "no"', "it's"]
    settings = {
        "study": ["lr"], "study.lr": [1e-4, 2e-5], "data.labels": labels, "data.label": "감정 대분류", "data": "table",
        "data.path": Path("a b/c.csv"), "train.freeze_encoder": True, "head.dropout": None,
    }  # fmt: skip
    config = compose(spelled(settings))
    assert config.study.lr == (1e-4, 2e-5)
    assert list(config.data.labels) == labels
    assert (config.data.path, config.data.label) == ("a b/c.csv", "감정 대분류")
    assert config.train.freeze_encoder is True
    assert config.head.dropout is None
    assert spelled(("study=lr", "train.epochs=3")) == ["study=lr", "train.epochs=3"]
    assert spelled("study=lr") == ["study=lr"]


@pytest.mark.parametrize("name", ["best", "predict"])
def test_a_function_is_not_hidden_by_the_command_of_its_name(name):
    module = importlib.import_module(f"sweeper.{name}")
    assert callable(module.main)
    assert getattr(sweeper, name) is getattr(sweeper.api, name)
    assert pickle.loads(pickle.dumps(getattr(sweeper, name))) is getattr(sweeper, name)


@pytest.mark.parametrize(
    "code",
    [
        "from sweeper import best; from sweeper.best import main; from sweeper import best as again",
        "from sweeper.best import main; import sweeper.best; from sweeper import best; again = best",
    ],
)
def test_both_orders_of_import_give_function_and_command(code):
    assert run(f"{code}; print(best is again, best.__module__, main.__module__)") == "True sweeper.api sweeper.best"


def test_importing_the_package_imports_nothing_else():
    heavy = "{'torch', 'pandas', 'numpy', 'hydra', 'rich'} & set(sys.modules)"
    assert run(f"import sweeper, sys; print({heavy} or sorted(m for m in sys.modules if 'sweeper' in m))") == (
        "['sweeper']"
    )
    with pytest.raises(AttributeError, match="no attribute 'bets'"):
        _ = sweeper.bets
