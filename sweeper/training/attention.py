"""Attention over a flat row of tokens that holds many sequences.

Everything else in an encoder works token by token and runs on the flat row as it is; attention alone
must know where sequences begin. On a GPU, without attention dropout, torch's variable-length kernel takes
the row as it is. Elsewhere the row is laid out as a few padded blocks of sequences of similar length
(batches arrive sorted by length), which keeps padding and the number of kernels both small.

On a CPU the blocks go through one hand-written autograd function: torch's CPU flash kernel has no
dropout, its fallback copies every operand twice, and slicing blocks under autograd adds a pass each.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from sweeper.training.boundaries import Block, Boundaries
from sweeper.training.dropout import scaled_mask

varlen_attn: Callable[..., Tensor] | None
try:
    from torch.nn.attention.varlen import varlen_attn as _varlen_attn
except ImportError:
    varlen_attn = None
else:
    varlen_attn = _varlen_attn

def attend(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Boundaries, scale: float, dropout: float, first_only: bool
) -> Tensor:
    """Attention of every token to the tokens of its own sequence.

    Args:
        query, key, value: (T, heads, size) of the flat row.
        boundaries: where the sequences lie.
        scale: factor of the scores.
        dropout: probability of dropping an attention weight; 0 when not training.
        first_only: only the first tokens' results are wanted.

    Returns:
        (T, heads, size); with `first_only` rows other than first tokens are zero.
    """
    if query.device.type == "cpu":
        queries = take_rows(query, boundaries.starts) if first_only else query
        result = _BlockAttention.apply(queries, key, value, boundaries, scale, dropout)  # type: ignore[no-untyped-call]
        return put_rows(result, boundaries.starts, len(query)) if first_only else result
    if varlen_attn is not None and dropout == 0.0 and query.dtype in (torch.bfloat16, torch.float16):
        ends, longest = boundaries.cumulative, boundaries.longest
        return varlen_attn(query, key, value, ends, ends, longest, longest, scale=scale)
    return _padded_attention(query, key, value, boundaries, scale, dropout)


def _padded_attention(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Boundaries, scale: float, dropout: float
) -> Tensor:
    """torch's fused attention on one padded view (accelerators)."""
    (tokens, heads, size), (block,) = query.shape, boundaries.blocks

    def pad(rows: Tensor) -> Tensor:
        places = put_rows(rows, boundaries.slots, block.rows * block.longest)
        return places.view(block.rows, block.longest, heads, size).transpose(1, 2)

    bias = boundaries.key_bias(block, query.dtype)[:, None].expand(-1, -1, block.longest, -1)
    result = F.scaled_dot_product_attention(
        pad(query), pad(key), pad(value), attn_mask=bias, dropout_p=dropout, scale=scale
    )
    return take_rows(result.transpose(1, 2).reshape(-1, heads, size), boundaries.slots)


class _TakeRows(torch.autograd.Function):
    """`rows[places]` for distinct places: its gradient is a copy, where torch's own would add rows up one by one."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
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
    @once_differentiable  # type: ignore[untyped-decorator]
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
    """Softmax attention block by block, forward and backward written out.

    Queries are one a token, or one a sequence (its first token). Autocast is off within: operands
    already have the dtype that the linear layers gave them.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, boundaries: Boundaries, scale: float, dropout: float
    ) -> Tensor:
        view = _View(boundaries, query, key)
        result = torch.empty_like(query)
        saved: list[Tensor] = []
        with torch.autocast(query.device.type, enabled=False):
            for block in boundaries.blocks:
                q, k, v = view.pad_queries(query, block), view.pad_keys(key, block), view.pad_keys(value, block)
                weights = view.scores(q, k, block, scale).softmax(-1)
                mask = scaled_mask(weights.shape, dropout, weights) if dropout else weights.new_empty(0)
                view.unpad_queries(torch.bmm(weights * mask if dropout else weights, v), block, result)
                saved += [q, k, v, weights, mask]
        ctx.save_for_backward(*saved)
        ctx.view, ctx.scale, ctx.dropout = view, scale, dropout
        return result

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        view: _View = ctx.view
        gradient = gradient.contiguous()
        to_query, (to_key, to_value) = torch.empty_like(gradient), gradient.new_empty(2, *view.key_shape)
        with torch.autocast(gradient.device.type, enabled=False):
            for number, block in enumerate(view.boundaries.blocks):
                q, k, v, weights, mask = ctx.saved_tensors[5 * number : 5 * number + 5]
                g = view.pad_queries(gradient, block)
                dropped = weights * mask if ctx.dropout else weights
                view.unpad_keys(torch.bmm(dropped.transpose(1, 2), g), block, to_value)
                to_weights = torch.bmm(g, v.transpose(1, 2))
                if ctx.dropout:
                    to_weights.mul_(mask)
                to_scores = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype).mul_(ctx.scale)
                view.unpad_queries(torch.bmm(to_scores, k), block, to_query)
                view.unpad_keys(torch.bmm(to_scores.transpose(1, 2), q), block, to_key)
        return to_query, to_key, to_value, None, None, None


class _View:
    """Padded (heads x rows, longest, size) views of a flat row's blocks, and back."""

    def __init__(self, boundaries: Boundaries, query: Tensor, key: Tensor) -> None:
        self.boundaries = boundaries
        self.key_shape = key.shape
        self.heads, self.size = key.shape[1:]
        self.first_only = len(query) != len(key)

    def _pad(self, rows: Tensor, places: Tensor, block: Block, longest: int) -> Tensor:
        count = self.heads * block.rows * longest
        full = block.full or longest == 1
        places_for = rows.new_empty(count, self.size) if full else rows.new_zeros(count, self.size)
        flat = rows.reshape(-1, self.size)
        return places_for.index_copy_(0, places, flat).view(self.heads * block.rows, longest, self.size)

    def _query_places(self, block: Block) -> Tensor:
        if not self.first_only:
            return self.boundaries.head_slots(block, self.heads)

        def make() -> Tensor:
            device = self.boundaries.starts.device
            heads_apart = torch.arange(self.heads, device=device) * block.rows
            return (torch.arange(block.rows, device=device)[:, None] + heads_apart).view(-1)

        return self.boundaries.cached(("first", block.first, self.heads), make)

    def _queries_of(self, rows: Tensor, block: Block) -> Tensor:
        if self.first_only:
            return rows[block.first : block.first + block.rows]
        return rows[block.token : block.token + block.tokens]

    def pad_queries(self, rows: Tensor, block: Block) -> Tensor:
        longest = 1 if self.first_only else block.longest
        return self._pad(self._queries_of(rows, block), self._query_places(block), block, longest)

    def unpad_queries(self, padded: Tensor, block: Block, into: Tensor) -> None:
        part = self._queries_of(into, block).view(-1, self.size)
        torch.index_select(padded.view(-1, self.size), 0, self._query_places(block), out=part)

    def pad_keys(self, rows: Tensor, block: Block) -> Tensor:
        tokens = rows[block.token : block.token + block.tokens]
        return self._pad(tokens, self.boundaries.head_slots(block, self.heads), block, block.longest)

    def unpad_keys(self, padded: Tensor, block: Block, into: Tensor) -> None:
        part = into[block.token : block.token + block.tokens].view(-1, self.size)
        torch.index_select(padded.view(-1, self.size), 0, self.boundaries.head_slots(block, self.heads), out=part)

    def scores(self, q: Tensor, k: Tensor, block: Block, scale: float) -> Tensor:
        scores = torch.baddbmm(q.new_empty(1), q, k.transpose(1, 2), beta=0, alpha=scale)
        if not block.full:
            by_head = scores.view(self.heads, block.rows, scores.shape[1], block.longest)
            by_head.add_(self.boundaries.key_bias(block, scores.dtype))
        return scores
