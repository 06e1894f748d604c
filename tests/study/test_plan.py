"""How a cluster's nodes are shared out among workers."""

import pytest

from sweeper.config import compose
from sweeper.errors import UserError
from sweeper.study.plan import plan_for
from sweeper.study.pool import Node, Plan

NODES = (Node("head", 2, 0), Node("small", 5, 1), Node("large", 64, 8))


def plan(*overrides, trials=1000):
    return plan_for(compose(["launcher=ray", *overrides]), trials, NODES)


def test_there_are_as_many_workers_as_the_nodes_have_room_for():
    assert plan() == Plan(("cpu",) * 71, 1)
    assert plan("launcher.num_cpus=4").workers == 0 + 1 + 16  # a worker is on one node
    assert plan("launcher.num_gpus=1") == Plan(("cuda",) * 9, 1)
    assert plan("launcher.num_gpus=0.5", "launcher.num_cpus=2").workers == 2 + 16
    assert plan("launcher.num_gpus=0.3").workers == 3 + 24  # what is left of a GPU is no third of another
    assert plan("launcher.num_gpus=0.1", "launcher.num_cpus=5").workers == 1 + 12  # the processors are used up first


def test_there_are_no_more_than_trials_and_as_many_as_are_asked_for():
    assert plan(trials=8).workers == 8
    assert plan("launcher.workers=100", trials=8).workers == 100  # those without room wait for it


def test_a_trial_has_as_many_threads_as_processors_unless_it_is_told():
    assert plan("launcher.num_cpus=4").threads == 4
    assert plan("launcher.num_cpus=4", "launcher.threads=1").threads == 1


def test_more_than_any_node_has_is_refused_with_what_they_have():
    with pytest.raises(UserError, match=r"launcher\.num_cpus=65, .*small: 5 CPUs, 1 GPUs; large: 64 CPUs, 8 GPUs"):
        plan("launcher.num_cpus=65")
    with pytest.raises(UserError, match=r"launcher\.num_cpus=1, launcher\.num_gpus=1: no node"):
        plan_for(compose(["launcher=ray", "launcher.num_gpus=1"]), 8, NODES[:1])
