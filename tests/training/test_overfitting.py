import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sweeper.training.overfitting import OverfittingPoint, OverfittingTracker, overfitting_point

NAN = math.nan
LOSSES = st.lists(st.sampled_from([1.0, 1.5, 2.0, 2.0, 3.0, NAN, math.inf]), max_size=9)


@pytest.mark.parametrize(
    ("losses", "epoch", "reached"),
    [
        pytest.param([3.0, 2.0, 1.0], 3, False, id="never rises"),
        pytest.param([3.0, 2.0, 2.5, 1.0], 2, True, id="the first rise counts, not the lowest loss"),
        pytest.param([1.0, 2.0], 1, True, id="rises at once"),
        pytest.param([2.0, 2.0, 2.0], 3, False, id="a plateau is no rise"),
        pytest.param([2.0, 2.0, 2.1], 2, True, id="a rise after a plateau"),
        pytest.param([2.0], 1, False, id="one epoch"),
        pytest.param([3.0, 2.0, NAN, 1.0, 4.0], 2, False, id="read up to the first NaN, which is no rise"),
        pytest.param([3.0, math.inf], 1, False, id="infinity is no rise either"),
        pytest.param([1.0, 2.0, NAN], 1, True, id="a rise before the NaN stands"),
    ],
)
def test_overfitting_point(losses, epoch, reached):
    assert overfitting_point(losses) == OverfittingPoint(epoch, reached)


PUBLISHED = yaml.safe_load(
    (Path(__file__).parents[2] / "experiments/emotion58/published.yaml").read_text(encoding="utf-8")
)
TWELVE = [*PUBLISHED["lr_study"], *PUBLISHED["batch_study"]]


@pytest.mark.parametrize("row", TWELVE, ids=lambda row: f"lr={row['lr']:g} bs={row['batch_size']}")
def test_the_twelve_published_trainings_overfit_where_their_document_says(row):
    """Their published loss at the published epoch, approached from above, left upwards; 1e-3 falls again later."""
    point, epochs, loss = row["overfit_epoch"], row["epochs_run"], row["val_loss"]
    losses = [loss + 0.01 * (point - epoch) for epoch in range(1, point + 1)]
    losses += [loss + 0.01 * (epoch - point) for epoch in range(point + 1, epochs + 1)]
    if row["lr"] == 1e-3:
        losses[-1] = loss - 0.1
    assert len(losses) == epochs
    assert overfitting_point(losses) == OverfittingPoint(point, reached=point < epochs)


def test_the_documents_one_run_whose_losses_are_all_published():
    assert overfitting_point([3.2163, 3.1422, 3.1452]) == OverfittingPoint(2, reached=True)


def test_rise_must_exceed_min_delta():
    losses = [2.0, 2.25, 2.75]

    assert overfitting_point(losses, min_delta=0.25) == OverfittingPoint(2, reached=True)
    assert overfitting_point(losses, min_delta=0.5) == OverfittingPoint(3, reached=False)


def test_patience_wants_rises_in_a_row():
    losses = [3.0, 2.0, 2.5, 1.0, 1.5, 2.0]

    assert overfitting_point(losses, patience=2) == OverfittingPoint(4, reached=True)
    assert overfitting_point(losses[:5], patience=2) == OverfittingPoint(5, reached=False)


@pytest.mark.parametrize("losses", [[], [NAN], [math.inf, 1.0]])
def test_nothing_finite_is_an_error(losses):
    tracker = OverfittingTracker()
    for loss in losses:
        tracker.update(loss)

    with pytest.raises(ValueError, match="finite"):
        overfitting_point(losses)
    with pytest.raises(ValueError, match="finite"):
        _ = tracker.point


def test_patience_below_one_is_refused():
    with pytest.raises(ValueError, match="patience"):
        OverfittingTracker(patience=0)


@given(LOSSES, st.sampled_from([0.0, 0.5]), st.integers(1, 3))
def test_tracker_agrees_with_the_whole_curve_on_every_prefix(losses, min_delta, patience):
    tracker = OverfittingTracker(min_delta, patience)
    for epoch, loss in enumerate(losses, start=1):
        candidate = tracker.update(loss)
        try:
            point = overfitting_point(losses[:epoch], min_delta, patience)
        except ValueError:
            assert not candidate
            continue
        assert tracker.point == point
        assert tracker.reached == point.reached
        assert candidate == (point.epoch == epoch)


@given(LOSSES, st.integers(1, 3), st.integers(0, 2))
def test_a_final_score_is_that_of_the_whole_curve(losses, patience, extra):
    tracker = OverfittingTracker(patience=patience)
    for epoch, loss in enumerate(losses, start=1):
        tracker.update(loss)
        if tracker.is_final(epoch, extra):
            assert tracker.point == overfitting_point(losses, patience=patience)
            assert epoch == tracker.point.epoch + patience + extra  # as soon as it may be, and not before
            return
    assert not tracker.reached or len(losses) < tracker.point.epoch + patience + extra


@given(LOSSES, st.integers(1, 3))
def test_weights_of_the_point_are_always_among_those_kept(losses, patience):
    """Whoever keeps the weights of `keep` after every epoch has those of the point, however the curve ends."""
    tracker, kept = OverfittingTracker(patience=patience), set()
    for epoch, loss in enumerate(losses, start=1):
        tracker.update(loss)
        kept = {old for old in kept | {epoch} if old in tracker.keep}
        assert len(kept) <= 2
        if tracker.keep:
            assert tracker.point.epoch in kept
