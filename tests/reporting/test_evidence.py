import os
import shutil

import numpy as np
import pytest

from sweeper.errors import UserError
from sweeper.reporting.evidence import gather
from sweeper.study.latest import experiments
from sweeper.study.record import PREDICTIONS, rank
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


def test_the_first_folder_with_published_figures_counts(small):
    (small / "experiments" / "small").mkdir(parents=True)
    (small / "experiments" / "small" / "published.yaml").write_text("winner: {val_accuracy: 0.5}")
    evidence = gather(small / "runs", "small", [small / "nowhere", small / "experiments"])
    assert evidence.published == {"winner": {"val_accuracy": 0.5}}
