"""Who stops a trial before its last epoch: Optuna's pruners by our names, and what a stopped trial's record says.

`overfit` is not among them: a worker knows by itself when its trial's score is final. The others compare
trials, so a worker that trains under one of them waits after every epoch for its parent's answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial


def make_pruner(prune: Mapping[str, Any], epochs: int) -> BasePruner:
    """Optuna's pruner for the configuration's `prune` section; one that never stops where none compares trials.

    Args:
        epochs: of a whole trial.
    """
    first, factor = prune["first_epoch"], prune["factor"]
    if prune["name"] == "median":
        return MedianPruner(n_startup_trials=prune["startup_trials"], n_warmup_steps=first)
    if prune["name"] == "halving":
        return SuccessiveHalvingPruner(min_resource=first, reduction_factor=factor)
    if prune["name"] == "hyperband":
        return HyperbandPruner(min_resource=first, max_resource=max(epochs, first), reduction_factor=factor)
    return NopPruner()


def judge(
    pruner: BasePruner, study_name: str, trials: Sequence[FrozenTrial], number: int
) -> tuple[bool, dict[str, Any]]:
    """A pruner's verdict on a trial after the last epoch it has reported, found on a copy of the study.

    The halving pruners note which rung a trial has reached before they answer, and a trial that has reached a rung
    is not judged there again: a kill between their note and our own would lose the verdict, and a trial that had
    to stop would go on. On a copy nothing is noted until whoever asked writes it down, the verdict first.

    Args:
        study_name: of the study; Hyperband draws a trial's bracket from it and the trial's number.
        trials: all of the study, by number.
        number: of the trial to judge.

    Returns:
        Whether the trial stops, and what the pruner noted about it, to be kept with the study's trial.
    """
    if isinstance(pruner, NopPruner):
        return False, {}
    copy = optuna.create_study(study_name=study_name, direction="maximize", pruner=pruner)
    copy.add_trials(trials)
    stop = pruner.prune(copy, copy.get_trials(deepcopy=False)[number])
    after = copy.get_trials(deepcopy=False)[number].system_attrs
    return stop, {name: value for name, value in after.items() if name not in trials[number].system_attrs}


def stopped_by(prune: Mapping[str, Any], study_id: str) -> str | None:
    """What the record of a trial says that this section of this study stops; None where nothing does."""
    name = str(prune["name"])
    return {"none": None, "overfit": name}.get(name, f"{name} in {study_id}")
