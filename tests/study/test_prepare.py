"""The corpus and the points of a study; uses the bundled encoder and a corpus of a few rows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from records import record

from sweeper.config import compose, plain
from sweeper.errors import UserError
from sweeper.study.folders import check_writable
from sweeper.study.prepare import prepare, read_studies, winning_rate


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "rows.csv"
    rows = [f"문장 {i} 입니다,{'좋다' if i % 2 else '나쁘다'}" for i in range(100)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return path


def config(table: Path, *more: str):
    return plain(compose(["data=table", f"data.path={table}", f"paths.runs={table.parent / 'runs'}", *more]))


def test_points_are_the_product_of_the_lists(table):
    study = prepare(config(table, "study=grid", "study.lr=[1e-3,1e-4]", "study.batch_size=[4,8]"), lambda _: None)
    assert [dict(p.varied) for p in study.points.known] == [
        {"lr": 1e-3, "batch_size": 4},
        {"lr": 1e-4, "batch_size": 4},
        {"lr": 1e-3, "batch_size": 8},
        {"lr": 1e-4, "batch_size": 8},
    ]
    assert study.points.known[1].config["optimizer"]["lr"] == 1e-4


@pytest.mark.parametrize(("share", "told"), [(0.2, True), (0.5, False)])
def test_a_validation_split_of_a_few_rows_is_pointed_out(table, share, told):
    rows = [f"다른 문장 {i} 입니다,{'좋다' if i % 2 else '나쁘다'}" for i in range(150)]
    table.write_text("\n".join([table.read_text(encoding="utf-8"), *rows]), encoding="utf-8")
    split = f"data.split.train={0.9 - share:g}", f"data.split.validation={share:g}", "data.split.test=0.1"
    said: list[str] = []
    prepare(config(table, "study=single", "optimizer.lr=1e-3", "train.batch_size=4", *split), said.append)
    assert any("50 validation rows" in line for line in said) == told


def test_the_same_point_has_the_same_key_in_every_study(table):
    grid = prepare(config(table, "study=grid", "study.lr=[1e-3]", "study.batch_size=[4]"), lambda _: None)
    single = prepare(
        config(table, "study=single", "optimizer.lr=1e-3", "train.batch_size=4", "train.early_stop.monitor=null"),
        lambda _: None,
    )
    assert grid.points.known[0].key == single.points.known[0].key


def test_batch_study_without_an_lr_study_says_what_to_do(table):
    with pytest.raises(UserError, match="study=lr,batch"):
        prepare(config(table, "study=batch", "study.batch_size=[4]"), lambda _: None)


def test_batch_study_takes_the_rate_that_won(table):
    lr = prepare(config(table, "study=lr", "study.lr=[1e-3,1e-4]", "train.batch_size=4"), lambda _: None)
    for point, accuracy in zip(lr.points.known, (0.3, 0.6), strict=True):
        folder = lr.trials / point.key
        folder.mkdir(parents=True)
        record(point.key, accuracies=(0.1, accuracy, 0.2), lr=point.varied["lr"], batch_size=4).write(folder)
    batch = prepare(config(table, "study=batch", "study.batch_size=[4,8]"), lambda _: None)
    assert [p.varied["lr"] for p in batch.points.known] == [1e-4, 1e-4]
    assert batch.points.known[0].key == lr.points.known[1].key
    pinned = prepare(config(table, "study=batch", "study.batch_size=[8]", "optimizer.lr=2e-5"), lambda _: None)
    assert pinned.points.known[0].varied["lr"] == 2e-5


def test_a_number_of_seeds_and_their_list_are_the_same_trials_one_of_which_any_study_has(table):
    lr = ["study=lr", "study.lr=[1e-3,1e-4]", "train.batch_size=4"]
    number, listed, without = (
        prepare(config(table, *lr, *more), lambda _: None) for more in (["study.seeds=3"], ["study.seeds=[0,1,2]"], [])
    )
    keys = [point.key for point in number.points.known]
    assert keys == [point.key for point in listed.points.known]
    assert (number.study_id, len(set(keys))) == (listed.study_id, 6)
    assert [point.key for point in without.points.known] == [keys[0], keys[3]]  # seed 0
    assert without.study_id != number.study_id
    assert [point.config["train"]["seed"] for point in number.points.known] == [0, 1, 2, 0, 1, 2]
    assert number.points.known[1].config["study"]["seeds"] is None


SEEDS = ["study.seeds=2"]


@pytest.mark.parametrize(("before", "after"), [(SEEDS, SEEDS), (SEEDS, []), ([], SEEDS)])
def test_batch_study_takes_the_rate_with_the_best_mean_whichever_of_the_two_has_seeds(table, before, after):
    lr = prepare(config(table, "study=lr", "study.lr=[1e-3,1e-4]", "train.batch_size=4", *before), lambda _: None)
    scores = {(1e-3, 0): 0.9 if before else 0.1, (1e-3, 1): 0.1, (1e-4, 0): 0.6, (1e-4, 1): 0.6}
    for point in lr.points.known:
        accuracy = scores[point.varied["lr"], point.varied.get("seed", 0)]
        ended = record(point.key, accuracies=(0.1, accuracy, 0.2), lr=point.varied["lr"], batch_size=4)
        (lr.trials / point.key).mkdir(parents=True)
        replace(ended, config=point.config).write(lr.trials / point.key)
    batch = prepare(config(table, "study=batch", "study.batch_size=[4,8]", *after), lambda _: None)
    assert {point.varied["lr"] for point in batch.points.known} == {1e-4}


def test_a_search_has_no_points_before_it_runs_and_lists_them_as_they_are_found(table):
    search = ["study=search", "study.batch_size=[4,8]", "study.dropout=[0,0.3]"]
    study = prepare(config(table, *search), lambda _: None)
    assert (list(study.points.known), study.points.most, study.title) == ([], 20, "rows · search study")
    assert study.points.extend({})
    [point] = study.points.known
    assert list(read_studies(study.runs, study.name)[study.file.stem]["trials"]) == [point.key]
    assert point.config["head"]["dropout"] == point.varied["dropout"]
    assert point.varied["batch_size"] in (4, 8)
    assert list(point.varied) == ["lr", "batch_size", "dropout"]
    again = prepare(config(table, *search, "study.budget.trials=3"), lambda _: None)
    assert [one.key for one in again.points.known] == [point.key]
    other = prepare(config(table, *search[:2]), lambda _: None)
    assert other.study_id != study.study_id


def test_a_point_of_a_search_is_the_same_trial_in_every_study(table):
    study = prepare(config(table, "study=search", "study.lr=[1e-4,1e-3]", "study.batch_size=[4,8]"), lambda _: None)
    study.points.extend({})
    [point] = study.points.known
    lr, size = point.varied["lr"], point.varied["batch_size"]
    grid = prepare(config(table, "study=grid", f"study.lr=[{lr}]", f"study.batch_size=[{size}]"), lambda _: None)
    assert grid.points.known[0].key == point.key


def test_a_searchs_batch_sizes_must_fit_the_data_and_its_rates_are_looked_at(table):
    with pytest.raises(UserError, match="batch size 128: larger than the 60 training rows"):
        prepare(config(table, "study=search"), lambda _: None)
    said = []
    prepare(config(table, "study=search", "study.lr=[1e-4,1e4]", "study.batch_size=[4]"), said.append)
    assert any("minus sign" in line for line in said)


def test_a_study_lists_the_points_of_all_its_starts(table):
    for rates in ("[1e-3]", "[1e-4]"):
        study = prepare(config(table, "study=lr", f"study.lr={rates}", "train.batch_size=4"), lambda _: None)
    assert len(read_studies(study.runs, study.name)[study.file.stem]["trials"]) == 2
    assert json.loads(study.file.read_text())["id"] == study.study_id


def test_a_rate_with_its_minus_sign_forgotten_is_pointed_out(table):
    said = []
    prepare(config(table, "study=lr", "study.lr=[2e5]", "train.batch_size=4"), said.append)
    assert any("200000" in line and "minus sign" in line for line in said)


def test_a_batch_larger_than_the_training_split_is_refused(table):
    with pytest.raises(UserError, match="60 training rows"):
        prepare(config(table, "study=lr", "train.batch_size=61"), lambda _: None)


def test_a_precision_that_the_device_lacks_is_told_before_any_data_is_read(tmp_path):
    absent = config(tmp_path / "absent.csv", "train.device=cpu", "train.precision=fp16")
    with pytest.raises(UserError, match=r"train\.precision=fp16"):
        prepare(absent, lambda _: None)


def test_a_batch_study_tells_what_became_of_an_lr_study_without_a_winner(table):
    lr = prepare(config(table, "study=lr", "study.lr=[9,8]", "train.batch_size=4"), lambda _: None)
    for point in lr.points.known:
        folder = lr.trials / point.key
        folder.mkdir(parents=True)
        ended = record(point.key, state="diverged", overfit=None, lr=point.varied["lr"], batch_size=4)
        replace(ended, reason="loss is not finite in epoch 1").write(folder)
    with pytest.raises(UserError, match=r"lr=9\S* bs=4 diverged: loss is not finite in epoch 1.*lr=8") as told:
        prepare(config(table, "study=batch", "study.batch_size=[4]"), lambda _: None)
    assert "Run both" not in str(told.value)


def test_winning_rate_is_none_of_a_study_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match="none yet"):
        winning_rate(tmp_path, "made", ["lr@1"])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        check_writable(tmp_path / "file" / "runs")
