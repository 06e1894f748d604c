"""What the studies of one command share: a plan for the largest of them."""

from sweeper.config import compose
from sweeper.study import sweep


def studies(tmp_path, *more):
    return [compose([f"paths.runs={tmp_path}", "progress=none", *one]) for one in more]


def test_one_plan_serves_the_largest_study(tmp_path):
    lr, batch, grid, single = studies(tmp_path, ["study=lr"], ["study=batch"], ["study=grid"], ["study=single"])
    assert sweep.most_trials([lr, batch]) == 8
    assert sweep.most_trials([batch]) == 4
    assert sweep.most_trials([grid]) == 32
    assert sweep.most_trials([single]) == 1
