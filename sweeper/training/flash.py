"""The GPU's variable-length attention kernels, and whether this GPU, this torch and this model can use them.

Torch's `varlen_attn` knows no attention dropout, so a training goes to the operator beneath it, which does and
has a gradient. Both are FlashAttention, which needs an Ampere GPU, half precision and heads of a multiple of 8.
An operator that is called by its inner name may change with torch's next version: before it is used it is tried
once, forward and backward, on three short sequences (one of them empty, as a replayed step's tail can be)
against plain products. What raises or is wrong there is not used, and a training pads as it always could.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

AMPERE = (8, 0)
SIZE_STEP, LARGEST_SIZE = 8, 256  # head sizes that the kernels take
TRIED_LENGTHS, TRIED_DROPOUT = (3, 5, 0), 0.5
CLOSE, CLOSE_PART = 0.02, 0.05  # bf16 has eight bits

varlen_attn: Callable[..., Any] | None
try:
    from torch.nn.attention.varlen import varlen_attn as _varlen_attn
except ImportError:
    varlen_attn = None
else:
    varlen_attn = _varlen_attn


def varlen_with_dropout(
    query: Tensor, key: Tensor, value: Tensor, cumulative: Tensor, longest: int, dropout: float, scale: float
) -> Tensor:
    """Attention within sequences, attention weights dropped.

    Args:
        query, key, value: (T, heads, size), all of them some sequence's.
        cumulative: starts of the sequences and the end, int32.
        longest: no sequence is longer.
        dropout: probability of dropping an attention weight.
        scale: factor of the scores.

    Returns:
        (T, heads, size).
    """
    operator: Any = torch.ops.aten._flash_attention_forward
    result: Tensor = operator(
        query, key, value, cumulative, cumulative, longest, longest, dropout, False, False, scale=scale
    )[0]
    return result


def serves(device: torch.device, dtype: torch.dtype, size: int, dropout: float) -> bool:
    """Whether a variable-length kernel can be used.

    Args:
        device: of the rows.
        dtype: of the rows.
        size: of a head.
        dropout: 0, or above 0 in a training.
    """
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    if size % SIZE_STEP or size > LARGEST_SIZE or torch.cuda.get_device_capability(device) < AMPERE:
        return False
    return varlen_attn is not None if dropout == 0.0 else dropout_serves(device, dtype, size)


@functools.cache
def dropout_serves(device: torch.device, dtype: torch.dtype, size: int) -> bool:
    """Whether `varlen_with_dropout` gives what it should; tried once a process, and waits for the device.

    Warns:
        UserWarning: it does not, and why.
    """
    try:
        with _undisturbed(device):
            _try(device, dtype, size)
    except torch.OutOfMemoryError:  # says nothing of the kernel
        raise
    except (AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError) as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"attention with dropout pads sequences: the faster kernel does not serve ({why})", stacklevel=2)
        return False
    return True


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """In the middle of a forward pass: no autocast, and random generators left as they were."""
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.autocast(device.type, enabled=False),
        torch.enable_grad(),
    ):
        yield


def _try(device: torch.device, dtype: torch.dtype, size: int) -> None:
    """Without dropout equal to plain products, gradients too; with dropout another result, and finite gradients."""
    ends = torch.tensor(TRIED_LENGTHS, device=device).cumsum(0)
    cumulative = torch.nn.functional.pad(ends, (1, 0)).to(torch.int32)
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(sum(TRIED_LENGTHS), 2, size, generator=generator).div(2).to(device, dtype) for _ in range(3)]
    theirs, ours, dropped = ([row.clone().requires_grad_() for row in rows] for _ in range(3))

    expected = _plain(*theirs)
    ends_and_longest, scale = (cumulative, max(TRIED_LENGTHS)), size**-0.5
    result = varlen_with_dropout(ours[0], ours[1], ours[2], *ends_and_longest, 0.0, scale)
    other = varlen_with_dropout(dropped[0], dropped[1], dropped[2], *ends_and_longest, TRIED_DROPOUT, scale)
    for output in (expected, result, other):
        output.float().square().sum().backward()  # type: ignore[no-untyped-call]

    for mine, reference in ((result, expected), *((o.grad, t.grad) for o, t in zip(ours, theirs, strict=True))):
        assert mine is not None
        assert reference is not None
        torch.testing.assert_close(mine, reference, atol=CLOSE, rtol=CLOSE_PART)
    assert not torch.equal(other, result), "it drops nothing"
    assert all(row.grad is not None and bool(row.grad.isfinite().all()) for row in dropped), "gradients not finite"


def _plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    results = []
    for q, k, v in zip(*(torch.split(rows.float(), list(TRIED_LENGTHS)) for rows in (query, key, value)), strict=True):
        weights = torch.einsum("qhs,khs->hqk", q, k).mul(query.shape[-1] ** -0.5).softmax(-1)
        results.append(torch.einsum("hqk,khs->qhs", weights, v))
    return torch.cat(results).to(query.dtype)
