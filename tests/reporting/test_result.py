"""`result.json`: every figure of an experiment as one value, with the commands that compute it again."""

import json
import math
import shlex

import pytest

from sweeper.config import compose, compose_studies, plain
from sweeper.report import main
from sweeper.reporting.comparison import wilson
from sweeper.reporting.result import overrides
from tests.reporting import fabricated


@pytest.fixture(scope="module")
def result(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "result.json"
    assert main(["--runs", str(study.runs), "--experiment", study.name, "--record", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_trial_has_its_settings_figures_and_seconds(result, study):
    assert [trial["key"] for trial in result["trials"]] == [record.key for record in study.records]
    for trial, record in zip(result["trials"], study.records, strict=True):
        assert (trial["lr"], trial["batch_size"]) == (record.varied["lr"], record.varied["batch_size"])
        assert trial["overfitting"] == {"epoch": record.overfit_epoch, "reached": record.overfit_reached}
        assert trial["seconds"] == record.seconds
        assert trial["curve"]["val_accuracy"] == [epoch.val_accuracy for epoch in record.curve]
        finite = [loss if math.isfinite(loss) else None for loss in (epoch.val_loss for epoch in record.curve)]
        assert trial["curve"]["val_loss"] == finite
        assert trial["val_loss"] == (record.at_overfit.val_loss if record.at_overfit else None)
    assert result["trial_seconds"] == pytest.approx(sum(record.seconds for record in study.records))


def test_what_else_tells_trials_apart_is_there(study, tmp_path):
    for seed in (1, 2):
        more = {"train": {"batch_size": 64, "epochs": 10, "seed": seed}}
        fabricated.write_study(tmp_path, "seeds", [(2e-5, 64)], study.config, more=more)
    main(["--runs", str(tmp_path), "--record", str(tmp_path / "result.json"), "--no-baseline"])
    trials = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["trials"]
    assert sorted(trial["also"]["seed"] for trial in trials) == ["1", "2"]


def test_the_winner_the_intervals_the_baseline_and_the_test_are_there(result, study):
    first, rows = result["trials"][0], result["rows"]["validation"]
    assert result["winner"] == first["key"]
    interval = wilson(round(first["val_accuracy"] * rows), rows)
    assert first["interval"] == [interval.low, interval.high]
    assert result["baseline"]["accuracy"] > result["chance"]["figure"]
    assert result["test"]["interval"][0] < result["test"]["accuracy"] < result["test"]["interval"][1]
    assert result["machine"]["cores"] >= 1


def test_no_sentence_folder_or_label_of_the_data_is_in_it(result, study):
    text = json.dumps(result, ensure_ascii=False)
    assert "신나는" not in text
    assert str(study.runs) not in text


def test_a_regression_has_no_accuracy_and_says_so(regression_study, tmp_path):
    path = tmp_path / "result.json"
    main(["--runs", str(regression_study.runs), "--record", str(path), "--no-baseline"])
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["task"], found["baseline"], found["test"]) == ("regression", None, None)
    assert found["trials"][0]["val_accuracy"] is None


@pytest.mark.parametrize(
    "given",
    [
        ["study=lr"],
        ["experiment=nsmc", "study=batch", "model=ko-mini", "data.rows.train=500", "optimizer.lr=null"],
        ["experiment=kor_hate", "data.train=../a b/train.tsv", "data.labels=[none,'a, b']", "schedule.warmup=0.1"],
    ],
)
def test_the_settings_told_compose_the_same_configuration_again(given):
    first = compose([*given, "paths.runs=elsewhere", "launcher.workers=3", "progress=none"])
    told = overrides(plain(first))
    assert not [one for one in told if one.startswith(("paths", "launcher", "progress"))]
    again = compose([*told, f"study={first.study.name}", "paths.runs=elsewhere", "launcher.workers=3", "progress=none"])
    assert plain(again) == plain(first)


def test_studies_of_equal_settings_are_one_command(study, tmp_path):
    from dataclasses import replace

    from sweeper.reporting.evidence import gather
    from sweeper.reporting.result import commands

    evidence = replace(gather(study.runs, study.name, []), folder=tmp_path)
    (tmp_path / "studies").mkdir()
    for config in compose_studies(["experiment=nsmc", "study=lr,batch", "model=ko-mini", "paths.runs=x"]):
        content = {"study": config.study.name, "config": plain(config), "trials": {study.records[0].key: {}}}
        (tmp_path / f"studies/{config.study.name}.json").write_text(json.dumps(content), encoding="utf-8")
    other = {"study": "lr", "config": plain(compose([])), "trials": {"unknown": {}}}
    (tmp_path / "studies/other.json").write_text(json.dumps(other), encoding="utf-8")
    told = list(commands(evidence))
    assert told == ["python -m sweeper experiment=nsmc study=lr,batch model=ko-mini"]
    assert shlex.split(told[0])[3:] == ["experiment=nsmc", "study=lr,batch", "model=ko-mini"]
