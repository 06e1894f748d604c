"""Dropout that does not dominate a small encoder's step on a CPU.

torch draws one Bernoulli number an element on a CPU: 6 ns each, a third of a bf16 step of the bundled
encoder. Four 16-bit draws out of every 64-bit one do the same at a quarter of the price. The rate is
rounded to 1/65536 and the kept values are scaled by the rounded rate, so the expectation is exact.
Draws come from torch's global generator, so seeding it fixes them. Accelerators keep torch's kernel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEVELS = 1 << 16
LOWEST = -(1 << 15)


def scaled_mask(shape: Sequence[int], p: float, like: Tensor) -> Tensor:
    """A dropout mask: 0 with probability `p`, else 1 / (1 - p), in the dtype and on the device of `like`.

    Args:
        shape: of the mask.
        p: probability of a zero, in [0, 1].
        like: gives dtype and device.
    """
    dropped = round(p * LEVELS)
    if dropped >= LEVELS:
        return like.new_zeros(tuple(shape))
    mask = like.new_empty(tuple(shape))
    if like.device.type != "cpu":
        return mask.bernoulli_(1 - p).div_(1 - p)
    words = torch.empty((mask.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    draws = words.view(torch.int16)[: mask.numel()].view(mask.shape)
    return torch.ge(draws, LOWEST + dropped, out=mask).mul_(LEVELS / (LEVELS - dropped))


class CheapDropout(nn.Dropout):
    """`nn.Dropout` with `scaled_mask` on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements of a tensor of any shape while training."""
        if not self.training or self.p == 0.0 or input.device.type != "cpu":
            return super().forward(input)
        return input * scaled_mask(input.shape, self.p, input)


def use_cheap_dropout(model: nn.Module) -> None:
    """Put `CheapDropout` in place of every plain `nn.Dropout` of a model; it has no weights, so none change."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                cheap = CheapDropout(child.p)
                cheap.train(child.training)
                setattr(module, name, cheap)
