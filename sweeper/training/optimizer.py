"""The optimizer and its learning rate, which is a pure function of the step.

No scheduler object: a resumed run knows its step and therefore its rate. Warm-up and decay follow
transformers' `get_linear_schedule_with_warmup`, which the source documents use: step 0 of a warm-up has
rate 0. Fused kernels where torch has them (CPU and CUDA), else torch's foreach default.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "linear")


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Warm-up in steps: an int is steps already, a float in (0, 1) is a fraction of all steps, rounded up."""
    if isinstance(warmup, float) and 0.0 < warmup < 1.0:
        return math.ceil(warmup * total_steps)
    return int(warmup)


def lr_at(step: int, *, lr: float, total_steps: int, schedule: str = "constant", warmup: float = 0) -> float:
    """Learning rate of one optimizer step.

    Args:
        step: 0-based.
        lr: the highest rate.
        total_steps: steps of the whole training.
        schedule: `constant`, or `linear` decay that would reach 0 at step `total_steps`.
        warmup: steps (int) or fraction of all steps (float in (0, 1)) of linear growth from 0.

    Raises:
        ValueError: unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {SCHEDULES}, not {schedule!r}")
    warm = warmup_steps(warmup, total_steps)
    if step < warm:
        return lr * step / warm
    if schedule == "constant":
        return lr
    return lr * max(0, total_steps - step) / max(1, total_steps - warm)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: those that decay, and biases and LayerNorm weights, which do not."""
    kept_whole = {id(p) for module in model.modules() if isinstance(module, nn.LayerNorm) for p in module.parameters()}
    decays: list[nn.Parameter] = []
    stays: list[nn.Parameter] = []
    for name, parameter in _trainable(model.named_parameters()):
        (stays if id(parameter) in kept_whole or name.endswith("bias") else decays).append(parameter)
    groups = [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _trainable(named: Iterable[tuple[str, nn.Parameter]]) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in named if parameter.requires_grad)


def build_optimizer(
    model: nn.Module, *, name: str, lr: float, weight_decay: float = 0.0, momentum: float = 0.0
) -> torch.optim.Optimizer:
    """An optimizer over the trainable parameters.

    Args:
        model: already on its device.
        name: `adam` (decay is L2), `adamw` (decoupled decay) or `sgd`.
        lr: starting rate; the loop sets it at every step.
        weight_decay: for all but biases and LayerNorm weights.
        momentum: of `sgd`.

    Raises:
        ValueError: unknown name.
    """
    groups = parameter_groups(model, weight_decay)
    device = next(model.parameters()).device.type
    fused = True if device in ("cpu", "cuda") else None
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, fused=fused)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, fused=fused)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=fused)
    raise ValueError(f"optimizer must be one of {OPTIMIZERS}, not {name!r}")
