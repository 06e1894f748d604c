"""How much arithmetic a training needs, and how much the machine can do: both sides of `efficiency`.

Counted are multiplications and additions of the encoder's matrix products (embedding look-ups, LayerNorm,
softmax and the head on one token a sentence cost next to nothing). With H hidden size, F inner size and a
sentence of L tokens, the forward pass of one layer takes

* 2 FLOPs a weight and token: 2 · (4H² + 2HF) · L, four H × H projections and the H × F and F × H layers;
* attention: every query with every key (2·L²·H, all heads together) and every weight with every value
  (2·L²·H): 4·H·L².

The backward pass takes each product twice, once for the gradient of either factor: training costs three
forward passes, 6 · parameters · tokens + 12 · layers · H · ΣL² in all. That is the *useful* count: padding
is no part of it, nor is anything that a program might compute twice. It is the model's own arithmetic, as
usual for "model FLOPs utilisation". Packed batching does less of it: the last layer works on first tokens
only after keys and values, since no other row reaches the head. `executed_flops` leaves that out too.
"""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

SECONDS_A_SHAPE = 1.0


def layer_parameters(hidden: int, inner: int) -> int:
    """Weights of one layer's matrices."""
    return 4 * hidden * hidden + 2 * hidden * inner


def useful_flops(lengths: Sequence[int], *, layers: int, hidden: int, inner: int) -> int:
    """Forward and backward over sentences of these lengths, padding none, every row of every layer."""
    tokens, squares = sum(lengths), sum(length * length for length in lengths)
    return 6 * layers * layer_parameters(hidden, inner) * tokens + 12 * layers * hidden * squares


def executed_flops(lengths: Sequence[int], *, layers: int, hidden: int, inner: int) -> int:
    """As `useful_flops`, less what the last layer leaves out: all but keys and values of all but first tokens."""
    tokens, squares, rows = sum(lengths), sum(length * length for length in lengths), len(lengths)
    left_out = layer_parameters(hidden, inner) - 2 * hidden * hidden
    everything = useful_flops(lengths, layers=layers, hidden=hidden, inner=inner)
    return everything - 6 * left_out * (tokens - rows) - 12 * hidden * (squares - tokens)


def ceiling(job: Mapping[str, Any]) -> dict[str, Any]:
    """The highest rate of matrix products: over the shapes of a training step and large squares, the best median.

    Args:
        job: `hidden`, `inner`, `tokens` (of a batch), `squares` (sizes), `precision`, `device`.

    Returns:
        `flops_per_second`, and `shapes`: the rate of each (m, k, n).
    """
    hidden, inner, tokens = job["hidden"], job["inner"], job["tokens"]
    shapes = [
        *((tokens, hidden, hidden), (tokens, hidden, inner), (tokens, inner, hidden)),
        (inner, tokens, hidden),
        *((size, size, size) for size in job["squares"]),
    ]
    rates = {"x".join(map(str, shape)): _rate(*shape, job["precision"], job["device"]) for shape in shapes}
    return {"flops_per_second": max(rates.values()), "shapes": rates}


def _rate(m: int, k: int, n: int, precision: str, device: str) -> float:
    import torch

    dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[precision]
    left, right = (torch.randn(*shape, device=device).to(dtype) for shape in ((m, k), (k, n)))
    out = torch.empty(m, n, dtype=dtype, device=device)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < SECONDS_A_SHAPE:
        started = time.perf_counter()
        torch.mm(left, right, out=out)
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 2 * m * k * n / median(times[1:])
