"""Sweeps with a pruner, killed while its verdict is on the way to the trial that it stops."""

import signal

from tests.faults.kills import load_points
from tests.faults.left import differences
from tests.faults.others import Bench, demand, fault
from tests.faults.sweep import check

PRUNING = ["prune=halving", "study.lr=[3e-2,1e-6,1e30]"]  # the second learns nothing and is stopped after an epoch


def killed_at_every_step(bench: Bench, number: int) -> None:
    """One sweep, killed at one step of the verdict after the other: no verdict is lost and no epoch trained again."""
    undisturbed = bench.sweep("undisturbed", more=PRUNING)
    undisturbed.finish()
    left = undisturbed.left()
    states = sorted(one["state"] for one in left["optuna"].values())
    demand(states == ["COMPLETE", "FAIL", "PRUNED"], f"without a kill trials end {states}", undisturbed)
    kills = [{"point": name, "do": "kill", "signal": number, "whom": "self"} for name in load_points("VERDICTS")]
    sweep = bench.sweep("killed", faults=kills, more=PRUNING)
    sweep.finish()
    demand(sweep.struck() == len(kills), f"{sweep.struck()} of {len(kills)} kills have struck", sweep)
    check(sweep, left, epochs=undisturbed.epochs_begun())


@fault("SIGKILL at every step of a pruner's verdict")
def killed(bench: Bench) -> None:
    killed_at_every_step(bench, signal.SIGKILL)


@fault("SIGTERM at every step of a pruner's verdict")
def terminated(bench: Bench) -> None:
    killed_at_every_step(bench, signal.SIGTERM)


@fault("studies with a pruner that share points")
def shared_points(bench: Bench) -> None:
    """What one study stopped is stopped for the other: the same commands again and again train nothing."""
    sweep = bench.sweep(more=[*PRUNING, "study=lr,grid", "study.batch_size=[8,16]"])
    sweep.arguments.remove("study=lr")
    sweep.finish()
    left, begun = sweep.left(), sweep.epochs_begun()
    states = [one["record"]["state"] for one in left["trials"].values()]
    demand("pruned" in states, f"no trial was stopped: {states}", sweep)
    demand(begun == sum(len(one["curve"]) for one in left["trials"].values()), "a point was trained twice", sweep)
    sweep.finish()
    demand(sweep.epochs_begun() == begun, "a point was trained again", sweep)
    different = list(differences(left, sweep.left()))
    demand(not different, f"the same command again has changed {different[:6]}", sweep)
