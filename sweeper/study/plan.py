"""How a command uses this machine: from its configurations to workers, threads and devices.

Imports nothing slow, so that workers can be started before their parent has its own imports done.
"""

import sys
from collections.abc import Sequence
from glob import glob

from sweeper import assets
from sweeper.config import Config, plain
from sweeper.study.budget import Budget
from sweeper.study.space import seeds_of
from sweeper.study.workers import Plan, cores, encoder_parameters, plan_workers

GPU_FILES = ("/dev/nvidia*", "/dev/nvhost*", "/dev/kfd", "/dev/dxg")  # NVIDIA's, Tegra's, AMD's, WSL's


def most_trials(configs: Sequence[Config]) -> int:
    """Trials of the largest of these studies: one plan serves them all, so that no pool is started twice."""
    numbers = [trials_of(config) for config in configs]
    return max(sys.maxsize if number is None else number for number in numbers)


def trials_of(config: Config) -> int | None:
    """Trials of one study, none of which is pruned; None where only time will tell."""
    values = plain(config)
    if budget := Budget.of(values["study"]):
        return budget.room(trials=0, epochs=0, minutes=0.0, epochs_each=config.train.epochs)
    return len(config.study.lr or [0]) * len(config.study.batch_size or [0]) * len(seeds_of(values) or [0])


def plan_for(config: Config, trials: int) -> Plan:
    """How this machine is used for so many trials of this configuration's encoder."""
    launcher = config.launcher
    return plan_workers(
        launcher.workers,
        launcher.threads,
        parameters=encoder_parameters(assets.encoder(config.model)),
        cores=cores(),
        gpus=_gpus(config.train.device),
        trials_per_gpu=launcher.trials_per_gpu,
        trials=trials,
    )


def _gpus(device: str) -> int:
    """GPUs to train on. torch, which takes seconds to import, is asked only where there may be one."""
    if device == "cpu" or (device == "auto" and not any(glob(pattern) for pattern in GPU_FILES)):
        return 0
    import torch

    from sweeper.training.compute import resolve_device

    return torch.cuda.device_count() if resolve_device(device).type == "cuda" else 0
