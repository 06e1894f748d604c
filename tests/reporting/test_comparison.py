import numpy as np
import pytest
from scipy.stats import binomtest, ttest_rel

from sweeper.intervals import Interval
from sweeper.reporting.comparison import compare, holm, mcnemar, mean_interval, paired_t, wilson
from tests.reporting.fabricated import make_record

LABELS = np.arange(200) % 4


def predictions(right: int) -> np.ndarray:
    """The first `right` rows right, the others wrong."""
    return np.where(np.arange(200) < right, LABELS, (LABELS + 1) % 4)


def trial(key: str, right: int, **more):
    return make_record(key, [1.0, 0.5, 0.7], val_accuracy=right / 200, **more)


def test_wilson_gives_the_published_interval_of_8_in_10():
    interval = wilson(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)


@pytest.mark.parametrize(("right", "rows"), [(0, 7), (7, 7), (1, 3), (6776, 28945)])
def test_wilson_agrees_with_scipy(right, rows):
    expected = binomtest(right, rows).proportion_ci(method="wilson")
    interval = wilson(right, rows)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("right", "rows"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_refuses_impossible_counts(right, rows):
    with pytest.raises(ValueError, match="right out of"):
        wilson(right, rows)


def test_mcnemar_counts_disagreements_alone_and_is_exact():
    winner = np.array([True] * 15 + [False] * 5 + [True] * 80 + [False] * 20)
    other = np.array([False] * 15 + [True] * 5 + [True] * 80 + [False] * 20)
    test = mcnemar(winner, other)
    assert (test.only_winner, test.only_other) == (15, 5)
    assert test.p == pytest.approx(0.04138946533203125)  # 2 · P(at most 5 heads in 20 tosses)


def test_mcnemar_of_equal_answers_finds_nothing():
    right = np.array([True, False, True])
    assert mcnemar(right, right).p == 1.0


def test_paired_t_agrees_with_scipy():
    random = np.random.default_rng(0)
    first, second = random.random(50), random.random(50) + 0.2
    assert paired_t(first, second).p == pytest.approx(ttest_rel(first, second).pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_paired_t_of_a_constant_difference_does_not_divide_by_zero(shift):
    errors = np.array([0.5, 1.0, 2.0])
    assert paired_t(errors, errors + shift).p == 1.0


def test_holm_steps_down_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([]) == []


def test_mean_interval_is_symmetric_and_needs_two_values():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    interval = mean_interval(values)
    assert interval is not None
    assert (interval.low + interval.high) / 2 == pytest.approx(2.5)
    assert mean_interval(values[:1]) is None


def test_trials_are_told_from_the_winner_by_their_predictions():
    records = [trial("first", 150), trial("near", 149), trial("far", 60)]
    found = compare(records, {"first": predictions(150), "near": predictions(149), "far": predictions(60)}, LABELS, 200)
    assert [found[key].verdict for key in ("first", "near", "far")] == ["winner", "same", "worse"]
    assert found["far"].test.only_winner == 90
    assert found["near"].adjusted >= found["near"].test.p
    assert found["first"].interval == wilson(150, 200)


def test_many_tests_make_the_verdict_more_careful():
    near = predictions(150)
    near[50:58] = (LABELS[50:58] + 1) % 4  # eight against one: p = 0.039
    near[199] = LABELS[199]
    first = predictions(150)
    records = [trial("first", 150), *(trial(f"near{i}", 143) for i in range(4))]
    alone = compare(records[:2], {"first": first, "near0": near}, LABELS, 200)
    among = compare(records, {"first": first} | {f"near{i}": near for i in range(4)}, LABELS, 200)
    assert alone["near0"].verdict == "worse"
    assert among["near0"].verdict == "same"


def test_without_predictions_intervals_decide():
    found = compare([trial("first", 150), trial("near", 140), trial("far", 60)], {}, LABELS, 200)
    assert [found[key].verdict for key in ("first", "near", "far")] == ["winner", "same", "worse"]
    assert found["far"].test is None


def test_with_nothing_to_judge_by_no_verdict_is_given():
    found = compare([trial("first", 150), trial("near", 140)], {}, None, None)
    assert found["near"].verdict == "unknown"
    assert found["near"].interval is None


def test_predictions_of_other_rows_are_not_used():
    found = compare(
        [trial("first", 150), trial("near", 140)], {"first": predictions(150), "near": predictions(20)}, LABELS, 200
    )
    assert found["near"].test is None


def test_a_diverged_trial_is_not_judged():
    records = [trial("first", 150), make_record("gone", [1.0, float("nan")], val_accuracy=0.2)]
    assert compare(records, {}, LABELS, 200)["gone"].verdict == "none"


def test_without_a_complete_trial_there_is_no_winner():
    record = make_record("gone", [float("nan")])
    assert {one.verdict for one in compare([record], {}, LABELS, 200).values()} == {"none"}


def test_a_regression_is_judged_by_squared_errors():
    values = np.linspace(0, 1, 200).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, 200).astype(np.float32)
    guesses = {"first": values + 0.1 * noise, "near": values + 0.1 * noise[::-1], "far": values + 0.5 * noise}
    records = [
        make_record(key, [float(np.square(guess - values).mean())], val_accuracy=None) for key, guess in guesses.items()
    ]
    found = compare(records, guesses, values, 200)
    assert [found[key].verdict for key in ("first", "near", "far")] == ["winner", "same", "worse"]
    assert isinstance(found["far"].interval, Interval)
