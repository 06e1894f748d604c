"""A mean over seeds and its interval, beside scipy's."""

import math

import numpy as np
import pytest
from scipy import stats

from sweeper.intervals import Estimate, Interval, over_seeds

SCORES = [
    [0.71, 0.69],
    [0.7012, 0.7105, 0.6911],
    [0.1, 0.9, 0.5, 0.5],
    [-0.31, -0.29, -0.3, -0.2987, -0.3001],
    list(np.random.default_rng(0).normal(0.8, 0.01, 30)),
]


@pytest.mark.parametrize("scores", SCORES)
def test_the_interval_is_students(scores):
    found = over_seeds(scores)
    low, high = stats.t.interval(0.95, len(scores) - 1, loc=np.mean(scores), scale=stats.sem(scores))
    assert (found.n, found.mean) == (len(scores), pytest.approx(np.mean(scores), abs=1e-15))
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=1e-12)
    assert found.half == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("scores", SCORES)
def test_of_differences_it_is_the_paired_t_test(scores):
    other = [score - 0.01 * math.sin(place) for place, score in enumerate(scores, start=1)]
    found = over_seeds([mine - theirs for mine, theirs in zip(scores, other, strict=True)])
    expected = stats.ttest_rel(scores, other)
    interval = expected.confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high), abs=1e-12)
    assert (found.interval.low > 0 or found.interval.high < 0) == (expected.pvalue < 0.05)


def test_one_seed_says_nothing_of_others_and_none_has_no_mean():
    assert over_seeds([0.5]) == Estimate(1, 0.5, None)
    assert over_seeds([0.5]).half is None
    with pytest.raises(ValueError, match="no value"):
        over_seeds([])


def test_seeds_that_agree_have_an_interval_without_width():
    assert over_seeds([0.25, 0.25, 0.25]).interval == Interval(0.25, 0.25)


def test_the_interval_of_a_loss_is_turned_with_it():
    flipped = over_seeds([-0.4, -0.2]).flipped
    plain = over_seeds([0.4, 0.2])
    assert flipped.mean == plain.mean
    assert (flipped.interval.low, flipped.interval.high) == (plain.interval.low, plain.interval.high)
    assert over_seeds([-0.5]).flipped == over_seeds([0.5])
