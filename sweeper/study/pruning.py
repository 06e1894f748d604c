"""Who stops a trial before its last epoch: Optuna's pruners by our names, and what a stopped trial's record says.

`overfit` is not among them: a worker knows by itself when its trial's score is final. The others compare
trials, so a worker that trains under one of them waits after every epoch for its parent's answer.
"""

from collections.abc import Mapping
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner


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


def stopped_by(prune: Mapping[str, Any], study_id: str) -> str | None:
    """What the record of a trial says that this section of this study stops; None where nothing does."""
    name = str(prune["name"])
    return {"none": None, "overfit": name}.get(name, f"{name} in {study_id}")
