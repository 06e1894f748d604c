"""What `prune=overfit` spares: counted by the tool's rule, with scores held to those of whole trainings."""

import copy

import pytest

from bench import publish, savings
from tests.fabricated_tables import table

COMMAND = "python -m sweeper study=lr"


def trial(losses, epoch, reached, *, key="a", curves=True):
    accuracies = [round(1 - (loss or 0) / 10, 3) for loss in losses]
    found = {
        "key": key, "epochs": len(losses), "overfitting": {"epoch": epoch, "reached": reached},
        "val_accuracy": None if epoch is None else accuracies[epoch - 1],
    }  # fmt: skip
    return found | ({"curve": {"val_loss": losses, "val_accuracy": accuracies}} if curves else {})


def result(*trials, command=COMMAND):
    return {"experiment": "made", "commands": [command], "trials": list(trials)}


RISES = [3.0, 2.0, 1.0, 1.5, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
FALLS = [1 - epoch / 100 for epoch in range(10)]


def test_a_training_ends_one_epoch_after_its_overfitting_point_and_else_at_its_last():
    found = savings.of_record(result(trial(RISES, 3, True), trial(FALLS, 10, False, key="b")))
    assert (found.trainings, found.whole, found.cut, found.cut_short, found.checked) == (2, 20, 14, 0, 2)
    assert found.spared == pytest.approx(0.3)


def test_a_record_without_curves_tells_as_much_from_its_points_and_owns_up_to_it():
    trials = trial(RISES, 3, True), trial(FALLS, 10, False, key="b")
    known = savings.of_record(result(*trials))
    points = [{name: value for name, value in one.items() if name != "curve"} for one in trials]
    told = savings.of_record(result(*points))
    assert (told.whole, told.cut, told.checked) == (known.whole, known.cut, None)
    assert "curves not recorded" in savings.as_table([told])
    assert "equal, 2 compared" in savings.as_table([known])


def test_patience_is_that_of_the_recorded_command():
    losses = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    patient = result(trial(losses, 1, True), command=f"{COMMAND} overfitting.patience=3")
    assert savings.of_record(patient).cut == 4
    assert savings.of_record(result(trial(losses, 1, True))).cut == 2


def test_a_score_that_pruning_would_change_is_no_saving():
    good = trial(RISES, 3, True)
    for name, value in (("val_accuracy", 0.5), ("overfitting", {"epoch": 10, "reached": True})):
        wrong = copy.deepcopy(good) | {name: value}
        with pytest.raises(ValueError, match="made, a"):
            savings.of_record(result(wrong))


def test_a_loss_that_is_no_number_ends_a_training_for_both_and_is_told():
    found = savings.of_record(result(trial([2.0, None], 1, False) | {"val_accuracy": 0.8}))
    assert (found.whole, found.cut, found.cut_short) == (2, 2, 1)
    assert "made (1)" in savings.as_table([found])


def test_a_whole_grid_is_replayed_and_keeps_its_winner():
    grid = table({(1e-3, 8): RISES, (1e-4, 8): FALLS, (1e-5, 8): FALLS}, data="made up")
    found = savings.of_table(grid)
    assert (found.name, found.whole, found.cut, found.checked) == ("made up, whole grid", 30, 24, 3)
    both = savings.total([found, found])
    assert (both.trainings, both.whole, both.cut, both.checked) == (6, 60, 48, 6)


def test_the_documents_say_what_the_records_say():
    found = savings.savings()
    assert len(found) >= 6
    assert publish.between(savings.EXPERIMENTS / "README.md", savings.MARK) == savings.as_table(found)
    assert publish.between(savings.REPO / "README.md", savings.MARK) == savings.in_short(found)
    assert publish.between(savings.REPO / "README.ko.md", savings.MARK) == savings.in_short_korean(found)
