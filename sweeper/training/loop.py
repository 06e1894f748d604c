"""The training loop: a generator that yields one `EpochMetrics` an epoch and knows nobody above it.

Whoever consumes it writes the curve, keeps weights, prunes or stops by not asking for the next. Nothing
inside an epoch waits for the device; figures are summed there and cross to the host once, at its end, and
a loss that has become NaN is seen then. Batch order and dropout of an epoch are pure functions of (seed,
epoch), so a restored training goes on exactly where it was, whatever else drew random numbers meanwhile.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from sweeper.data.tokens import Split, TokenTable
from sweeper.training.batches import DROPOUT, BatchMaker, seed_for, train_batches
from sweeper.training.compute import autocast, resolve_device, resolve_precision, token_multiple
from sweeper.training.dropout import use_cheap_dropout
from sweeper.training.evaluation import Evaluation, evaluate, evaluate_on_device, loss_kind, predicted, summed_loss
from sweeper.training.forward import Forward, resolve_batching
from sweeper.training.graphs import Batch, CudaRecorder, Replayed, eagerly
from sweeper.training.memory import PeakMemory, process_peak_mb
from sweeper.training.metrics import EpochMetrics, accuracy, macro_f1
from sweeper.training.optimizer import build_optimizer, lr_at
from sweeper.training.stopping import EarlyStop
from sweeper.training.token_source import TokenSource

__all__ = ["Evaluation", "FitSettings", "Training", "evaluate", "fit", "resolve_device", "resolve_precision"]


@dataclass(frozen=True)
class FitSettings:
    """Everything that decides a training, beside model and data.

    Attributes:
        lr, batch_size, epochs, seed: as named; `batch_size` is what one optimizer step sees.
        optimizer, weight_decay, momentum: see `build_optimizer`.
        schedule, warmup: see `lr_at`.
        loss: `auto`, `cross_entropy`, `bce` or `mse`.
        precision: `auto`, `float32`, `bf16` or `fp16`.
        clip_norm: largest norm of the whole gradient; None: as it comes.
        accumulate: pieces that a batch is computed in, to save memory; the gradient is the whole batch's.
        batching: `packed`, `longest` or `max_length`.
        device: `auto`, `cpu` or `cuda`.
        cuda_graphs: replay steps on a GPU where it can be done (see `graphs.py`).
        early_stop_monitor, early_stop_min_delta, early_stop_patience: see `EarlyStop`.
    """

    lr: float
    batch_size: int = 64
    epochs: int = 10
    seed: int = 0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: str = "constant"
    warmup: float = 0
    loss: str = "auto"
    precision: str = "auto"
    clip_norm: float | None = None
    accumulate: int = 1
    batching: str = "packed"
    device: str = "auto"
    cuda_graphs: bool = False
    early_stop_monitor: str | None = None
    early_stop_min_delta: float = 0.001
    early_stop_patience: int = 0


class Training:
    """A model, its optimizer and its data, between two epochs.

    Args:
        model: a classifier from `load_classifier`; moved to the device and trained in place.
        table: tokens of all splits.
        train, validation: rows and labels, at least one row each.
        settings: how to train.
        on_step: called after every optimizer step with (steps done, steps of the whole training).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        table: TokenTable,
        train: Split,
        validation: Split,
        settings: FitSettings,
        on_step: Callable[[int, int], None] | None = None,
    ) -> None:
        self.settings = settings
        self.device = resolve_device(settings.device)
        self.precision = resolve_precision(settings.precision, self.device)
        self.batching = resolve_batching(model, settings.batching)
        self.kind = loss_kind(settings.loss, model, train.labels)
        self.model = model
        self._memory = PeakMemory(self.device)
        model.to(self.device)  # type: ignore[arg-type]
        if self.device.type == "cpu":
            use_cheap_dropout(model)
        source, usual = TokenSource(table.ids, self.device), token_multiple(self.precision, self.device)
        multiple = token_multiple(self.precision, self.device, self._replays)
        self.train = BatchMaker.for_model(model, table, train, self.batching, self.device, multiple, source)
        self.validation = BatchMaker.for_model(model, table, validation, self.batching, self.device, usual, source)
        self.validation_labels = validation.labels
        self.validation_predictions: NDArray[Any] = np.zeros(0, dtype=validation.labels.dtype)
        self.optimizer = build_optimizer(
            model,
            name=settings.optimizer,
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            momentum=settings.momentum,
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "fp16")
        self.early_stop = EarlyStop(
            settings.early_stop_monitor, settings.early_stop_min_delta, settings.early_stop_patience
        )
        self.epoch = 0
        self._on_step = on_step
        self._run_step = self._replayed() if self._replays else eagerly
        self._steps_per_epoch = math.ceil(len(self.train) / settings.batch_size)

    @property
    def _replays(self) -> bool:
        """Whether steps are recorded: variable-length attention takes half precision, loss scaling cannot wait."""
        asked = self.settings.cuda_graphs and self.device.type == "cuda" and self.settings.accumulate == 1
        return asked and self.batching == "packed" and self.precision == "bf16"

    def _replayed(self) -> Replayed:
        longest, recorder = int(self.train.lengths.max()), CudaRecorder(self.device)
        return Replayed(self.model.parameters(), self.settings.batch_size, longest, recorder, self.device)

    @property
    def is_over(self) -> bool:
        """Whether every epoch is trained, or early stopping has ended the training."""
        return self.epoch >= self.settings.epochs or self.early_stop.stopped

    def state_dict(self) -> dict[str, Any]:
        """Everything a fresh `Training` of equal arguments needs to go on after the last epoch.

        Tensors and plain values only. The tensors are the live ones: write or copy them before the next
        epoch. No random state is among them: every epoch seeds its own.
        """
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "early_stop": self.early_stop.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`; on a CPU at equal threads the rest is bit-identical to never having stopped."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.early_stop.load_state_dict(state["early_stop"])
        self.epoch = state["epoch"]

    def run_epoch(self) -> EpochMetrics:
        """Train one more epoch and validate."""
        epoch, started = self.epoch + 1, time.perf_counter()
        with _seeded(seed_for(self.settings.seed, epoch, DROPOUT), self.device):
            summed, right = self._train(epoch)
        trained = _Clock(self.device)
        validated = evaluate_on_device(self.model, self.validation, kind=self.kind, precision=self.precision)
        result = validated.fetch()
        self.validation_predictions = result.predictions
        self.epoch = epoch
        train_seconds = trained.seconds_since(started)
        rows, classes = len(self.train), self.kind != "mse"
        return EpochMetrics(
            epoch=epoch,
            train_loss=float(summed) / rows,
            val_loss=result.loss,
            train_accuracy=float(right) / rows if classes else None,
            val_accuracy=accuracy(self.validation_labels, self.validation_predictions) if classes else None,
            val_macro_f1=macro_f1(self.validation_labels, self.validation_predictions) if classes else None,
            lr=self._lr(epoch * self._steps_per_epoch - 1),
            seconds=time.perf_counter() - started,
            sentences_per_second=rows / train_seconds,
            peak_rss_mb=self._memory.resident_mb,
            peak_memory_mb=process_peak_mb(),
            peak_gpu_mb=self._memory.gpu_mb,
        )

    def _train(self, epoch: int) -> tuple[Tensor, Tensor]:
        """One pass over the training rows: summed loss and number of right rows, still on the device."""
        self.model.train()
        summed = torch.zeros((), dtype=torch.float64, device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        step = (epoch - 1) * self._steps_per_epoch
        total = self.settings.epochs * self._steps_per_epoch
        with Forward(self.model, self.batching) as forward:
            order = train_batches(len(self.train), self.settings.batch_size, self.settings.seed, epoch)
            for picked in self.train.ahead(order):
                pieces = np.array_split(picked, min(self.settings.accumulate, len(picked)))
                for piece in pieces:
                    self._backward(forward, piece, len(picked), summed, right)
                self._step(self._lr(step))
                step += 1
                if self._on_step is not None:
                    self._on_step(step, total)
        return summed, right

    def _backward(self, forward: Forward, picked: NDArray[np.int64], rows: int, summed: Tensor, right: Tensor) -> None:
        """Add the gradient of some of a batch's `rows`, and their figures to the epoch's."""
        batch = self.train.make(picked)
        loss, logits = self._run_step(partial(self._gradient, forward, rows), batch)
        summed += loss
        if self.kind != "mse":
            right += (predicted(self.kind, logits) == batch.labels).sum()

    def _gradient(self, forward: Forward, rows: int, batch: Batch) -> tuple[Tensor, Tensor]:
        """Forward and backward: summed loss and logits of a batch that is a part of `rows` sentences."""
        with autocast(self.precision, self.device, cache=not self._replays):
            logits = forward(batch)
        logits = logits.float()
        loss = summed_loss(self.kind, logits, batch.labels)
        self.scaler.scale(loss / rows).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), logits.detach()

    def _step(self, lr: float) -> None:
        """Unscale, clip, step, update, zero."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)

    def _lr(self, step: int) -> float:
        total = self.settings.epochs * self._steps_per_epoch
        return lr_at(
            step,
            lr=self.settings.lr,
            total_steps=total,
            schedule=self.settings.schedule,
            warmup=self.settings.warmup,
        )


def fit(training: Training) -> Iterator[EpochMetrics]:
    """Train epoch by epoch, starting after the restored one.

    Yields:
        One `EpochMetrics` an epoch. The last one has NaN or infinity in it where the training diverged.
    """
    while not training.is_over:
        metrics = training.run_epoch()
        finite = math.isfinite(metrics.train_loss) and math.isfinite(metrics.val_loss)
        if finite:
            training.early_stop.update(metrics)
        yield metrics
        if not finite:
            return


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators seeded for a while, then as they were: other users of them see nothing."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


class _Clock:
    """A point in time on the device's own clock, read without waiting for it."""

    def __init__(self, device: torch.device) -> None:
        self.now = time.perf_counter()
        self.event: torch.cuda.Event | None = None
        if device.type == "cuda":
            self.event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self.event.record()

    def seconds_since(self, started: float) -> float:
        """Seconds from a host time to this point; to be called when the device has been waited for."""
        if self.event is None:
            return self.now - started
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end.record()
        end.synchronize()
        after: float = self.event.elapsed_time(end) / 1000
        return time.perf_counter() - started - after
