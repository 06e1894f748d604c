"""An open list of points: found one by one, listed before anybody trains them, within the budget."""

import json
from dataclasses import replace

import pytest
from records import CONFIG, record

from sweeper.study.budget import Budget
from sweeper.study.sampling import Space
from sweeper.study.search import SearchPoints
from sweeper.study.space import Point

RATES = {"lr": [1e-5, 1e-2], "batch_size": [16, 32]}
HEAD = {"study": "search", "id": "made/search@1", "config": {}}


def make_point(varied):
    return Point(json.dumps(varied), varied, CONFIG)


@pytest.fixture
def search(tmp_path):
    def start(budget, ranges=RATES, *, seed=0, sampler="random", file="search@1.json"):
        """What one start of a sweep has of the search."""
        return SearchPoints(
            Space(ranges), budget, sampler=sampler, seed=seed, epochs=3, point=make_point, head=HEAD,
            file=tmp_path / file,
        )  # fmt: skip

    start.listed = lambda file="search@1.json": list(json.loads((tmp_path / file).read_text())["trials"])
    return start


def keys(points):
    return [point.key for point in points.known]


def train(points, records, **changes):
    """Let the last point end."""
    key = points.known[-1].key
    records[key] = replace(record(key), **changes)


def run(points, records):
    """Find and train points, one at a time, until there is none."""
    while points.extend(records):
        train(points, records)
    return keys(points)


def test_a_point_is_listed_before_anybody_trains_it(search):
    points = search(Budget(2, None, None))
    assert (keys(points), points.most, points.size) == ([], 2, "2 trials (random)")
    assert points.extend({})
    assert keys(points) == search.listed() != []


def test_there_are_as_many_trials_as_the_budget_says_and_none_is_found_twice(search):
    points = search(Budget(5, None, None))
    found = run(points, {})
    assert len(set(found)) == len(found) == 5
    assert points.most == 5


def test_epochs_are_never_exceeded_and_what_a_pruned_trial_leaves_is_spent(search):
    points, records = search(Budget(None, None, 7)), {}
    assert points.most == 2
    assert points.extend(records)
    assert points.extend(records)
    assert not points.extend(records)  # 3 + 3 are spoken for
    train(points, records, state="pruned", curve=record().curve[:2])
    assert not points.extend(records)  # 3 + 2
    records[points.known[0].key] = replace(record(), state="pruned", curve=record().curve[:2])
    assert points.extend(records)  # 2 + 2 + 3
    assert points.most == 3


def test_no_trial_is_begun_after_the_minutes_and_another_start_remembers_them(search, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("sweeper.study.search.time.monotonic", lambda: now)
    points, records = search(Budget(None, 2, None)), {}
    assert points.extend(records)
    assert points.most is None
    train(points, records)
    now += 61
    assert points.extend(records)
    train(points, records)
    again = search(Budget(None, 2, None))
    now += 61
    assert not again.extend(records)
    train(points, records)
    assert not points.extend({**records, "one more": record()})
    assert search(Budget(None, 2, None)).most == 2
    longer = search(Budget(None, 3, None))
    assert longer.extend(records)


def test_there_is_a_first_trial_however_long_it_took_to_get_there(search, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("sweeper.study.search.time.monotonic", lambda: now)
    points = search(Budget(None, 0.1, None))
    now += 61
    assert len(run(points, {})) == 1


def test_another_start_has_the_points_of_the_first_and_goes_on_as_it_would_have(search):
    undisturbed = run(search(Budget(15, None, None), sampler="tpe", file="whole@1.json"), {})
    records = {}
    first = run(search(Budget(12, None, None), sampler="tpe"), records)
    again = search(Budget(15, None, None), sampler="tpe")
    assert keys(again) == first == undisturbed[:12]
    assert run(again, records) == undisturbed


def test_another_seed_finds_other_points(search):
    assert not set(run(search(Budget(3, None, None)), {})) & set(
        run(search(Budget(3, None, None), seed=1, file="other@1.json"), {})
    )


def test_two_sweeps_share_the_budget_and_the_points(search):
    one, other = search(Budget(3, None, None)), search(Budget(3, None, None))
    assert one.extend({})
    assert other.extend({})  # takes in what the first has found
    assert keys(other) == keys(one)
    assert other.extend({})
    assert other.extend({})
    assert not other.extend({})
    assert one.extend({})
    assert keys(one) == keys(other) == search.listed()


def test_a_search_ends_where_its_ranges_hold_no_more_points(search):
    few = {"lr": [1e-3], "batch_size": [16, 32, 64], "schedule": ["constant", "linear"]}
    found = run(search(Budget(None, None, 1000), few, sampler="tpe"), {})
    assert len(set(found)) == len(found) == 6


def test_at_the_end_it_says_what_is_used_of_the_budget(search):
    points, records = search(Budget(None, None, 7)), {}
    while points.extend(records):
        train(points, records, curve=(*record().curve, *record().curve)[:3])
    assert points.spent == "6 of 7 epochs (a trial may take 3)"
    points = search(Budget(2, None, 6), file="search@2.json")
    run(points, records := {})
    assert points.spent.startswith("2 of 2 trials, ")
