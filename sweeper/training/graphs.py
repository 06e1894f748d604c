"""A training step recorded once and replayed: on a GPU a small batch is bound by the launching of its kernels.

A CUDA graph replays forward and backward pass as one launch, with the shapes and addresses it was recorded with.
So a flat row is filled up to a bucket of tokens, each bucket has a graph of its own, and a batch is copied into
the tensors that the graph reads. Its number of sequences is that of every full batch, its longest sequence is
named as the longest of the table, and what fills the row up is one more sequence, which nothing reads.

The optimizer's step is not recorded (its rate changes), nor is the last, smaller batch of an epoch. fp16, whose
loss scaling looks at gradients, accumulation and padded batches are not replayed at all. If recording fails,
training goes on as if nobody had asked for it, and says so once.

Dropout: capture registers torch's generator with the graph, so every replay draws anew and goes on from the
seed of its epoch; what warm-up and recording draw is given back. Limit: not measured, no GPU was at hand.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sweeper.training.batches import PackedBatch, PaddedBatch
from sweeper.training.boundaries import Boundaries
from sweeper.training.compute import BUCKET

WARM_UP = 3  # steps before recording: libraries set themselves up in the first ones

Batch = PackedBatch | PaddedBatch
Result = tuple[Tensor, Tensor]  # summed loss (), logits (B, outputs)
Step = Callable[[Batch], Result]  # forward and backward: gradients are added up in the parameters


class Recorder(Protocol):
    """What records kernels: a GPU's stream; in tests, something that calls again."""

    def warm_up(self, run: Callable[[], object]) -> None:
        """Run it where and as it will be recorded."""
        ...

    def record(self, run: Callable[[], Result]) -> tuple[Result, Callable[[], object]]:
        """What a replay will fill, and the replay."""
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory: they are never replayed at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None

    def warm_up(self, run: Callable[[], object]) -> None:
        """On the stream of the capture, which must not be the one that everything else runs on."""
        usual = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            run()
        usual.wait_stream(self._stream)

    def record(self, run: Callable[[], Result]) -> tuple[Result, Callable[[], object]]:
        """Capture; nothing is computed before the first replay."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = run()
        self._pool = graph.pool()
        return result, graph.replay


@dataclass(frozen=True)
class _Recorded:
    batch: PackedBatch
    result: Result
    replay: Callable[[], object]


def eagerly(step: Step, batch: Batch) -> Result:
    """The step as it is."""
    return step(batch)


class Replayed:
    """Runs steps, recorded ones where it can; to be called in the place of `eagerly`.

    Args:
        parameters: of the model, whose gradients the step makes.
        rows: sentences of a full batch; others are not replayed.
        longest: tokens of the longest sentence there is.
        recorder: what records.
        device: of batches and parameters.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], rows: int, longest: int, recorder: Recorder, device: torch.device
    ) -> None:
        self._parameters = list(parameters)
        self._rows, self._longest, self._recorder, self._device = rows, longest, recorder, device
        self._gradients: list[tuple[nn.Parameter, Tensor]] = []
        self._recorded: dict[int, _Recorded] = {}
        self._gave_up = False

    def __call__(self, step: Step, batch: Batch) -> Result:
        """One step: summed loss and logits, good until the next call; gradients in the parameters.

        Warns:
            UserWarning: recording failed; this step and all later ones run as they are.
        """
        if self._gave_up or not isinstance(batch, PackedBatch) or len(batch.picked) != self._rows:
            return step(batch)
        tokens = batch.input_ids.shape[1]
        if tokens not in self._recorded:
            try:
                self._recorded[tokens] = self._record(step, batch)
            except (RuntimeError, TypeError, ValueError) as error:
                self._give_up(error)
                return step(batch)
        recorded = self._recorded[tokens]
        _fill(recorded.batch, batch)
        self._take_gradients()
        recorded.replay()
        return recorded.result

    def _record(self, step: Step, batch: PackedBatch) -> _Recorded:
        held = _held(batch, self._longest)
        with _generator_kept(self._device):
            self._recorder.warm_up(lambda: self._run_once_and_again(step, held))
            self._take_gradients()
            result, replay = self._recorder.record(lambda: self._from_zero(step, held))
        return _Recorded(held, result, replay)

    def _run_once_and_again(self, step: Step, batch: PackedBatch) -> None:
        for _ in range(WARM_UP):
            self._drop_gradients()
            step(batch)
        if not self._gradients:  # a parameter without one (it is frozen, or takes no part) shall get none
            self._gradients = [(one, one.grad) for one in self._parameters if one.grad is not None]

    def _from_zero(self, step: Step, batch: PackedBatch) -> Result:
        torch._foreach_zero_([gradient for _, gradient in self._gradients])
        return step(batch)

    def _take_gradients(self) -> None:
        """The tensors that all graphs add to; in between, the loop lets go of them to have none left over."""
        self._drop_gradients()
        for parameter, gradient in self._gradients:
            parameter.grad = gradient

    def _drop_gradients(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def _give_up(self, error: Exception) -> None:
        self._gave_up = True
        self._drop_gradients()
        self._gradients, self._recorded = [], {}
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"train.cuda_graphs: steps cannot be replayed ({why}); training without", stacklevel=3)


def _held(batch: PackedBatch, longest: int) -> PackedBatch:
    """A batch of its own memory whose row is sequences from end to end, what fills it up being the last."""
    found, tokens = batch.boundaries, batch.input_ids.shape[1]
    boundaries = Boundaries(
        starts=found.starts.clone(),
        cumulative=F.pad(found.cumulative, (0, 1), value=tokens),
        slots=found.slots[:0],
        lengths=found.lengths[:0],
        blocks=(),
        tokens=tokens,
        longest=max(longest, BUCKET),  # what fills a row up is shorter than a bucket
    )
    ids, positions = batch.input_ids.clone(), batch.position_ids.clone()
    return PackedBatch(ids, positions, boundaries, batch.labels.clone(), np.arange(len(batch.picked)))


def _fill(held: PackedBatch, batch: PackedBatch) -> None:
    held.input_ids.copy_(batch.input_ids)
    held.position_ids.copy_(batch.position_ids)
    held.labels.copy_(batch.labels)
    held.boundaries.starts.copy_(batch.boundaries.starts)
    held.boundaries.cumulative[:-1].copy_(batch.boundaries.cumulative)


@contextmanager
def _generator_kept(device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
