"""What the studies of one command share: a plan for the largest of them, and the points that have been tried."""

import io
from contextlib import ExitStack
from types import SimpleNamespace

from records import record
from rich.console import Console

from sweeper.config import compose, compose_studies
from sweeper.study import plan, sweep
from sweeper.study.result import StudyResult
from sweeper.study.workers import ProcessPool


def studies(tmp_path, *more):
    return [compose([f"paths.runs={tmp_path}", "progress=none", *one]) for one in more]


def test_one_plan_serves_the_largest_study(tmp_path):
    lr, batch, grid, single = studies(tmp_path, ["study=lr"], ["study=batch"], ["study=grid"], ["study=single"])
    assert plan.most_trials([lr, batch]) == 8
    assert plan.most_trials([batch]) == 4
    assert plan.most_trials([grid]) == 32
    assert plan.most_trials([single]) == 1


def test_a_search_has_as_many_trials_as_its_budget_has_room_for(tmp_path):
    search = ["study=search", "train.epochs=5"]
    trials, epochs, minutes, both = studies(
        tmp_path,
        search,
        [*search, "study.budget.epochs=34"],
        [*search, "study.budget.minutes=9"],
        [*search, "study.budget.minutes=9", "study.budget.trials=3"],
    )
    assert [plan.trials_of(one) for one in (trials, epochs, minutes, both)] == [20, 6, None, 3]
    assert plan.most_trials([both, epochs]) == 6
    assert plan.most_trials([both, minutes]) > 1000
    assert [sweep.epochs_of([one], after=both) for one in (trials, epochs, minutes)] == [100, 30, 0]


def test_every_seed_is_a_trial(tmp_path):
    lr, batch, single = studies(
        tmp_path,
        ["study=lr", "study.seeds=3"],
        ["study=batch", "study.seeds=[5,7]"],
        ["study=single", "study.seeds=4"],
    )
    assert [plan.trials_of(one) for one in (lr, batch, single)] == [24, 8, 4]
    assert sweep.epochs_of([batch], after=lr) == 60  # one of four sizes is the lr study's


def test_a_study_does_not_try_again_what_one_before_it_in_the_same_command_gave_up(tmp_path, monkeypatch):
    seen = []

    def run_study(config, pool, progress, stack, trials, tried):
        seen.append(set(tried))
        prepared = SimpleNamespace(title=config.study.name)
        return StudyResult(prepared, (record(config.study.name, state="failed"),), None, frozenset())

    monkeypatch.setattr(sweep, "_run_study", run_study)
    with ExitStack() as trackers, ProcessPool(tmp_path / "logs") as pool:
        both = studies(tmp_path, ["study=lr"], ["study=batch"])
        sweep.run_studies(both, Console(file=io.StringIO()), pool, trackers)
    assert seen == [set(), {"lr"}]


def test_later_studies_count_every_epoch_they_may_train():
    lr, batch = compose_studies(["study=lr,batch"])
    assert sweep.epochs_of([batch], after=lr) == 30  # the fourth point is one of the lr study's
    assert sweep.epochs_of([lr], after=batch) == 80
    assert sweep.epochs_of([], after=lr) == 0
