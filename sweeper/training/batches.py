"""From a token table and row numbers to the tensors of one batch, and in what order rows come.

A batch is picked by index out of flat ids and offsets: no Python object a row, no workers. The order of an
epoch is a pure function of (seed, epoch) and worked out on the host, lengths too, so that assembling a
batch never waits for a device. Within a batch sentences stand sorted by length, which changes no loss and
no gradient (beyond the order of a sum) and lets attention pad less.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from sweeper.data.tokens import Split, TokenTable
from sweeper.training.boundaries import Boundaries, find_boundaries, to_device
from sweeper.training.token_source import TokenSource

Batching = Literal["packed", "longest", "max_length"]
ORDER, DROPOUT = 0, 1  # what a seed is drawn for


def seed_for(seed: int, epoch: int, purpose: int) -> int:
    """A 63-bit seed for one purpose of one epoch, unrelated to its neighbours'."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1, np.uint64)[0] >> 1)


def epoch_order(rows: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffled 0 to rows - 1, a pure function of its arguments."""
    generator = torch.Generator().manual_seed(seed_for(seed, epoch, ORDER))
    order: NDArray[np.int64] = torch.randperm(rows, generator=generator).numpy()
    return order


def train_batches(rows: int, batch_size: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """The epoch's batches as indices into the split; the last may be smaller."""
    order = epoch_order(rows, seed, epoch)
    for start in range(0, rows, batch_size):
        yield order[start : start + batch_size]


def sorted_batches(
    lengths: NDArray[np.int64], tokens: int, padded_to: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Indices sorted by length, in batches of at most `tokens` tokens, padding counted (at least one row a batch)."""
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        width = padded_to or int(lengths[order[start]])
        step = max(1, tokens // width)
        candidates = lengths[order[start : start + step]]
        widths = np.full(len(candidates), padded_to) if padded_to else candidates
        fits = widths * np.arange(1, len(candidates) + 1) <= tokens
        end = start + max(1, int(fits.sum()))
        yield order[start:end]
        start = end


@dataclass(frozen=True)
class PackedBatch:
    """One flat row: `input_ids` and `position_ids` (1, T), labels (B,), `picked` (B,) the indices asked for, sorted."""

    input_ids: Tensor
    position_ids: Tensor
    boundaries: Boundaries
    labels: Tensor
    picked: NDArray[np.int64]


@dataclass(frozen=True)
class PaddedBatch:
    """A padded batch: `input_ids` and `attention_mask` (B, L), labels (B,), `picked` as in `PackedBatch`."""

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    picked: NDArray[np.int64]


class BatchMaker:
    """Makes the batches of one split on one device.

    Args:
        table: ids and offsets, memory-mapped; moved to the device once where it fits.
        split: rows of the table and their labels.
        batching: `packed`, or padded to the `longest` of a batch or to `max_length` (the table's longest row).
        device: where the batches go.
        first_position: position number of a sentence's first token (packed).
        multiple: flat rows are filled up to a multiple of this with tokens that no sentence sees, where the
            kernels of a device are made or tuned for each shape.
        source: the table's ids on that device, which the splits of a table share; None: made here.
    """

    def __init__(
        self,
        table: TokenTable,
        split: Split,
        batching: Batching,
        device: torch.device,
        first_position: int = 0,
        multiple: int = 1,
        source: TokenSource | None = None,
    ) -> None:
        self.batching = batching
        self.device = device
        self.first_position = first_position
        self.multiple = multiple
        self.pad_id = table.pad_id
        self.starts = np.asarray(table.offsets[split.rows])
        self.lengths: NDArray[np.int64] = np.asarray(table.offsets[split.rows + 1]) - self.starts
        self.padded_to = int(np.diff(table.offsets).max()) if batching == "max_length" else None
        self._ids = source or TokenSource(table.ids, device)
        dtype = torch.float32 if split.labels.dtype.kind == "f" else torch.int64
        self.labels = torch.from_numpy(np.array(split.labels)).to(device=device, dtype=dtype)

    @classmethod
    def for_model(
        cls,
        model: PreTrainedModel,
        table: TokenTable,
        split: Split,
        batching: Batching,
        device: torch.device,
        multiple: int = 1,
        source: TokenSource | None = None,
    ) -> Self:
        """Batches with the positions that a model counts: RoBERTa starts at `padding_idx + 1`."""
        first = int(model.config.pad_token_id) + 1 if "roberta" in model.config.model_type else 0
        return cls(table, split, batching, device, first_position=first, multiple=multiple, source=source)

    def __len__(self) -> int:
        return len(self.lengths)

    def make(self, picked: NDArray[np.int64]) -> PackedBatch | PaddedBatch:
        """The batch of some of the split's rows, shortest first.

        Args:
            picked: indices into the split (B,).
        """
        picked = picked[np.argsort(self.lengths[picked], kind="stable")]
        return self._packed(picked) if self.batching == "packed" else self._padded(picked)

    def expect(self, picked: NDArray[np.int64]) -> None:
        """Have the rows of a later batch read, where the table is read from disk, while this one is computed."""
        if self._ids.reads_ahead:
            self._ids.expect(self.starts[picked], self.lengths[picked])

    def ahead(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[NDArray[np.int64]]:
        """The same batches (indices into the split), each given once the rows of the next one are asked for."""
        waiting: NDArray[np.int64] | None = None
        for picked in batches:
            self.expect(picked)
            if waiting is not None:
                yield waiting
            waiting = picked
        if waiting is not None:
            yield waiting

    def _packed(self, picked: NDArray[np.int64]) -> PackedBatch:
        lengths = self.lengths[picked]
        starts = np.cumsum(lengths) - lengths
        within = np.zeros(_rounded_up(int(lengths.sum()), self.multiple), np.int64)
        places = np.zeros_like(within)
        within[: lengths.sum()] = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        places[: lengths.sum()] = np.repeat(self.starts[picked], lengths) + within[: lengths.sum()]
        return PackedBatch(
            input_ids=self._ids.take(places)[None],
            position_ids=to_device(within + self.first_position, self.device)[None],
            boundaries=find_boundaries(lengths, self.device),
            labels=self._labels(picked),
            picked=picked,
        )

    def _padded(self, picked: NDArray[np.int64]) -> PaddedBatch:
        lengths = self.lengths[picked]
        within = np.arange(self.padded_to or lengths.max())
        real = within < lengths[:, None]
        places = np.where(real, self.starts[picked][:, None] + within, 0)
        mask = to_device(real, self.device)
        ids = self._ids.take(places.reshape(-1)).view(places.shape)
        return PaddedBatch(ids.masked_fill_(~mask, self.pad_id), mask.long(), self._labels(picked), picked)

    def _labels(self, picked: NDArray[np.int64]) -> Tensor:
        return self.labels[to_device(picked, self.device)]


def _rounded_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
