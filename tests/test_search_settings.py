"""What a search alone takes: its budget, its ranges, its pruner."""

import pytest

from sweeper.config import compose, compose_studies
from sweeper.errors import UserError
from sweeper.schema import Budget


def test_a_search_stops_what_is_decided_unless_told_otherwise() -> None:
    assert compose(["study=search"]).prune.name == "overfit"
    assert compose(["study=search", "prune=none"]).prune.name == "none"
    assert compose(["prune=median", "study=search"]).prune.name == "median"
    assert compose(["study=grid"]).prune.name == "none"


def test_a_budget_that_is_named_takes_the_place_of_the_number_of_trials() -> None:
    assert compose(["study=search"]).study.budget == Budget(20, None, None)
    assert compose(["study=search", "study.budget.epochs=100"]).study.budget == Budget(None, None, 100)
    both = compose(["study=search", "study.budget.minutes=1.5", "study.budget.trials=5"])
    assert both.study.budget == Budget(5, 1.5, None)
    assert compose(["study=search", "study.budget.minutes=null"]).study.budget == Budget(20, None, None)


def test_ranges_keep_their_types() -> None:
    named = compose(
        ["study=search", "study.dropout=[0,0.3]", "study.seed=[0,1]", "study.schedule=[constant,linear]"]
    ).study
    assert (named.dropout, named.seed, named.schedule) == ((0.0, 0.3), (0, 1), ("constant", "linear"))
    assert [type(end) for end in (*named.dropout, *named.seed)] == [float, float, int, int]


def test_what_only_a_search_takes_goes_to_the_search_alone() -> None:
    lr, search = compose_studies(["study=lr,search", "study.budget.trials=5", "study.dropout=[0,0.3]"])
    assert (lr.study.budget, lr.study.dropout) == (Budget(None, None, None), None)
    assert (search.study.budget.trials, search.study.dropout) == (5, (0.0, 0.3))
    with pytest.raises(UserError, match=r"study\.dropout: got \[0\.0, 0\.3\], takes null in study=lr"):
        compose_studies(["study=lr,batch", "study.dropout=[0,0.3]"])


@pytest.mark.parametrize(
    ("choices", "trials"),
    [
        (["study.lr=[1e-5,1e-4,1e-3]"], 12),
        (["study.lr=[1e-5,1e-4,1e-3]", "study.batch_size=[16,32]", "study.seed=[0,1,2]"], 18),
        (["study.lr=null", "study.batch_size=null"], 1),
        (["study.lr=[1e-5,1e-3]", "study.batch_size=[16]"], 20),  # a range holds more points than are asked for
        (["study.lr=[1e-5,1e-4,1e-3]", "study.dropout=[0,0.3]"], 20),
    ],
)
def test_a_search_of_choices_alone_asks_for_no_more_trials_than_there_are(choices, trials):
    assert compose(["study=search", *choices]).study.budget.trials == trials
