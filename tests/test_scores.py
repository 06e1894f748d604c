"""Figures of a scored split."""

import json

import numpy as np
import pytest

from sweeper.scores import classification_scores, confident_mistakes, largest_confusions, regression_scores

LABELS = np.array([0, 0, 1, 1, 2])
GUESSES = np.array([0, 1, 1, 1, 0])


def test_macro_figures_are_those_of_scikit_learn_and_of_training():
    from sweeper.training.metrics import macro_f1

    scores = classification_scores(LABELS, GUESSES, ["a", "b", "c", "never"])
    assert scores["accuracy"] == 0.6
    assert scores["macro_f1"] == pytest.approx(macro_f1(LABELS, GUESSES))
    assert [one["rows"] for one in scores["classes"]] == [2, 2, 1, 0]
    assert scores["confusion"][2] == [1, 0, 0, 0]


def test_any_label_name_is_a_name():
    names = ["accuracy", "macro avg", "두\n줄 <b>"]
    scores = classification_scores(LABELS, GUESSES, names)
    assert [one["label"] for one in scores["classes"]] == names
    assert "두 줄 <b>" in scores["text"]
    assert json.loads(json.dumps(scores)) == scores


def test_mistakes_come_most_confident_first_and_at_most_twenty():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.99, 0.01]], np.float32)
    assert confident_mistakes(np.array([1, 1, 1]), probabilities).tolist() == [2, 0]
    assert len(confident_mistakes(np.ones(50, np.int64), np.tile([0.9, 0.1], (50, 1)))) == 20


def test_the_largest_confusions_leave_out_the_diagonal_and_empty_pairs():
    scores = classification_scores(LABELS, GUESSES, ["a", "b", "c"])
    assert sorted(largest_confusions(scores, 10)) == [("a", "b", 1), ("c", "a", 1)]


def test_regression_of_one_row_has_no_r2():
    assert regression_scores(np.array([1.0]), np.array([1.5])) == {"rows": 1, "mse": 0.25, "mae": 0.5, "r2": None}
