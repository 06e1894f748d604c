import math

import pytest

from sweeper.training.metrics import EpochMetrics
from sweeper.training.stopping import EarlyStop


def stops_after(stop: EarlyStop, losses, accuracies=None) -> int | None:
    for epoch, loss in enumerate(losses, start=1):
        accuracy = None if accuracies is None else accuracies[epoch - 1]
        if stop.update(EpochMetrics(epoch, 0.0, loss, accuracy, accuracy, accuracy, 0.0, 0.0, 0.0)):
            return epoch
    return None


@pytest.mark.parametrize(("patience", "epoch"), [(0, 3), (1, 3), (2, 4)])
def test_stops_when_loss_has_not_improved_for_patience_epochs(patience, epoch):
    assert stops_after(EarlyStop("val_loss", 0.0, patience), [2.0, 1.0, 1.0, 1.5]) == epoch


def test_an_improvement_within_min_delta_does_not_count():
    assert stops_after(EarlyStop("val_loss", 0.25, 0), [2.0, 1.9]) == 2
    assert stops_after(EarlyStop("val_loss", 0.25, 0), [2.0, 1.7]) is None


def test_small_steps_are_measured_from_the_best_epoch():
    assert stops_after(EarlyStop("val_loss", 0.25, 2), [2.0, 1.9, 1.7, 1.6]) is None


def test_accuracy_is_better_when_higher():
    assert stops_after(EarlyStop("val_accuracy", 0.001, 0), [1.0] * 3, [0.5, 0.6, 0.6005]) == 3


def test_the_first_epoch_never_stops():
    assert stops_after(EarlyStop("val_loss", 0.0, 0), [math.nan]) is None


def test_no_monitor_never_stops():
    assert stops_after(EarlyStop(None, 0.0, 0), [1.0, 2.0, 3.0]) is None


def test_a_regression_has_no_accuracy_to_watch():
    with pytest.raises(ValueError, match="val_loss"):
        stops_after(EarlyStop("val_accuracy", 0.0, 0), [1.0])
    with pytest.raises(ValueError, match="val_f1"):
        EarlyStop("val_f1", 0.0, 0)


def test_state_comes_back():
    before, after = EarlyStop("val_loss", 0.0, 2), EarlyStop("val_loss", 0.0, 2)
    stops_after(before, [1.0, 2.0])
    after.load_state_dict(before.state_dict())

    assert after.update(EpochMetrics(3, 0.0, 1.0, None, None, None, 0.0, 0.0, 0.0))
    assert after.stopped
