"""A step of the bundled encoder's training: a generator that yields one `Stretch` of its curve at a time.

Batches, packing, optimizer, schedule and resume states are the project's own. The budget is a number of steps, or
minutes of training: a CPU's are those its threads have worked, so that a machine with other load, or a process that
was stopped for a while, loses nothing. Order and masks are pure functions of (seed, step), there is no dropout, and a
state is written after each stretch: with a budget in steps a CPU gives the same weights whether it was killed or not.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, PreTrainedModel

from experiments.bundled_encoder.corpus import MAX_LENGTH, SPECIAL, Corpus
from experiments.bundled_encoder.factors import cooccurrence_vectors
from experiments.bundled_encoder.objectives import FIGURES, Masked, Objectives, draw_masks
from sweeper.data.tokens import Split
from sweeper.errors import UserError
from sweeper.training.batches import BatchMaker, PackedBatch, seed_for, sorted_batches, train_batches
from sweeper.training.checkpoint import StateFiles
from sweeper.training.compute import autocast, resolve_device, resolve_precision, token_multiple
from sweeper.training.optimizer import build_optimizer, lr_at
from sweeper.training.packing import PackedEncoder
from sweeper.training.token_source import TokenSource

HELD_OUT = 0.01
SPLIT, MASKS, START = 2, 3, 4  # what a seed is drawn for, beside batches.py's
FINE = 100_000  # parts of the budget that the learning rate is told apart by
TOKENS = 8_192  # a batch of held-out rows


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, beside the corpus.

    Attributes:
        layers, hidden, heads: the encoder's shape; its feed-forward layers are four times as wide.
        vocabulary: word pieces.
        batch_size: texts a step.
        lr, warmup, weight_decay, clip_norm: of AdamW; the rate rises over a share `warmup` of the budget, then falls.
        steps, minutes: the budget; steps where both are given.
        masked: share of the tokens to guess.
        label, words: weights of the second and third objective beside the masked words.
        factors: start the embeddings from co-occurrences.
        stretches: points of the curve, each with a resume state.
        device, precision: as in `conf/config.yaml`.
    """

    layers: int = 3
    hidden: int = 192
    heads: int = 3
    vocabulary: int = 8000
    batch_size: int = 256
    lr: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    steps: int | None = None
    minutes: float = 50.0
    masked: float = 0.15
    label: float = 1.0
    words: float = 0.5
    factors: bool = True
    stretches: int = 20
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class Stretch:
    """One point of the curve.

    Attributes:
        step: steps done.
        seconds: of training so far (see the module), validation not counted.
        tokens: read so far, padding none.
        tokens_per_second: of this stretch.
        lr: of its last step.
        train: the objectives' figures over this stretch, by `FIGURES`.
        held_out: the same on the held-out texts, masked alike each time.
    """

    step: int
    seconds: float
    tokens: int
    tokens_per_second: float
    lr: float
    train: dict[str, float]
    held_out: dict[str, float]


class Pretraining:
    """An encoder, its objectives and its optimizer, between two stretches.

    Args:
        corpus: of as many word pieces as the settings say.
        settings: how to train.
        start: the encoder of an earlier step, of the same shape; None: an untrained one.
        state: a `state_dict` to go on from; None: the beginning.
    """

    def __init__(
        self,
        corpus: Corpus,
        settings: Settings,
        state: dict[str, Any] | None = None,
        start: PreTrainedModel | None = None,
    ) -> None:
        self.settings, self.table, self.classes = settings, corpus.table, corpus.classes
        self.device = resolve_device(settings.device)
        self.precision = resolve_precision(settings.precision, self.device)
        order = np.random.default_rng(seed_for(settings.seed, 0, SPLIT)).permutation(len(corpus.labels))
        held_out, train = np.split(order, [held_out_rows(len(order))])
        source, multiple = TokenSource(self.table.ids, self.device), token_multiple(self.precision, self.device)
        self.train, self.held_out = (
            BatchMaker(self.table, Split(rows, corpus.labels[rows]), "packed", self.device, 0, multiple, source)
            for rows in (np.sort(train), np.sort(held_out))
        )
        self.model = self._start(np.sort(train) if settings.factors and state is None else None).to(self.device)
        if start is not None:
            self.model.encoder.load_state_dict(start.state_dict())
        self.optimizer = build_optimizer(self.model, name="adamw", lr=settings.lr, weight_decay=settings.weight_decay)
        self.weights = torch.tensor([1.0, settings.label, settings.words], device=self.device)
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.curve: list[Stretch] = []
        if state is not None:
            self._go_on(state)

    def _start(self, rows: NDArray[np.int64] | None) -> Objectives:
        """The untrained model; its embeddings from the co-occurrences in some rows."""
        settings, vectors = self.settings, None
        if rows is not None:
            vectors = cooccurrence_vectors(
                self.table, rows, settings.vocabulary, settings.hidden, len(SPECIAL), settings.seed
            )
        config = BertConfig(
            vocab_size=settings.vocabulary, hidden_size=settings.hidden, num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads, intermediate_size=4 * settings.hidden,
            max_position_embeddings=MAX_LENGTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        with torch.random.fork_rng([]):
            torch.manual_seed(seed_for(settings.seed, 0, START))
            return Objectives(config, self.classes, vectors)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent."""
        if self.settings.steps is not None:
            return self.step / self.settings.steps
        return self.seconds / (60 * self.settings.minutes)

    @property
    def lr(self) -> float:
        """Of the next step."""
        step = min(FINE, int(self.progress * FINE))
        return lr_at(
            step, lr=self.settings.lr, total_steps=FINE, schedule="linear", warmup=int(self.settings.warmup * FINE)
        )

    def run_stretch(self) -> Stretch:
        """Train until the next point of the curve is due, and look at the held-out texts."""
        due = min(1.0, (len(self.curve) + 1) / self.settings.stretches)
        sums = torch.zeros(2, len(FIGURES), dtype=torch.float64, device=self.device)
        tokens, seconds, lr = self.tokens, self.seconds, self.lr
        self.model.train()
        packed = PackedEncoder(self.model.encoder)
        for picked in self._batches():
            started, lr = _worked(self.device), self.lr
            sums += self._learn(packed, self.train.make(picked), lr)
            self.step += 1
            self.tokens += int(self.train.lengths[picked].sum())
            self.seconds += _worked(self.device) - started
            if self.progress >= due:
                break
        packed.remove()
        speed = (self.tokens - tokens) / max(self.seconds - seconds, 1e-9)
        stretch = Stretch(self.step, self.seconds, self.tokens, speed, lr, _means(sums), self.evaluate())
        self.curve.append(stretch)
        return stretch

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        """From the next step on, epoch after epoch."""
        size, rows = self.settings.batch_size, len(self.train)
        epoch, done = divmod(self.step, -(-rows // size))
        while True:
            yield from islice(train_batches(rows, size, self.settings.seed, epoch), done, None)
            epoch, done = epoch + 1, 0

    def _learn(self, packed: PackedEncoder, batch: PackedBatch, lr: float) -> torch.Tensor:
        """One optimizer step; the batch's figures and counts (2, 5)."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        masked = self._masks(self.train, batch, seed_for(self.settings.seed, self.step, MASKS))
        with autocast(self.precision, self.device):
            losses, figures, counts = self.model(packed, batch, masked)
        (losses * self.weights).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return torch.stack([figures, counts])

    def _masks(self, of: BatchMaker, batch: PackedBatch, seed: int) -> Masked:
        generator = np.random.default_rng(seed)
        lengths = of.lengths[batch.picked]
        return draw_masks(batch.input_ids[0], lengths, self.settings.masked, self.settings.vocabulary, generator)

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """The objectives' figures on the held-out texts, masked alike each time."""
        self.model.eval()
        packed = PackedEncoder(self.model.encoder)
        sums = torch.zeros(2, len(FIGURES), dtype=torch.float64, device=self.device)
        for number, picked in enumerate(sorted_batches(self.held_out.lengths, TOKENS)):
            batch = self.held_out.make(picked)
            with autocast(self.precision, self.device):
                _, figures, counts = self.model(packed, batch, self._masks(self.held_out, batch, number))
            sums += torch.stack([figures, counts])
        packed.remove()
        return _means(sums)

    def state_dict(self) -> dict[str, Any]:
        """Everything that another `Pretraining` of equal arguments needs to go on; tensors and plain values."""
        return {
            "settings": asdict(self.settings), "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds,
            "tokens": self.tokens, "curve": [asdict(one) for one in self.curve],
        }  # fmt: skip

    def _go_on(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]
        self.curve = [Stretch(**one) for one in state["curve"]]


def pretrain(training: Pretraining) -> Iterator[Stretch]:
    """Train stretch by stretch to the end of the budget, starting after the restored one."""
    while training.progress < 1:
        yield training.run_stretch()


def resumable(states: StateFiles, settings: Settings, out: Path) -> dict[str, Any] | None:
    """The last state, if there is one.

    Raises:
        UserError: it was made with other settings.
    """
    found = states.latest()
    if found is None:
        return None
    before, now = found[1]["settings"], asdict(settings)
    other = [f"{name} was {before.get(name)}, is {value}" for name, value in now.items() if before.get(name) != value]
    if other:
        raise UserError(f"{out} was begun with other settings: {'; '.join(other)}. Give them again, or another --out")
    return found[1]


def held_out_rows(rows: int) -> int:
    """How many of a corpus's rows are not trained on."""
    return max(1, int(HELD_OUT * rows))


def _worked(device: torch.device) -> float:
    """Seconds that training has taken: on a CPU those that its threads have worked, on a GPU those that passed."""
    return time.perf_counter() if device.type == "cuda" else time.process_time() / torch.get_num_threads()


def _means(sums: torch.Tensor) -> dict[str, float]:
    figures, counts = sums.tolist()
    return {name: total / count for name, total, count in zip(FIGURES, figures, counts, strict=True)}
