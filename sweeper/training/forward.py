"""One way to call a classifier, whatever the batching: a batch in, logits out.

`packed` where the architecture allows it; any other architecture is padded to the longest sentence of each
batch, which is slower and gives the same numbers.
"""

import warnings
from types import TracebackType
from typing import Self

from torch import Tensor
from transformers import PreTrainedModel

from sweeper.training.batches import Batching, PackedBatch, PaddedBatch
from sweeper.training.packing import FAMILIES, PackedModel, supports

BATCHINGS: tuple[Batching, ...] = ("packed", "longest", "max_length")


def resolve_batching(model: PreTrainedModel, batching: str) -> Batching:
    """The batching that a model can do.

    Raises:
        ValueError: unknown name.

    Warns:
        UserWarning: `packed` was asked for and the architecture cannot.
    """
    for known in BATCHINGS:
        if known == batching:
            break
    else:
        raise ValueError(f"batching must be one of {BATCHINGS}, not {batching!r}")
    if known == "packed" and not supports(model):
        warnings.warn(
            f"batching=packed knows {', '.join(FAMILIES)}, not {model.config.model_type}; using batching=longest",
            stacklevel=2,
        )
        return "longest"
    return known


class Forward:
    """A classifier made ready for one kind of batch, for the length of a `with` block."""

    def __init__(self, model: PreTrainedModel, batching: Batching) -> None:
        self.model = model
        self.packed = PackedModel(model) if batching == "packed" else None

    def __call__(self, batch: PackedBatch | PaddedBatch) -> Tensor:
        """Logits (B, outputs)."""
        if isinstance(batch, PackedBatch):
            assert self.packed is not None
            return self.packed(batch)
        logits: Tensor = self.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
        return logits

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.packed is not None:
            self.packed.remove()
