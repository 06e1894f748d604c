"""Who stops a trial before its last epoch: Optuna's pruners by our names, and what a stopped trial's record says.

`overfit` is not among them: a worker knows by itself when its trial's score is final. The others compare
trials, so a worker that trains under one of them waits after every epoch for its parent's answer.
"""

from collections.abc import Mapping
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


def judge(pruner: BasePruner, study: optuna.Study, trial: FrozenTrial) -> tuple[bool, dict[str, Any]]:
    """A pruner's verdict on a trial after the last epoch it has reported; nothing in the study changes.

    The halving pruners note which rung a trial has reached before they answer, and a trial that has reached a rung
    is not judged there again: a kill between their note and our own would lose the verdict, and a trial that had
    to stop would go on. So notes are caught until whoever asked writes them down, the verdict first.

    Returns:
        Whether the trial stops, and what the pruner noted about it, to be kept with the study's trial.
    """
    if isinstance(pruner, NopPruner):
        return False, {}
    storage: Any = _CaughtNotes(study._storage)
    return pruner.prune(optuna.Study(study.study_name, storage, pruner=pruner), trial), storage.notes


class _CaughtNotes:
    """A storage as it is, but for what is noted about a trial, which does not reach it."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.notes: dict[str, Any] = {}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.notes[key] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


def stopped_by(prune: Mapping[str, Any], study_id: str) -> str | None:
    """What the record of a trial says that this section of this study stops; None where nothing does."""
    name = str(prune["name"])
    return {"none": None, "overfit": name}.get(name, f"{name} in {study_id}")
