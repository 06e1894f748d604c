import pytest

from sweeper.study.budget import Budget


@pytest.mark.parametrize(
    ("budget", "room"),
    [
        (Budget(5, None, None), 2),
        (Budget(3, None, None), 0),
        (Budget(2, None, None), 0),  # a smaller number than on an earlier start
        (Budget(None, None, 40), 1),
        (Budget(None, None, 39), 0),  # a trial that does not fit is not begun
        (Budget(5, None, 40), 1),
        (Budget(None, 10.0, None), None),
        (Budget(None, 5.0, None), 0),
        (Budget(5, 10.0, None), 2),
        (Budget(5, 5.0, None), 0),
    ],
)
def test_room_is_what_the_tightest_limit_leaves(budget, room):
    assert budget.room(trials=3, epochs=30, minutes=5.0, epochs_each=10) == room


def test_only_a_search_has_a_budget():
    assert Budget.of({"name": "lr", "budget": {"trials": None, "minutes": None, "epochs": None}}) is None
    assert Budget.of({"name": "lr"}) is None  # of a study that was listed before there were budgets
    assert Budget.of({"budget": {"trials": 3, "minutes": None, "epochs": None}}) == Budget(3, None, None)


def test_a_budget_reads_well():
    assert str(Budget(20, None, None)) == "20 trials"
    assert str(Budget(None, 0.5, 100)) == "100 epochs or 0.5 minutes"
