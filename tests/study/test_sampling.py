"""What samplers propose: in the ranges, the same for the same past, and wiser for knowing it."""

import math
import statistics
from dataclasses import replace
from itertools import islice

import pytest
from records import record

from sweeper.study.sampling import Space, proposals, propose

SAMPLERS = ("tpe", "gp", "random", "qmc")
RANGES = {
    "lr": [1e-6, 5e-3], "batch_size": [16, 32, 64], "weight_decay": [0.0, 0.1], "dropout": [0.1, 0.3],
    "schedule": ["constant", "linear"], "seed": [7, 8, 9],
}  # fmt: skip
RATES = Space({"lr": [1e-6, 1e-2], "batch_size": [64]})


def past(points, score):
    """Points that have ended with the score that a function gives them; None is a trial that diverged."""
    ended = []
    for varied in points:
        value = score(varied)
        one = record(accuracies=(0.0, value or 0.0, 0.0))
        ended.append((varied, one if value is not None else replace(one, state="diverged")))
    return ended


def drawn(number, sampler="random", seed=0, space=RATES):
    """As many points, one after the other, none of which has ended."""
    found = []
    for _ in range(number):
        found.append((propose(sampler, seed, space, found), None))
    return [varied for varied, _ in found]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_point_lies_in_the_ranges_and_can_be_typed(sampler):
    space = Space(RANGES)
    points = drawn(11, space=space)
    known = [*past(points[:10], lambda varied: varied["dropout"]), (points[10], None)]
    for varied in (propose(sampler, 0, space, known), propose(sampler, 0, space, [])):
        assert list(varied) == list(RANGES)
        for name in ("lr", "weight_decay", "dropout"):
            assert RANGES[name][0] <= varied[name] <= RANGES[name][1]
            assert len(f"{varied[name]:e}".split("e")[0].rstrip("0").replace(".", "")) <= 3
        assert all(varied[name] in RANGES[name] for name in ("batch_size", "schedule", "seed"))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_past_gives_the_same_point(sampler):
    known = past(drawn(11), lambda varied: math.log10(varied["lr"]))
    assert propose(sampler, 1, RATES, known) == propose(sampler, 1, RATES, known)
    if sampler != "gp":  # which may be sure of the best point
        assert propose(sampler, 1, RATES, known) != propose(sampler, 2, RATES, known)
        first, second = islice(proposals(sampler, 1, RATES, known), 2)
        assert (
            first == propose(sampler, 1, RATES, known) != second == next(proposals(sampler, 1, RATES, known, first=1))
        )


def test_points_that_nothing_is_known_of_differ():
    for sampler in SAMPLERS:
        assert len({varied["lr"] for varied in drawn(8, sampler)}) == 8


def test_a_sequence_of_eight_has_a_point_in_every_eighth_of_the_range():
    eighths = [int((math.log10(varied["lr"]) + 6) / 4 * 8) for varied in drawn(8, "qmc")]
    assert sorted(eighths) == list(range(8))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_goes_where_trials_were_good_and_not_where_they_diverged(sampler):
    def score(varied):
        return None if varied["lr"] > 1e-3 else 1 - abs(math.log10(varied["lr"]) + 4) / 4

    known = past(drawn(24), score)
    assert any(one.state == "diverged" for _, one in known)
    off = [abs(math.log10(propose(sampler, seed, RATES, known)["lr"]) + 4) for seed in range(5)]
    assert statistics.median(off) < 0.5  # at random it would be 1


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_pruned_failed_and_running_trials_are_no_obstacle(sampler):
    points = drawn(15)
    known = past(points[:11], lambda varied: varied["lr"])
    unfinished = replace(record(state="pruned"), overfit_reached=False)
    known += [(points[11], unfinished), (points[12], record(state="failed")), (points[13], None), (points[14], None)]
    assert 1e-6 <= propose(sampler, 0, RATES, known)["lr"] <= 1e-2


def test_a_sampler_that_knows_of_no_good_trial_goes_on():
    known = past(drawn(12), lambda varied: None)
    assert propose("tpe", 0, RATES, known) != propose("tpe", 1, RATES, known)


def test_finitely_many_points_can_be_told():
    choices = Space({"lr": [1e-3], "batch_size": [16, 32], "schedule": ["constant", "linear"]})
    assert len(list(choices.everything())) == 4
    assert next(choices.everything()) == {"lr": 1e-3, "batch_size": 16, "schedule": "constant"}
    assert list(Space(RANGES).everything()) == []


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_three_rates_or_more_are_choices_whose_order_does_not_matter(sampler):
    rates = [1e-3, 1e-5, 1e-4, 2e-5]
    space = Space({"lr": rates, "batch_size": [64, 16]})
    known = past(drawn(12, space=space), lambda varied: varied["lr"])
    assert {varied["lr"] for varied in drawn(12, sampler, space=space)} <= set(rates)
    assert propose(sampler, 0, space, known) == propose(
        sampler, 0, Space({"lr": sorted(rates), "batch_size": [16, 64]}), known
    )
    assert len(list(space.everything())) == 8
