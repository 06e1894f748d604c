"""Loss and probabilities of a split, without gradients, and the losses themselves.

Rows go sorted by length in batches of a fixed number of tokens, so almost nothing is padded; results come
back in the split's order, in one transfer. Where such a batch is too large for the memory, it and those after it
are halved until they fit.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from sweeper.data.tokens import Split, TokenTable
from sweeper.training.batches import BatchMaker, PackedBatch, PaddedBatch, sorted_batches
from sweeper.training.compute import autocast, out_of_memory, release_memory, token_multiple
from sweeper.training.forward import Forward, resolve_batching

TOKENS_PER_BATCH = {"cpu": 4096, "cuda": 65536}


@dataclass(frozen=True)
class Evaluation:
    """What a model makes of a split, rows in the split's order.

    Attributes:
        loss: mean over the rows.
        probabilities: (n, classes) float32; two columns for one logit with BCE; (n, 1) values for regression.
        predictions: (n,) int64 class ids (one logit: 1 where it is above 0), or float32 values for regression.
    """

    loss: float
    probabilities: NDArray[np.float32]
    predictions: NDArray[Any]


def loss_kind(loss: str, model: PreTrainedModel, labels: NDArray[Any]) -> str:
    """`auto` read off a model's head and the labels: float labels mse, one output bce, else cross-entropy."""
    if loss != "auto":
        return loss
    if labels.dtype.kind == "f":
        return "mse"
    return "bce" if model.config.num_labels == 1 else "cross_entropy"


def summed_loss(kind: str, logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the rows' losses.

    Args:
        kind: `cross_entropy` (logits (B, classes)), `bce` or `mse` (logits (B, 1)).
        logits: float32.
        labels: (B,) class ids, or values for `mse`.
    """
    if kind == "cross_entropy":
        return F.cross_entropy(logits, labels, reduction="sum")
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype), reduction="sum")
    return F.mse_loss(logits[:, 0], labels.to(logits.dtype), reduction="sum")


def predicted(kind: str, logits: Tensor) -> Tensor:
    """Class ids (B,), or values where there are no classes."""
    if kind == "cross_entropy":
        return logits.argmax(-1)
    return (logits[:, 0] > 0).long() if kind == "bce" else logits[:, 0]


def _probabilities(kind: str, logits: Tensor) -> Tensor:
    if kind == "cross_entropy":
        return logits.softmax(-1)
    if kind == "bce":
        return torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=1)
    return logits


@dataclass(frozen=True)
class DeviceEvaluation:
    """An evaluation that still lies on the device; `fetch` is the one wait."""

    kind: str
    summed_loss: Tensor
    logits: Tensor

    def fetch(self) -> Evaluation:
        """Move the results to the host."""
        rows = max(1, len(self.logits))
        return Evaluation(
            loss=float(self.summed_loss) / rows,
            probabilities=_probabilities(self.kind, self.logits).cpu().numpy(),
            predictions=predicted(self.kind, self.logits).cpu().numpy(),
        )


def evaluate_on_device(
    model: PreTrainedModel,
    batches: BatchMaker,
    *,
    kind: str,
    precision: str,
    on_batch: Callable[[], None] | None = None,
) -> DeviceEvaluation:
    """Run a model over a split's batches without waiting for the device.

    Args:
        model: on the batches' device; put into evaluation mode.
        batches: of the split.
        kind: loss, not `auto`.
        precision: `float32`, `bf16` or `fp16`.
        on_batch: called after each batch.
    """
    model.train(False)
    total = torch.zeros((), dtype=torch.float64, device=batches.device)
    parts: list[Tensor] = []
    picked: list[NDArray[np.int64]] = []
    with torch.inference_mode(), Forward(model, batches.batching) as forward:
        for batch, logits in _fitting(forward, batches, precision):
            total += summed_loss(kind, logits, batch.labels)
            parts.append(logits)
            picked.append(batch.picked)
            if on_batch is not None:
                on_batch()
        places = torch.from_numpy(np.argsort(np.concatenate(picked))).to(batches.device)
        return DeviceEvaluation(kind, total, torch.cat(parts)[places])


def _fitting(
    forward: Forward, batches: BatchMaker, precision: str
) -> Iterator[tuple[PackedBatch | PaddedBatch, Tensor]]:
    """Batches of all rows with their logits (B, outputs) in float32, as large as the memory lets them be."""
    tokens = TOKENS_PER_BATCH.get(batches.device.type, TOKENS_PER_BATCH["cpu"])
    waiting = deque(sorted_batches(batches.lengths, tokens, batches.padded_to))
    while waiting:
        rows = waiting.popleft()
        if waiting:
            batches.expect(waiting[0])
        try:
            batch = batches.make(rows)
            with autocast(precision, batches.device):
                logits = forward(batch).float()
        except (MemoryError, RuntimeError) as error:
            if len(rows) == 1 or not out_of_memory(error):
                raise
        else:
            yield batch, logits
            continue
        # only here, where the error has let go of what the pass had made
        release_memory(batches.device)
        waiting = deque(half for one in (rows, *waiting) for half in np.array_split(one, 2) if len(half))


def evaluate(
    model: PreTrainedModel,
    table: TokenTable,
    split: Split,
    *,
    loss: str,
    precision: str,
    batching: str,
    device: torch.device,
) -> Evaluation:
    """Score a split.

    Args:
        model: a classifier; moved to `device`, left in evaluation mode.
        table: the tokens.
        split: rows and labels; at least one row.
        loss: `auto`, `cross_entropy`, `bce` or `mse`.
        precision: `float32`, `bf16` or `fp16`.
        batching: `packed`, `longest` or `max_length`; the results are the same to 1e-5 in float32.
        device: where to compute.
    """
    model.to(device)  # type: ignore[arg-type]
    resolved = resolve_batching(model, batching)
    multiple = token_multiple(precision, device)
    batches = BatchMaker.for_model(model, table, split, resolved, device, multiple)
    return evaluate_on_device(model, batches, kind=loss_kind(loss, model, split.labels), precision=precision).fetch()
