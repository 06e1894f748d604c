"""How a command uses this machine or a cluster: from its configurations to workers, threads and devices.

Imports nothing slow, so that workers can be started before their parent has its own imports done.
"""

import sys
from collections.abc import Sequence
from glob import glob

from sweeper import assets
from sweeper.config import Config, plain
from sweeper.errors import UserError
from sweeper.launcher import RAY, Launcher
from sweeper.study.budget import Budget
from sweeper.study.pool import Node, Plan
from sweeper.study.space import seeds_of
from sweeper.study.workers import cores, encoder_parameters, plan_workers

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


def plan_for(config: Config, trials: int, nodes: Sequence[Node] = ()) -> Plan:
    """How this machine is used for so many trials of this configuration's encoder, or these nodes of a cluster.

    Raises:
        UserError: no node has as much as a worker is to have.
    """
    launcher = config.launcher
    if launcher.name == RAY:
        return plan_on(nodes, launcher, trials)
    return plan_workers(
        launcher.workers,
        launcher.threads,
        parameters=encoder_parameters(assets.encoder(config.model)),
        cores=cores(),
        gpus=_gpus(config.train.device),
        trials_per_gpu=launcher.trials_per_gpu,
        trials=trials,
    )


def plan_on(nodes: Sequence[Node], launcher: Launcher, trials: int) -> Plan:
    """How a Ray cluster is used; `launcher.workers=auto` is as many as it has room for, and no more than trials.

    Raises:
        UserError: no node has as much as a worker is to have.
    """
    cpus, gpus = launcher.num_cpus or 1, launcher.num_gpus or 0.0
    room = sum(_room(node, cpus, gpus) for node in nodes)
    if room == 0:
        has = "; ".join(f"{node.name}: {node.cpus:g} CPUs, {node.gpus:g} GPUs" for node in nodes)
        raise UserError(
            f"launcher.num_cpus={cpus}, launcher.num_gpus={gpus:g}: no node of the Ray cluster has as much as that "
            f"({has}). Ask for less, or start the cluster with a node that has it."
        )
    count = min(room, trials) if launcher.workers == "auto" else int(launcher.workers)
    threads = cpus if launcher.threads == "auto" else int(launcher.threads)
    return Plan(("cuda" if gpus else "cpu",) * count, threads)


def _room(node: Node, cpus: int, gpus: float) -> int:
    """Workers that fit on a node; a share of a GPU is one of the same GPU."""
    by_cpus = int(node.cpus // cpus)
    return min(by_cpus, int(node.gpus) * int(1 / gpus + 1e-9)) if gpus else by_cpus


def _gpus(device: str) -> int:
    """GPUs to train on. torch, which takes seconds to import, is asked only where there may be one."""
    if device == "cpu" or (device == "auto" and not any(glob(pattern) for pattern in GPU_FILES)):
        return 0
    import torch

    from sweeper.training.compute import resolve_device

    return torch.cuda.device_count() if resolve_device(device).type == "cuda" else 0
