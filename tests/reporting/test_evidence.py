import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from sweeper.config import compose, plain
from sweeper.errors import UserError
from sweeper.reporting.evidence import gather
from sweeper.study.latest import experiments
from sweeper.study.record import PREDICTIONS, TrialRecord, rank
from tests.reporting import fabricated


@pytest.fixture
def small(tmp_path):
    """Three trials whose data can be broken."""
    config = fabricated.data_config(fabricated.write_table(tmp_path))
    fabricated.write_study(tmp_path / "runs", "small", [(2e-5, 64), (1e-5, 64), (5e-3, 64)], config)
    return tmp_path


def test_records_come_best_first_with_predictions_and_data(study):
    evidence = gather(study.runs, study.name, [])
    assert [record.key for record in evidence.records] == [record.key for record in rank(study.records)]
    assert evidence.winner.key == study.records[0].key
    assert evidence.rows == len(evidence.corpus.validation.rows)
    assert evidence.comparisons[evidence.winner.key].verdict == "winner"
    assert evidence.test["accuracy"] > 0


def test_no_trial_sends_to_make_sweep(tmp_path):
    with pytest.raises(UserError, match="make sweep"):
        gather(tmp_path, "nothing", [])


def test_a_wrong_name_is_answered_with_the_right_ones(small):
    with pytest.raises(UserError, match="--experiment takes: small"):
        gather(small / "runs", "smal", [])


def test_a_broken_record_is_named(small):
    path = next((small / "runs").glob("small/trials/*/record.json"))
    path.write_text("{}")
    with pytest.raises(UserError, match=path.parent.name):
        gather(small / "runs", "small", [])


def test_data_that_is_gone_leaves_a_report_that_says_so(small):
    (small / "sentences.tsv").unlink()
    evidence = gather(small / "runs", "small", [])
    assert evidence.corpus is None
    assert "sentences.tsv" in evidence.corpus_trouble
    assert evidence.rows == len(next(iter(evidence.predictions.values())))
    assert {one.verdict for one in evidence.comparisons.values()} <= {"winner", "same", "worse", "none"}


def test_data_that_has_changed_is_not_taken_for_the_old(small):
    path = small / "sentences.tsv"
    path.write_text(path.read_text(encoding="utf-8") + "새 문장\t123\n", encoding="utf-8")
    evidence = gather(small / "runs", "small", [])
    assert evidence.corpus is None
    assert "changed" in evidence.corpus_trouble


def test_trials_on_other_data_are_counted_and_left_out(small):
    record = fabricated.make_record("f" * 32, [1.0, 0.1], data="other", val_accuracy=1.0)
    folder = small / "runs" / "small" / "trials" / record.key
    folder.mkdir()
    record.write(folder)
    os.utime(folder / "record.json", (0, 0))  # the oldest: the newest trial's data counts
    evidence = gather(small / "runs", "small", [])
    assert evidence.left_out == 1
    assert record.key not in {one.key for one in evidence.records}


def test_unreadable_predictions_are_missing_predictions(small):
    folder = next((small / "runs").glob(f"small/trials/*/{PREDICTIONS}")).parent
    np.save(folder / PREDICTIONS, np.array([{}], dtype=object), allow_pickle=True)
    assert folder.name not in gather(small / "runs", "small", []).predictions


def test_the_experiment_worked_on_last_comes_first(small):
    shutil.copytree(small / "runs" / "small", small / "runs" / "older")
    for path in (small / "runs" / "older").rglob("record.json"):
        os.utime(path, (1, 1))
    assert experiments(small / "runs") == ["small", "older"]


def test_what_differs_besides_rate_and_batch_is_what_varies(small):
    config = gather(small / "runs", "small", []).records[0].config["data"]
    more = {"optimizer": {"name": "sgd", "lr": 2e-5}}
    fabricated.write_study(small / "runs", "small", [(2e-5, 64)], config, more=more)
    records = gather(small / "runs", "small", []).records
    assert sorted(one.varied["optimizer.name"] for one in records) == ["adam", "adam", "adam", "sgd"]


def test_a_list_tells_what_is_unfinished_unless_it_is_of_other_data(small):
    runs = small / "runs"
    fabricated.list_study(runs, "small", "lr@1", ["0" * 32, "open"])
    fabricated.list_study(runs, "small", "lr@2", ["open", "another"])
    fabricated.list_study(runs, "small", "batch@1", ["0" * 32])
    (runs / "small/studies/grid@1.json").write_text("{", encoding="utf-8")
    other = fabricated.make_record("f" * 32, [1.0], data="other")
    (runs / "small/trials" / other.key).mkdir()
    other.write(runs / "small/trials" / other.key)
    os.utime(runs / "small/trials" / other.key / "record.json", (0, 0))
    fabricated.list_study(runs, "small", "grid@2", [other.key, "open"])
    os.utime(runs / "small/studies/grid@2.json", (0, 0))
    evidence = gather(runs, "small", [])
    assert evidence.unfinished == {"lr": (3, 4)}
    assert set(evidence.studies) == {"lr@1", "lr@2", "batch@1", "grid@2"}


@pytest.fixture
def renamed(small):
    """Trials of kor_hate under another name, and a folder with its published figures."""
    for name in ("kor_hate", "kor_sarcasm"):
        (small / "experiments" / name).mkdir(parents=True)
        (small / "experiments" / name / "published.yaml").write_text(f"winner: {{{name}: 1}}")

    def published(*settings: str):
        config = plain(compose(["experiment=kor_hate", "name=mine", *settings]))
        for path in small.glob("runs/small/trials/*"):
            record = TrialRecord.read(path)
            replace(record, config={**record.config, "experiment": "kor_hate", "data": config["data"]}).write(path)
        return gather(small / "runs", "small", [small / "experiments"]).published

    return published


def test_an_experiment_under_another_name_keeps_its_published_figures(renamed):
    assert renamed("data.train=/elsewhere/train.tsv", "data.rows.train=100") == {"winner": {"kor_hate": 1}}


def test_ones_own_data_does_not_get_the_experiments_figures(renamed):
    assert renamed("data=table", "data.path=mine.csv") is None
    assert renamed("data.label=topic", "data.labels=null") is None


def test_the_first_folder_with_published_figures_counts(small):
    (small / "experiments" / "small").mkdir(parents=True)
    (small / "experiments" / "small" / "published.yaml").write_text("winner: {val_accuracy: 0.5}")
    evidence = gather(small / "runs", "small", [small / "nowhere", small / "experiments"])
    assert evidence.published == {"winner": {"val_accuracy": 0.5}}
