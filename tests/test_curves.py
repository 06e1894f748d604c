"""The plot of a trial: what it draws, and that it can be opened without a network."""

import math
from itertools import pairwise

import pytest

from sweeper.curves import DASHES, caption, curve_html, trial_picture
from sweeper.training.metrics import EpochMetrics


def epoch(number: int, val_loss: float = 1.0, accuracy: float | None = 0.5) -> EpochMetrics:
    return EpochMetrics(number, 2.0, val_loss, accuracy, accuracy, accuracy, 2e-05, 1.0, 100.0)


CURVE = [epoch(1), epoch(2, 0.5), epoch(3, 0.75)]


def lines(picture):
    """The curves' paths by name."""
    return {path.get("class"): path for path in picture.iter("path")}


def texts(picture):
    return [text.text for text in picture.iter("text")]


def dots(picture):
    return [title.text for title in picture.iter("title")]


def points(picture):
    return [line for line in picture.iter("line") if line.get("class") == "point"]


def test_both_losses_and_both_accuracies_with_a_dotted_line_at_the_overfitting_point():
    picture = trial_picture(CURVE, 2, True, "lr=2e-05 bs=64")
    assert list(lines(picture)) == ["training loss", "validation loss", "training accuracy", "validation accuracy"]
    assert [dot for dot in dots(picture) if "validation loss" in dot] == [
        "validation loss, epoch 1: 1", "validation loss, epoch 2: 0.5", "validation loss, epoch 3: 0.75",
    ]  # fmt: skip
    second = lines(picture)["validation loss"].get("d").split("L")[1].split()[0]
    assert [line.get("x1") for line in points(picture)] == [second] * 2
    assert "overfitting point: epoch 2" in texts(picture)


def test_higher_figures_lie_higher():
    heights = [float(place.split()[1]) for place in lines(trial_picture(CURVE, 2, True, "t"))["validation loss"]
               .get("d")[1:].split("L")]  # fmt: skip
    assert heights[1] > heights[2] > heights[0]  # counted from above


def test_training_and_validation_differ_in_colour_and_in_dash():
    drawn = lines(trial_picture(CURVE, 2, True, "t"))
    train, validation = drawn["training loss"], drawn["validation loss"]
    assert train.get("stroke") != validation.get("stroke")
    assert train.get("stroke-dasharray") != validation.get("stroke-dasharray")
    assert len(set(DASHES.values())) == 2


def test_regression_has_no_accuracy_panel():
    picture = trial_picture([epoch(1, accuracy=None)], 1, False, "t")
    assert list(lines(picture)) == ["training loss", "validation loss"]


def test_a_non_finite_loss_leaves_a_gap_and_no_line_without_a_point():
    picture = trial_picture([epoch(1), epoch(2), epoch(3, math.nan), epoch(4)], None, False, "t")
    drawn = lines(picture)["validation loss"].get("d")
    assert (drawn.count("M"), drawn.count("L")) == (2, 1)
    assert not points(picture)
    assert "nan" not in curve_html([epoch(1, math.nan)], None, False, "t")


@pytest.mark.parametrize("epochs", [1, 5, 20, 21, 300])
def test_epochs_are_numbered_as_far_as_there_is_room(epochs):
    picture = trial_picture([epoch(number) for number in range(1, epochs + 1)], None, False, "t")
    below = [text for text in picture.iter("text") if text.get("text-anchor") == "middle" and text.text.isdecimal()]
    shown = [int(text.text) for text in below if text.get("y") == below[0].get("y")]
    assert 1 <= len(shown) <= 21
    assert shown == list(range(1, epochs + 1)) if epochs <= 20 else len({b - a for a, b in pairwise(shown)}) == 1


@pytest.mark.parametrize(
    ("at", "reached", "text"), [(3, True, "epoch 3"), (10, False, "not reached"), (None, False, "no")]
)
def test_the_caption_says_whether_the_point_was_reached(at, reached, text):
    assert text in caption(at, reached)


def test_the_page_needs_no_network_and_shows_names_as_text():
    page = curve_html(CURVE, 2, True, "감정 </script><script>alert(1)</script>")
    assert "<script" not in page
    assert page.count("http") == page.count("http://www.w3.org/2000/svg") == 1
    assert "감정" in page


def test_the_page_of_a_trial_is_small_enough_to_be_kept_ten_thousand_times():
    assert len(curve_html([epoch(number) for number in range(1, 11)], 2, True, "lr=2e-05 bs=64")) < 12_000
