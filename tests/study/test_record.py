import json
import math
from dataclasses import replace

import pytest
from records import record

from sweeper.study.record import RECORD, TrialRecord, rank, trial_name


def test_score_is_the_accuracy_at_the_overfitting_point_not_the_best_one():
    assert record(accuracies=(0.1, 0.2, 0.9), overfit=2).score == 0.2


def test_score_of_a_regression_is_minus_the_loss():
    assert record(accuracies=(None, None, None), overfit=2).score == -2.0


@pytest.mark.parametrize("state", ["diverged", "failed"])
def test_a_trial_that_went_wrong_has_no_score(state):
    assert record(state=state).score == -math.inf


def test_a_pruned_trial_has_a_score_once_its_overfitting_point_was_reached():
    assert record(state="pruned").score == 0.2
    assert replace(record(state="pruned"), overfit_reached=False).score == -math.inf


@pytest.mark.parametrize(
    ("reached", "asked", "serves"),
    [
        (True, None, False),
        (True, "overfit", True),
        (True, "median in made/grid@1", True),
        (False, "overfit", False),
        (False, "hyperband in made/grid@1", True),
        (False, "hyperband in made/grid@2", True),
        (False, "median in made/lr@1", True),
    ],
)
def test_a_pruned_record_answers_whom_its_curve_is_enough_for(reached, asked, serves):
    pruned = replace(record(state="pruned"), overfit_reached=reached, stopped_by="hyperband in made/grid@1")
    assert pruned.serves(asked) == serves
    assert record().serves(asked)


def test_no_two_requests_can_have_a_trial_trained_in_turn_for_ever():
    asked = (None, "overfit", "median in made/lr@1", "median in made/grid@1", "halving in made/grid@1")
    ends = {  # whatever may come of a trial that is trained for somebody
        one: [record(), *(replace(record(state="pruned"), overfit_reached=r, stopped_by=one) for r in reached)]
        for one, reached in zip(asked, [(), (True,), *[(True, False)] * 3], strict=True)
    }
    for first in asked:
        for one in ends[first]:
            for second in asked:
                if not one.serves(second):  # then it is trained once more, and both have their answer
                    assert all(again.serves(first) and again.serves(second) for again in ends[second])


def test_record_survives_writing_and_reading(tmp_path):
    one = record()
    one.write(tmp_path)
    assert TrialRecord.read(tmp_path) == one


def test_records_from_before_memory_was_counted_for_each_trial_are_read(tmp_path):
    one = record()
    one.write(tmp_path)
    plain = json.loads((tmp_path / RECORD).read_text())
    for epoch in plain["curve"]:
        del epoch["peak_rss_mb"], epoch["peak_gpu_mb"]
    (tmp_path / RECORD).write_text(json.dumps(plain))
    assert TrialRecord.read(tmp_path) == one


def test_record_with_a_non_finite_epoch_survives(tmp_path):
    record(losses=(3.0, 2.0, math.nan), state="diverged").write(tmp_path)
    assert math.isnan(TrialRecord.read(tmp_path).curve[-1].val_loss)
    assert json.loads((tmp_path / RECORD).read_text())["state"] == "diverged"


def test_rank_breaks_ties_by_loss_then_by_fewer_epochs():
    better_loss = record("loss", losses=(3.0, 1.9, 2.5))
    fewer = record("fewer", losses=(2.0, 2.5, 2.6), accuracies=(0.2, 0.2, 0.2), overfit=1)
    plain = record("plain")
    assert [r.key for r in rank([plain, fewer, better_loss])] == ["loss", "fewer", "plain"]


def test_rank_puts_trials_without_a_score_last():
    ranked = rank([record("bad", state="diverged", accuracies=(1, 1, 1)), record("good")])
    assert [r.key for r in ranked] == ["good", "bad"]


def test_trial_name_is_short():
    assert trial_name({"lr": 2e-5, "batch_size": 64}) == "lr=2e-05 bs=64"


def test_trial_name_does_not_depend_on_the_order_in_a_file():
    assert trial_name({"seed": 1, "batch_size": 64, "lr": 2e-5}) == "lr=2e-05 bs=64 seed=1"


def test_a_searchs_trial_is_named_by_all_that_varies():
    varied = {"warmup": 0.1, "schedule": "linear", "weight_decay": 0.01, "batch_size": 64, "lr": 2.35e-5}
    assert trial_name(varied) == "lr=2.35e-05 bs=64 schedule=linear warmup=0.1 wd=0.01"
