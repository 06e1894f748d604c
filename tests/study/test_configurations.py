"""Which configuration won by the mean of its seeds, and which cannot be told from it."""

import itertools
from dataclasses import replace

import pytest
from records import of_seeds, record
from scipy.stats import ttest_rel

from sweeper.study.configurations import (
    all_missing,
    configurations,
    has_seeds,
    missing_seeds,
    settings_key,
    standings,
    winner_of,
)
from sweeper.study.record import rank


def rates(*groups, missing=None):
    """Learning rates in the order in which their configurations rank, of all orders in which the trials may come."""
    trials = [trial for group in groups for trial in group]
    found = {
        tuple(one.best.varied["lr"] for one in configurations(order, missing))
        for order in (trials, trials[::-1], trials[1::2] + trials[::2])
    }
    assert len(found) == 1
    return list(found.pop())


def test_trials_of_equal_settings_belong_together_whichever_study_varied_what():
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.7})
    first = replace(first, varied={"lr": 1e-3, "batch_size": 64})  # of a study without seeds
    [one] = configurations([first, second])
    assert one.name == "lr=0.001 bs=64"
    assert one.scores == {0: 0.5, 1: 0.7}
    assert one.best is second
    assert (one.estimate.n, one.estimate.mean) == (2, pytest.approx(0.6))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "other"},
        {"precision": "bf16"},
        {"varied": {"lr": 1e-4, "batch_size": 64}},
        {"varied": {"lr": 1e-3, "batch_size": 8}},
    ],
)
def test_trials_that_differ_in_more_than_the_seed_do_not(changes):
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.7})
    assert settings_key(first) == settings_key(second) != settings_key(replace(second, **changes))


@pytest.mark.parametrize(("section", "key"), [("optimizer", "name"), ("train", "epochs"), ("data", "max_length")])
def test_every_setting_that_changes_a_result_tells_configurations_apart(section, key):
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.7})
    other = replace(second, config={**second.config, section: {**second.config[section], key: "other"}})
    assert len(configurations([first, other])) == 2
    assert len(configurations([first, replace(second, config={**second.config, "model": "other"})])) == 2


def test_where_files_lie_and_what_runs_them_does_not():
    first, second = of_seeds(1e-3, {0: 0.5, 1: 0.7})
    data = {**second.config["data"], "path": "elsewhere.csv"}
    moved = replace(second, threads=8, config={**second.config, "data": data})
    assert len(configurations([first, moved])) == 1


def test_the_best_mean_wins_not_the_best_trial_and_its_best_seed_is_the_winner():
    lucky, steady = of_seeds(1e-3, {0: 0.9, 1: 0.5, 2: 0.5}), of_seeds(1e-4, {0: 0.7, 1: 0.69, 2: 0.71})
    assert rates(lucky, steady) == [1e-4, 1e-3]
    assert winner_of([*lucky, *steady]).key == "0.0001-2"


def test_a_tie_goes_to_the_lower_loss_then_to_fewer_epochs_and_is_the_same_in_any_order():
    plain, better_loss = of_seeds(1e-3, {0: 0.5, 1: 0.75}), of_seeds(1e-4, {0: 0.75, 1: 0.5})
    better_loss = [
        replace(one, curve=tuple(replace(epoch, val_loss=epoch.val_loss - 0.1) for epoch in one.curve))
        for one in better_loss
    ]
    assert rates(plain, better_loss) == [1e-4, 1e-3]
    early = [
        replace(one, curve=(replace(one.curve[1], epoch=1),), overfit_epoch=1)
        for one in of_seeds(1e-2, {0: 0.5, 1: 0.75})
    ]
    assert rates(plain, early) == [1e-2, 1e-3]
    same = of_seeds(1e-5, {0: 0.5, 1: 0.75})
    assert rates(plain, same) == rates(same, plain)


@pytest.mark.parametrize("state", ["diverged", "failed"])
def test_one_with_a_seed_without_a_score_comes_after_all_whose_seeds_have_one(state):
    broken, whole = of_seeds(1e-3, {0: 0.9, 1: 0.9, 2: state}), of_seeds(1e-4, {0: 0.2, 1: 0.1, 2: 0.1})
    single, nothing = of_seeds(1e-5, {0: 0.15}), of_seeds(1e-6, {0: state, 1: state})
    assert rates(nothing, broken, single, whole) == [1e-4, 1e-5, 1e-3, 1e-6]
    ranked = configurations([*broken, *whole, *nothing])
    assert [len(one.broken) for one in ranked] == [0, 1, 2]
    assert [one.verdict for one in standings(ranked)] == ["winner", "unknown", "none"]
    assert ranked[1].estimate.n == 2


def test_a_trial_that_a_pruner_stopped_too_early_has_no_score():
    stopped = [replace(one, state="pruned", overfit_reached=False) for one in of_seeds(1e-3, {0: 0.9})]
    assert rates([*stopped, *of_seeds(1e-3, {1: 0.9})], of_seeds(1e-4, {0: 0.1, 1: 0.1})) == [1e-4, 1e-3]


def test_without_any_score_there_is_no_winner():
    assert winner_of(of_seeds(1e-3, {0: "diverged", 1: "failed"})) is None
    assert winner_of([]) is None


def test_one_that_lacks_seeds_waits_behind_those_that_have_theirs():
    whole, begun = of_seeds(1e-3, {0: 0.5, 1: 0.5}), of_seeds(1e-4, {0: 0.9})
    missing = {begun[0].key: (1,)}
    assert rates(whole, begun, missing=missing) == [1e-3, 1e-4]
    last = configurations([*whole, *begun], missing)[-1]
    assert (last.missing, last.asked, last.is_whole) == ((1,), 2, False)
    assert standings(configurations([*whole, *begun], missing))[-1].verdict == "unknown"
    assert rates(whole, of_seeds(1e-4, {0: 0.9, 1: 0.9}), missing=missing) == [1e-4, 1e-3]  # it has come by now


def test_one_lucky_seed_does_not_beat_the_mean_of_those_that_beat_it_with_the_same_seed():
    chosen, also = of_seeds(1e-3, {0: 0.80, 1: 0.70, 2: 0.72}), of_seeds(1e-4, {0: 0.77, 1: 0.76, 2: 0.76})
    left = of_seeds(1e-5, {0: 0.79})  # better than any mean, and than one of them with its seed
    assert rates(left, chosen, also) == [1e-4, 1e-3, 1e-5]
    assert rates(of_seeds(1e-5, {0: 0.81}), chosen, also) == [1e-5, 1e-4, 1e-3]
    assert rates(of_seeds(1e-5, {9: 0.79}), chosen, also) == [1e-4, 1e-3, 1e-5]  # no seed in common: against their best
    assert rates(of_seeds(1e-5, {9: 0.81}), chosen, also) == [1e-5, 1e-4, 1e-3]


def test_of_one_seed_each_they_rank_as_trials_do():
    trials = [
        of_seeds(10.0**-place, {0: score})[0] for place, score in enumerate((0.2, "diverged", 0.9, 0.4, "failed"), 1)
    ]
    for order in itertools.permutations(trials):
        assert [one.best.score for one in configurations(order)] == [one.score for one in rank(order)]
    assert not has_seeds(configurations(trials))
    assert {one.verdict for one in standings(configurations(trials))} == {"winner", "unknown", "none"}


def test_a_second_trial_of_the_same_seed_is_a_configuration_by_itself():
    first = of_seeds(1e-3, {0: 0.5, 1: 0.6})
    again = replace(first[0], key="of other weights under the same name")
    ranked = configurations([*first, again])
    assert [sorted(one.scores) for one in ranked] == [[0, 1], [0]]
    flat = [trial for one in ranked for trial in one.trials]
    assert [one.trials for one in configurations(flat)] == [one.trials for one in ranked]


def test_the_verdict_is_that_of_the_paired_t_interval_over_common_seeds():
    winner = {0: 0.80, 1: 0.74, 2: 0.71, 3: 0.77}
    worse = {seed: score - 0.02 + 0.001 * seed for seed, score in winner.items()}  # always a little: paired
    same = {0: 0.70, 1: 0.78, 2: 0.74, 3: 0.76}
    fewer = {2: 0.60, 3: 0.75, 8: 0.10}
    scores = {1e-2: winner, 1e-3: worse, 1e-4: same, 1e-5: fewer}
    ranked = configurations([trial for lr, by_seed in scores.items() for trial in of_seeds(lr, by_seed)])
    found = {one.configuration.best.varied["lr"]: one for one in standings(ranked)}
    assert [found[lr].verdict for lr in scores] == ["winner", "worse", "same", "same"]
    for lr in (1e-3, 1e-4, 1e-5):
        common = [seed for seed in winner if seed in scores[lr]]
        expected = ttest_rel([winner[seed] for seed in common], [scores[lr][seed] for seed in common])
        low, high = expected.confidence_interval(0.95)
        lead = found[lr].lead
        assert (lead.n, lead.interval.low, lead.interval.high) == (len(common), pytest.approx(low), pytest.approx(high))
        assert (found[lr].verdict == "worse") == (expected.pvalue < 0.05)
    unpaired = found[1e-3].configuration.estimate.interval
    assert unpaired.overlaps(found[1e-2].configuration.estimate.interval)  # only pairs tell the two apart


def test_a_regression_is_judged_by_its_loss_the_lower_the_better():
    low, high = of_seeds(1e-3, {0: 0.2, 1: 0.3}, regression=True), of_seeds(1e-4, {0: 0.5, 1: 0.61}, regression=True)
    ranked = configurations([*high, *low])
    assert ranked[0].best.key == "0.001-0"
    assert ranked[0].estimate.mean == pytest.approx(0.25)
    assert ranked[0].estimate.interval.low < 0.25 < ranked[0].estimate.interval.high
    assert standings(ranked)[1].lead.mean == pytest.approx(0.305)  # positive: the winner is better


def test_fewer_than_two_common_seeds_compare_nothing():
    ranked = configurations([*of_seeds(1e-3, {0: 0.5, 1: 0.5}), *of_seeds(1e-4, {1: 0.4, 2: 0.4})])
    assert [(one.verdict, one.lead) for one in standings(ranked)] == [("winner", None), ("unknown", None)]


def test_a_mean_of_figures_that_a_trial_lacks_does_not_exist():
    [one] = configurations(of_seeds(1e-3, {0: 0.4, 1: 0.6}))
    assert one.mean("val_accuracy") == pytest.approx(0.5)
    [none] = configurations(of_seeds(1e-3, {0: 0.4, 1: 0.6}, regression=True))
    assert none.mean("val_accuracy") is None


def listed(seeds, points):
    """What a study's file holds."""
    trials = {key: {"lr": lr, "batch_size": 8, "seed": seed} for key, (lr, seed) in points.items()}
    return {"config": {"train": {"seed": 0}, "study": {"seeds": seeds}}, "trials": trials}


POINTS = {"a0": (1e-3, 0), "a1": (1e-3, 1), "a2": (1e-3, 2), "b0": (1e-4, 0), "b1": (1e-4, 1), "b2": (1e-4, 2)}


def test_a_study_knows_which_seeds_it_still_lacks():
    assert missing_seeds(listed(3, POINTS), {"a0", "a1", "a2", "b1"}) == {"b0": (0, 2), "b1": (0, 2), "b2": (0, 2)}
    assert missing_seeds(listed(3, POINTS), set(POINTS)) == {}


def test_seeds_that_an_earlier_start_asked_for_are_not_waited_for():
    assert missing_seeds(listed(2, POINTS), {"a0", "a1", "b0", "b1"}) == {}


@pytest.mark.parametrize(
    "study", [{"trials": {"a": {"lr": 1e-3}}}, {"trials": {"a": {}}, "config": {"study": {}, "train": {}}}]
)
def test_a_study_without_seeds_lacks_none(study):
    assert missing_seeds(study, set()) == {}


def test_studies_that_share_trials_add_up_what_they_lack():
    more = listed([0, 7], {"a0": (1e-3, 0), "a7": (1e-3, 7)})
    found = all_missing([listed(3, POINTS), more], {"a0", "a1", *(key for key in POINTS if key.startswith("b"))})
    assert found["a0"] == (2, 7)


def test_records_of_before_there_were_seeds_have_theirs_in_the_configuration():
    one = record("old", lr=1e-3)
    [found] = configurations([one, *of_seeds(1e-3, {1: 0.4})])
    assert sorted(found.scores) == [0, 1]
