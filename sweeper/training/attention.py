"""Attention over a flat row of tokens that holds many sequences.

Everything else in an encoder works token by token and runs on the flat row as it is; attention alone
must know where sequences begin. On a GPU that has them, in half precision, variable-length kernels take the
row as it is (`flash.py`). Elsewhere the row is laid out as a few padded blocks of sequences of similar length
(batches arrive sorted by length), which keeps padding and the number of kernels both small.

On a CPU the blocks go through one hand-written autograd function, in float32: torch's CPU flash kernel
has no dropout, its fallback copies every operand twice, and bf16 products of ever new shapes cost more in
oneDNN's kernel generation (2 ms a shape) than they save.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sweeper.training import flash
from sweeper.training.boundaries import Boundaries, Lane
from sweeper.training.dropout import scaled_mask


def attend(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Boundaries, scale: float, dropout: float, first_only: bool
) -> Tensor:
    """Attention of every token to the tokens of its own sequence.

    Args:
        query, key, value: (T, heads, size) of the flat row.
        boundaries: where the sequences lie; the row may hold further tokens after them.
        scale: factor of the scores.
        dropout: probability of dropping an attention weight; 0 when not training.
        first_only: only the first tokens' results are wanted.

    Returns:
        (T, heads, size); zero in rows that are no sequence's. With `first_only` other rows may be anything finite.
    """
    kernel = kernel_for(query.device, query.dtype, query.shape[-1], dropout)
    if kernel != "varlen" and not boundaries.blocks:
        raise RuntimeError("a step can be replayed with variable-length attention only")
    if kernel == "blocks":
        queries = take_rows(query, boundaries.starts) if first_only else query
        result: Tensor = _BlockAttention.apply(  # type: ignore[no-untyped-call]
            queries, key, value, boundaries, scale, dropout, first_only
        )
        return put_rows(result, boundaries.starts, len(query)) if first_only else result
    if kernel == "varlen":
        q, k, v = (rows[: boundaries.tokens] for rows in (query, key, value))
        return _filled_up(_varlen(q, k, v, boundaries, scale, dropout), len(query))
    return padded_attention(query, key, value, boundaries, scale, dropout)


def kernel_for(
    device: torch.device, dtype: torch.dtype, size: int, dropout: float
) -> Literal["blocks", "varlen", "padded"]:
    """Which attention serves heads of a `size`: `blocks` on a CPU; on a GPU `varlen` where it can be had."""
    if device.type == "cpu":
        return "blocks"
    return "varlen" if flash.serves(device, dtype, size, dropout) else "padded"


def _varlen(q: Tensor, k: Tensor, v: Tensor, boundaries: Boundaries, scale: float, dropout: float) -> Tensor:
    """Attention of rows that are all some sequence's."""
    ends, longest = boundaries.cumulative, boundaries.longest
    if dropout:
        return flash.varlen_with_dropout(q, k, v, ends, longest, dropout, scale)
    assert flash.varlen_attn is not None
    result: Tensor = flash.varlen_attn(q, k, v, ends, ends, longest, longest, scale=scale)
    return result


def padded_attention(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Boundaries, scale: float, dropout: float
) -> Tensor:
    """torch's fused attention on the row as one padded view (accelerators); arguments as `attend`."""
    (_, heads, size), (block,) = query.shape, boundaries.blocks

    def pad(rows: Tensor) -> Tensor:
        padded = put_rows(rows[: boundaries.tokens], boundaries.slots, block.rows * block.longest)
        return padded.view(block.rows, block.longest, heads, size).transpose(1, 2)

    bias = boundaries.padded_bias(query.dtype)
    result = F.scaled_dot_product_attention(
        pad(query), pad(key), pad(value), attn_mask=bias, dropout_p=dropout, scale=scale
    )
    return _filled_up(take_rows(result.transpose(1, 2).reshape(-1, heads, size), boundaries.slots), len(query))


def _filled_up(rows: Tensor, count: int) -> Tensor:
    """(tokens, heads, size) with rows of zeros after them, up to `count`."""
    return rows if len(rows) == count else F.pad(rows, (0, 0, 0, 0, 0, count - len(rows)))


class _TakeRows(torch.autograd.Function):
    """`rows[places]` for distinct places: its gradient is a copy, where torch's own would add rows up one by one."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, *gradient.shape[1:]).index_copy_(0, places, gradient), None


class _PutRows(torch.autograd.Function):
    """The other way: rows at distinct places of a zero tensor."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


def take_rows(rows: Tensor, places: Tensor) -> Tensor:
    """Rows (N, ...) at distinct `places` (n,), as (n, ...)."""
    taken: Tensor = _TakeRows.apply(rows, places)  # type: ignore[no-untyped-call]
    return taken


def put_rows(rows: Tensor, places: Tensor, count: int) -> Tensor:
    """Rows (n, ...) at distinct `places` (n,) of a tensor of zeros (count, ...)."""
    put: Tensor = _PutRows.apply(rows, places, count)  # type: ignore[no-untyped-call]
    return put


class _BlockAttention(torch.autograd.Function):
    """Softmax attention block by block, forward and backward written out, in float32.

    Queries are one a token, or one a sequence (its first token). Autocast is off within.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        boundaries: Boundaries,
        scale: float,
        dropout: float,
        first_only: bool,
    ) -> Tensor:
        lanes = boundaries.lanes(key.shape[1], first_only)
        dtype, result = query.dtype, _unfilled(query.shape, boundaries.tokens)
        query, key, value = query.float(), key.float(), value.float()
        saved: list[Tensor] = []
        with torch.autocast("cpu", enabled=False):
            for lane in lanes:
                q = _pad(query[lane.query_span], lane.query_places, lane.query_shape)
                k = _pad(key[lane.key_span], lane.key_places, lane.key_shape)
                v = _pad(value[lane.key_span], lane.key_places, lane.key_shape)
                weights = _scores(q, k, lane, scale).softmax(-1)
                mask = scaled_mask(weights.shape, dropout, weights) if dropout else weights
                _unpad(torch.bmm(weights * mask if dropout else weights, v), lane.query_places, result[lane.query_span])
                saved += [q, k, v, weights, mask]
        ctx.save_for_backward(*saved)
        ctx.lanes, ctx.scale, ctx.dropout = lanes, scale, dropout
        ctx.key_shape, ctx.tokens = key.shape, boundaries.tokens
        return result.to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dtype, gradient, saved = gradient.dtype, gradient.float().contiguous(), ctx.saved_tensors
        to_query = _unfilled(gradient.shape, ctx.tokens)
        to_key, to_value = _unfilled(ctx.key_shape, ctx.tokens), _unfilled(ctx.key_shape, ctx.tokens)
        for number, lane in enumerate(ctx.lanes):
            q, k, v, weights, mask = saved[5 * number : 5 * number + 5]
            g = _pad(gradient[lane.query_span], lane.query_places, lane.query_shape)
            dropped = weights * mask if ctx.dropout else weights
            _unpad(torch.bmm(dropped.transpose(1, 2), g), lane.key_places, to_value[lane.key_span])
            to_weights = torch.bmm(g, v.transpose(1, 2))
            if ctx.dropout:
                to_weights.mul_(mask)
            to_scores = torch._softmax_backward_data(to_weights, weights, -1, torch.float32).mul_(ctx.scale)
            _unpad(torch.bmm(to_scores, k), lane.query_places, to_query[lane.query_span])
            _unpad(torch.bmm(to_scores.transpose(1, 2), q), lane.key_places, to_key[lane.key_span])
        return to_query.to(dtype), to_key.to(dtype), to_value.to(dtype), None, None, None, None


def _unfilled(shape: torch.Size, tokens: int) -> Tensor:
    """Room for the rows of all sequences' tokens; rows after them are zero."""
    rows = torch.empty(shape, dtype=torch.float32)
    rows[tokens:].zero_()
    return rows


def _pad(rows: Tensor, places: Tensor, shape: tuple[int, int]) -> Tensor:
    """(tokens, heads, size) to (heads x rows, longest, size), zero where no token goes."""
    size = rows.shape[-1]
    count = shape[0] * shape[1]
    padded = rows.new_empty(count, size) if count == len(places) else rows.new_zeros(count, size)
    return padded.index_copy_(0, places, rows.reshape(-1, size)).view(*shape, size)


def _unpad(padded: Tensor, places: Tensor, into: Tensor) -> None:
    """The way back, into a part of a contiguous flat row."""
    size = into.shape[-1]
    torch.index_select(padded.view(-1, size), 0, places, out=into.view(-1, size))


def _scores(q: Tensor, k: Tensor, lane: Lane, scale: float) -> Tensor:
    """Scaled products of queries and keys, very negative at padding."""
    if lane.bias is None:
        return torch.bmm(q, k.transpose(1, 2)).mul_(scale)
    return torch.bmm(q, k.transpose(1, 2)).mul_(scale).add_(lane.bias)
