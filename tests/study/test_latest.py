import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from records import of_seeds, record

from sweeper.study.latest import data_in_use, experiments, seeds_to_come


def at(path: Path, seconds: int) -> None:
    os.utime(path, (seconds, seconds))


def study(folder: Path, name: str, keys: list[str], seconds: int) -> Path:
    path = folder / "studies" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"trials": {key: {} for key in keys}}), encoding="utf-8")
    at(path, seconds)
    return path


@pytest.fixture
def runs(tmp_path):
    for number, name in enumerate(("first", "second")):
        folder = tmp_path / name / "trials" / "k"
        folder.mkdir(parents=True)
        record("k").write(folder)
        at(folder / "record.json", 100 + number)
    (tmp_path / "cache").mkdir()
    return tmp_path


def test_the_experiment_swept_last_comes_first_although_its_trials_are_older(runs):
    assert experiments(runs) == ["second", "first"]
    study(runs / "first", "lr@a", ["k"], 200)
    assert experiments(runs) == ["first", "second"]
    assert experiments(runs / "absent") == []


def test_going_back_to_earlier_data_compares_the_trials_on_it(tmp_path):
    old, new = replace(record("old"), data="d1"), replace(record("new"), data="d2")
    assert data_in_use(tmp_path, [old, new]) == "d2"
    study(tmp_path, "lr@new", ["new"], 100)
    study(tmp_path, "lr@old", ["old", "not trained yet"], 200)
    assert data_in_use(tmp_path, [old, new]) == "d1"
    study(tmp_path, "lr@newest", ["not trained yet"], 300)
    (tmp_path / "studies/lr@damaged.json").write_text("{")
    assert data_in_use(tmp_path, [old, new]) == "d1"


def test_seeds_to_come_are_those_of_every_study_and_a_damaged_list_is_passed_over(tmp_path):
    ended = of_seeds(1e-3, {0: 0.5, 1: 0.5})
    keys = {one.key: dict(one.varied) for one in ended} | {"open": {**ended[0].varied, "seed": 2}}
    content = {"trials": keys, "config": {"train": {"seed": 0}, "study": {"seeds": 3}}}
    study(tmp_path, "lr@1", [], 100).write_text(json.dumps(content), encoding="utf-8")
    study(tmp_path, "lr@damaged", [], 100).write_text("[", encoding="utf-8")
    assert seeds_to_come(tmp_path, ended) == {"0.001-0": (2,), "0.001-1": (2,), "open": (2,)}
