"""Where the sequences of a flat row of tokens lie, and how they fall into padded blocks for attention.

All of it is worked out on the host from the lengths alone, before a batch is sent to its device: nothing
here waits for a device. Places that all layers of a step share are computed once a batch.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASKED = -1e30
BLOCK_COST = 3_000  # what one more block costs, in padded query x key pairs of a head (measured, 3 to 12 heads)


@dataclass(frozen=True)
class Block:
    """Sequences `first` to `first + rows` of a batch, padded to `longest`; their tokens start at `token`."""

    first: int
    rows: int
    longest: int
    token: int
    tokens: int


@dataclass(frozen=True)
class Lane:
    """A block as attention of some number of heads needs it: heads come first, (heads x rows, longest, size).

    Attributes:
        key_span, query_span: the block's keys and queries in the flat rows.
        key_places, query_places: where each (token, head) goes in the padded view.
        key_shape, query_shape: (heads x rows, longest) of the padded views.
        bias: 0 at tokens and a large negative number at padding (heads x rows, 1, longest); None: no padding.
    """

    key_span: slice
    key_places: Tensor
    key_shape: tuple[int, int]
    query_span: slice
    query_places: Tensor
    query_shape: tuple[int, int]
    bias: Tensor | None


@dataclass(frozen=True)
class Boundaries:
    """Where the sequences of a flat row lie.

    Attributes:
        starts: first token of each sequence (B,), int64.
        cumulative: starts and the end (B + 1,), int32, as variable-length kernels take them.
        slots: place of every token in its block's (rows x longest) view (tokens,), int64.
        lengths: tokens of each sequence (B,), int64.
        blocks: the padded view, shortest sequences first; none where only variable-length attention is to be used.
        tokens: tokens of all sequences; the flat row may be longer, to a round number.
        longest: tokens of the longest sequence.
    """

    starts: Tensor
    cumulative: Tensor
    slots: Tensor
    lengths: Tensor
    blocks: tuple[Block, ...]
    tokens: int
    longest: int
    _lanes: dict[tuple[int, bool], tuple[Lane, ...]] = field(default_factory=dict, repr=False, compare=False)
    _biases: dict[torch.dtype, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def lanes(self, heads: int, first_only: bool) -> tuple[Lane, ...]:
        """The blocks for a number of heads; queries are all tokens, or each sequence's first token."""
        key = (heads, first_only)
        if key not in self._lanes:
            self._lanes[key] = tuple(self._lane(block, heads, first_only) for block in self.blocks)
        return self._lanes[key]

    def padded_bias(self, dtype: torch.dtype) -> Tensor:
        """The bias of the only block for every head and query, (rows, 1, longest, longest): one for all layers."""
        if dtype not in self._biases:
            (block,) = self.blocks
            bias = self.bias(block).to(dtype)[:, None, None]
            self._biases[dtype] = bias.expand(-1, -1, block.longest, -1)
        return self._biases[dtype]

    def bias(self, block: Block) -> Tensor:
        """0 at a block's tokens and a large negative number at its padding, (rows, longest), float32."""
        lengths = self.lengths[block.first : block.first + block.rows]
        padding = torch.arange(block.longest, device=lengths.device) >= lengths[:, None]
        return torch.zeros(padding.shape, device=lengths.device).masked_fill_(padding, MASKED)

    def _lane(self, block: Block, heads: int, first_only: bool) -> Lane:
        span = slice(block.token, block.token + block.tokens)
        count = block.rows * block.longest
        head = torch.arange(heads, device=self.slots.device)
        places = (self.slots[span, None] + head * count).view(-1)
        shape = (heads * block.rows, block.longest)
        bias = None if block.tokens == count else self.bias(block).repeat(heads, 1)[:, None]
        if not first_only:
            return Lane(span, places, shape, span, places, shape, bias)
        first_span = slice(block.first, block.first + block.rows)
        row = torch.arange(block.rows, device=self.slots.device)
        first_places = (row[:, None] + head * block.rows).view(-1)
        return Lane(span, places, shape, first_span, first_places, (heads * block.rows, 1), bias)


def find_boundaries(lengths: NDArray[np.int64], device: torch.device) -> Boundaries:
    """Boundaries of a flat row.

    Args:
        lengths: tokens of each sequence (B,), ascending, all at least 1.
        device: where attention will run; copies to a GPU do not block. There all sequences form one block.
    """
    ends = np.cumsum(lengths)
    starts = ends - lengths
    blocks = _blocks(lengths, starts) if device.type == "cpu" else (_block(lengths, starts, 0, len(lengths)),)
    row_starts = np.concatenate([np.arange(block.rows) * block.longest for block in blocks])
    slots = np.arange(ends[-1]) + np.repeat(row_starts - starts, lengths)
    return Boundaries(
        starts=to_device(starts, device),
        cumulative=to_device(np.append(starts, ends[-1:]).astype(np.int32), device),
        slots=to_device(slots, device),
        lengths=to_device(lengths, device),
        blocks=blocks,
        tokens=int(ends[-1]),
        longest=int(lengths[-1]),
    )


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """A host array as a tensor on `device`, without waiting for the copy."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _block(lengths: NDArray[np.int64], starts: NDArray[np.int64], first: int, end: int) -> Block:
    tokens = int(starts[end - 1] + lengths[end - 1] - starts[first])
    return Block(first, end - first, int(lengths[end - 1]), int(starts[first]), tokens)


def _blocks(lengths: NDArray[np.int64], starts: NDArray[np.int64]) -> tuple[Block, ...]:
    """Split where it saves most padding, as long as that is worth one more block."""

    def split(first: int, end: int) -> list[Block]:
        saved = np.arange(1, end - first) * (lengths[end - 1] ** 2 - lengths[first : end - 1] ** 2)
        if len(saved) == 0 or saved.max() <= BLOCK_COST:
            return [_block(lengths, starts, first, end)]
        middle = first + 1 + int(saved.argmax())
        return split(first, middle) + split(middle, end)

    return tuple(split(0, len(lengths)))
