from dataclasses import replace

import pytest

from sweeper.reporting.published import beside
from tests.reporting.fabricated import make_record

BLOCK = {
    "lr_study": [
        {"lr": 2e-5, "batch_size": 64, "overfit_epoch": 3, "val_loss": 3.1352, "val_accuracy": 0.2341},
        {"lr": 1e-5, "batch_size": 64, "overfit_epoch": 4, "val_loss": 3.1339, "val_accuracy": 0.2291},
    ],
    "batch_study": [{"lr": 2e-5, "batch_size": 64, "overfit_epoch": 3, "val_loss": 3.1352, "val_accuracy": 0.2341}],
    "winner": {"lr": 2e-5, "val_accuracy": 0.2341, "test_accuracy": 0.23},
}


@pytest.fixture
def ours():
    return make_record("a", [3.0, 2.5, 2.7], lr=2e-5, batch_size=64, val_accuracy=0.3)


def test_equal_settings_stand_side_by_side_once(ours):
    found = beside(BLOCK, [ours], {})
    assert [(row.lr, row.batch_size) for row in found.rows] == [(2e-5, 64), (1e-5, 64)]
    pairs = {pair.name: pair for pair in found.rows[0].pairs}
    assert (pairs["overfit_epoch"].theirs, pairs["overfit_epoch"].ours) == (3, 2)
    assert pairs["val_accuracy"].difference == pytest.approx(0.3 - 0.2341)


def test_only_a_final_score_is_ours_and_a_last_epoch_is_marked(ours):
    stopped = replace(ours, key="b", state="pruned", overfit_reached=False, varied={"lr": 1e-5, "batch_size": 64})
    rows = beside(BLOCK, [ours, stopped], {}).rows
    assert [row.ours and row.ours.key for row in rows] == ["a", None]
    assert rows[1].pairs[0].ours is None
    unreached = replace(ours, overfit_reached=False)
    assert [row.reached for row in beside(BLOCK, [unreached], {}).rows] == [False, True]
    final = replace(stopped, overfit_reached=True)
    assert beside(BLOCK, [ours, final], {}).rows[1].ours == final


def test_what_we_have_not_trained_has_no_difference(ours):
    pairs = beside(BLOCK, [ours], {}).rows[1].pairs
    assert all(pair.ours is None and pair.difference is None for pair in pairs)


def test_single_figures_meet_ours_by_name(ours):
    singles = {pair.name: pair for pair in beside(BLOCK, [ours], {"test_accuracy": 0.25}).singles}
    assert singles["test_accuracy"].difference == pytest.approx(0.02)
    assert singles["val_accuracy"].ours is None


def test_a_block_under_the_experiments_name_is_found(ours):
    assert beside({"emotion58": BLOCK}, [ours], {}) == beside(BLOCK, [ours], {})


def test_a_document_without_figures_gives_nothing(ours):
    assert not beside({"training": {"lr": 1e-5}, "result": {"published": None}}, [ours], {})
