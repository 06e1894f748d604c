import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from sweeper.training.metrics import accuracy, macro_f1

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40)


@given(PAIRS)
def test_macro_f1_and_accuracy_are_scikit_learns(pairs):
    labels, predictions = np.array(pairs, dtype=np.int64).T

    assert macro_f1(labels, predictions) == pytest.approx(f1_score(labels, predictions, average="macro"))
    assert accuracy(labels, predictions) == pytest.approx(accuracy_score(labels, predictions))


def test_macro_f1_counts_a_class_that_is_only_predicted():
    assert macro_f1(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 5])) == pytest.approx((6 / 7) / 2)
