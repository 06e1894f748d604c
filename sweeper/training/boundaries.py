"""Where the sequences of a flat row of tokens lie, and how they fall into padded blocks for attention.

All of it is worked out on the host from the lengths alone, before a batch is sent to its device: nothing
here waits for a device. Places that all layers of a step share are computed once a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MASKED = -1e30
BLOCK_COST = 4_000  # what a further block costs, in padded query x key pairs of one head (measured, 3 to 12 heads)


@dataclass(frozen=True)
class Block:
    """Sequences `first` to `first + rows` of a batch, padded to `longest`; their tokens start at `token`."""

    first: int
    rows: int
    longest: int
    token: int
    tokens: int

    @property
    def full(self) -> bool:
        """Whether all sequences of the block have the same length, so that nothing is padded."""
        return self.tokens == self.rows * self.longest


@dataclass(frozen=True)
class Boundaries:
    """Where the sequences of a flat row lie.

    Attributes:
        starts: first token of each sequence (B,), int64.
        cumulative: starts and the end (B + 1,), int32, as variable-length kernels take them.
        slots: place of every token in its block's (rows x longest) view (T,), int64.
        blocks: the padded view, shortest sequences first.
        lengths: tokens of each sequence (B,), int64.
        longest: tokens of the longest sequence.
    """

    starts: Tensor
    cumulative: Tensor
    slots: Tensor
    blocks: tuple[Block, ...]
    lengths: Tensor
    longest: int
    _cache: dict[Any, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def cached(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        """A tensor that all layers of one step share."""
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]

    def head_slots(self, block: Block, heads: int) -> Tensor:
        """Place of every (token, head) of a block in its (heads, rows, longest) view, (tokens x heads,)."""

        def make() -> Tensor:
            slots = self.slots[block.token : block.token + block.tokens]
            heads_apart = torch.arange(heads, device=slots.device) * (block.rows * block.longest)
            return (slots[:, None] + heads_apart).view(-1)

        return self.cached((block.first, heads), make)

    def key_bias(self, block: Block, dtype: torch.dtype) -> Tensor:
        """0 at a block's tokens and a large negative number at its padding, (rows, 1, longest)."""

        def make() -> Tensor:
            lengths = self.lengths[block.first : block.first + block.rows]
            padding = torch.arange(block.longest, device=lengths.device) >= lengths[:, None]
            bias = torch.zeros(padding.shape, dtype=dtype, device=lengths.device)
            return bias.masked_fill_(padding, MASKED)[:, None]

        return self.cached((block.first, dtype), make)


def find_boundaries(lengths: NDArray[np.int64], device: torch.device) -> Boundaries:
    """Boundaries of a flat row.

    Args:
        lengths: tokens of each sequence (B,), ascending, all at least 1.
        device: where attention will run; copies to a GPU do not block.
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
        blocks=blocks,
        lengths=to_device(lengths, device),
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
    """Split where it saves most padding, as long as that is worth a further block."""

    def split(first: int, end: int) -> list[Block]:
        longest = lengths[end - 1]
        saved = np.arange(1, end - first) * (longest**2 - lengths[first : end - 1] ** 2)
        if len(saved) == 0 or saved.max() <= BLOCK_COST:
            return [_block(lengths, starts, first, end)]
        middle = first + 1 + int(saved.argmax())
        return split(first, middle) + split(middle, end)

    return tuple(split(0, len(lengths)))
