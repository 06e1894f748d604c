"""A short choice of the faults; `make faults` runs all of them."""

from importlib import import_module
from operator import attrgetter

import pytest

import tests.faults.pruned
import tests.faults.stopping  # noqa: F401  these enter their faults
from tests.faults.__main__ import recorded, report
from tests.faults.kills import KILL, TERM, Kill, Outcome, every_kill, load_points
from tests.faults.left import differences
from tests.faults.others import FAULTS, Bench, Skipped
from tests.faults.sweep import EPOCHS, Inputs, Sweep, check

CHOICE = [
    Kill("Optuna point asked, without parameters", KILL, "self", 1),
    Kill("middle of an epoch", TERM, "parent", 1),
    Kill("state written, not named", KILL, "all", 1),
    Kill("record half-written", KILL, "self", 1),
    Kill("Optuna half-told of the end", KILL, "self", 1),
    Kill("MLflow page written, run not ended", TERM, "self", 1),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return Inputs.make(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, inputs):
    sweep = Sweep(tmp_path_factory.mktemp("undisturbed"), inputs)
    sweep.finish()
    return sweep.left()


def test_an_undisturbed_sweep_has_nothing_open_nothing_twice_and_every_epoch(undisturbed):
    assert sorted(one["state"] for one in undisturbed["optuna"].values()) == ["COMPLETE", "COMPLETE", "FAIL"]
    assert {run["status"] for run in undisturbed["mlflow"].values()} == {"FINISHED"}
    assert len(undisturbed["mlflow"]) == 4
    assert sum(len(one["curve"]) for one in undisturbed["trials"].values()) == EPOCHS
    assert undisturbed["half-written"] == []
    assert {count for run in undisturbed["mlflow"].values() for count in run["steps"].values()} == {1}


def test_a_sweep_killed_again_and_again_ends_as_if_undisturbed(tmp_path, inputs, undisturbed):
    sweep = Sweep(tmp_path / "killed", inputs, faults=[kill.fault for kill in CHOICE])
    sweep.finish()
    assert sweep.struck() == len(CHOICE)
    check(sweep, undisturbed, epochs=EPOCHS + len(CHOICE))


@pytest.mark.parametrize(
    "name",
    [
        "byte flipped in kept weights",
        "SIGKILL at every step of a pruner's verdict",
    ],
)
def test_a_fault_is_survived(name, tmp_path, inputs, undisturbed):
    try:
        FAULTS[name](Bench(tmp_path, inputs, undisturbed))
    except Skipped as why:
        pytest.skip(str(why))


def test_every_point_is_struck_by_both_signals_and_with_one_worker_and_four():
    points, kills = load_points(), every_kill()
    assert len(points) >= 40
    for role in ("worker", "parent"):
        tried = [kill for kill in kills if points[kill.point].role == role]
        assert {(kill.signal, kill.workers) for kill in tried} == {(s, w) for s in (KILL, TERM) for w in (1, 4)}
    assert {kill.whom for kill in kills} == {"self", "parent", "all"}


def test_every_point_is_a_function_that_there_is():
    for name, point in (load_points() | load_points("VERDICTS")).items():
        module, path = point.target.split(":")
        assert callable(attrgetter(path)(import_module(module))), name


def test_what_differs_is_found():
    left = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert list(differences(left, left)) == []
    assert list(differences(left, {"a": {"b": 1, "c": [2]}, "e": 3})) == [
        "/a/c: [2] instead of [1]",
        "/d is missing",
        "/e is there, 3",
    ]


def test_rows_tried_again_take_the_place_of_those_of_the_table():
    kills = {"state half-written": Outcome(4, 4), "model built": Outcome(4, 3, ["SIGTERM: two runs"])}
    others = {"Ctrl-C": Outcome(1, 0, ["left with code 0"]), "disk full": Outcome(skipped="not root")}
    table = report(kills, others, 41.0)
    assert "9 tries at 2 kill points and with 2 other faults in 41 min: 7 survived, 2 lost." in table
    assert recorded(table) == (kills, others, 41.0)
