"""The plot of a trial: what it draws, and that it can be opened without a network."""

import math

import pytest

from sweeper.curves import caption, curve_html, trial_figure
from sweeper.training.metrics import EpochMetrics


def epoch(number: int, val_loss: float = 1.0, accuracy: float | None = 0.5) -> EpochMetrics:
    return EpochMetrics(number, 2.0, val_loss, accuracy, accuracy, accuracy, 2e-05, 1.0, 100.0)


CURVE = [epoch(1), epoch(2, 0.5), epoch(3, 0.75)]


def test_both_losses_and_both_accuracies_with_a_dotted_line_at_the_overfitting_point():
    figure = trial_figure(CURVE, 2, True, "lr=2e-05 bs=64")
    assert [trace.name for trace in figure.data] == [
        "training loss", "validation loss", "training accuracy", "validation accuracy",
    ]  # fmt: skip
    assert list(figure.data[1].y) == [1.0, 0.5, 0.75]
    lines = [shape for shape in figure.layout.shapes if shape.type == "line"]
    assert {line.x0 for line in lines} == {2}
    assert {line.line.dash for line in lines} == {"dot"}
    assert any("overfitting point: epoch 2" in note.text for note in figure.layout.annotations)


def test_training_and_validation_differ_in_colour_and_in_dash():
    train, validation = trial_figure(CURVE, 2, True, "t").data[:2]
    assert train.line.color != validation.line.color
    assert train.line.dash != validation.line.dash


def test_regression_has_no_accuracy_panel():
    figure = trial_figure([epoch(1, accuracy=None)], 1, False, "t")
    assert [trace.name for trace in figure.data] == ["training loss", "validation loss"]


def test_a_non_finite_loss_leaves_a_gap_and_no_line_without_a_point():
    figure = trial_figure([epoch(1, math.nan)], None, False, "t")
    assert list(figure.data[1].y) == [None]
    assert not figure.layout.shapes


@pytest.mark.parametrize(
    ("at", "reached", "text"), [(3, True, "epoch 3"), (10, False, "not reached"), (None, False, "no")]
)
def test_the_caption_says_whether_the_point_was_reached(at, reached, text):
    assert text in caption(at, reached)


def test_the_page_needs_no_network_and_shows_names_as_text():
    page = curve_html(CURVE, 2, True, "감정 </script><script>alert(1)</script>")
    assert "cdn.plot.ly/plotly" not in page
    assert "<script>alert(1)" not in page
    assert "감정" in page or "\\uac10\\uc815" in page
