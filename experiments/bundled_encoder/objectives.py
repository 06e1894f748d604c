"""What the encoder is trained for, in one pass over a flat row of reviews.

Masked words (BERT's 80/10/10), and two that teach the pooled first token to stand for its sentence, since a classifier
reads nothing else: the text's label (a review's rating), and which words the sentence holds. The last layer goes on,
once its attention is done, with the tokens that an objective reads; the vocabulary's softmax sees masked places alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel
from transformers.models.bert.modeling_bert import BertPredictionHeadTransform

from experiments.bundled_encoder.corpus import MASK, SPECIAL
from sweeper.training.batches import PackedBatch
from sweeper.training.boundaries import to_device
from sweeper.training.packing import PackedEncoder

FIGURES = ("masked_loss", "masked_right", "label_loss", "label_right", "words_loss")


@dataclass(frozen=True)
class Masked:
    """A batch's tokens to guess: their places (m,) in the flat row, and what stands there instead (m,)."""

    places: Tensor
    shown: Tensor


def draw_masks(
    ids: Tensor, lengths: NDArray[np.int64], share: float, vocabulary: int, generator: np.random.Generator
) -> Masked:
    """Choose tokens, never a first or last one: 80% are shown as [MASK], 10% as another word, 10% as they are.

    Args:
        ids: (T,) the flat row.
        lengths: (B,) of the sentences at its beginning.
        share: of the tokens; one at least is chosen.
    """
    ends = np.cumsum(lengths)
    free = np.ones(int(ends[-1]), dtype=bool)
    free[ends - lengths] = free[ends - 1] = False
    chosen = np.flatnonzero(free & (generator.random(len(free)) < share))
    if len(chosen) == 0:
        chosen = np.flatnonzero(free)[:1]
    kind = generator.random(len(chosen))
    instead = np.where(kind < 0.8, MASK, generator.integers(len(SPECIAL), vocabulary, len(chosen)))
    places = to_device(chosen, ids.device)
    shown = torch.where(to_device(kind < 0.9, ids.device), to_device(instead, ids.device), ids[places])
    return Masked(places, shown)


class Objectives(nn.Module):
    """An encoder with the heads of its objectives; the encoder is kept, the heads are thrown away.

    Args:
        config: of the encoder.
        labels: how many there are.
        vectors: (vocabulary, hidden) to start the embeddings from; None: random ones.
    """

    def __init__(self, config: BertConfig, labels: int, vectors: Tensor | None = None) -> None:
        super().__init__()
        self.encoder = BertModel(config)
        self.transform = BertPredictionHeadTransform(config)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.label = nn.Linear(config.hidden_size, labels)
        self.words = nn.Linear(config.hidden_size, config.hidden_size)
        self.words_bias = nn.Parameter(torch.zeros(config.vocab_size))
        embeddings = self.encoder.embeddings.word_embeddings.weight
        if vectors is not None:
            with torch.no_grad():
                embeddings.copy_(torch.where(vectors.any(1, keepdim=True), vectors, embeddings))

    def forward(self, packed: PackedEncoder, batch: PackedBatch, masked: Masked) -> tuple[Tensor, Tensor, Tensor]:
        """Mean losses (masked words, labels, words of the sentence), and the batch's figures.

        Args:
            packed: this encoder, made ready for flat rows.
            batch: texts with their labels.

        Returns:
            losses (3,); figures (5,) summed, float64, as `FIGURES`; counts (5,) of what they are sums over.
        """
        ids, starts = batch.input_ids[0], batch.boundaries.starts
        shown = ids.index_copy(0, masked.places, masked.shown)
        states = packed(batch, shown[None], torch.cat([starts, masked.places]))
        first, guessing = states[: len(starts)], states[len(starts) :]
        pooled = self.encoder.pooler(first[:, None])
        guesses = self._vocabulary(self.transform(guessing), self.bias)
        labels, words = self.label(pooled).float(), self._vocabulary(self.words(pooled), self.words_bias)
        expected = ids[masked.places]
        losses = torch.stack(
            [
                F.cross_entropy(guesses, expected), F.cross_entropy(labels, batch.labels),
                _words_loss(words, ids, batch),
            ]
        )  # fmt: skip
        counts = torch.tensor(
            [len(expected), len(expected), len(starts), len(starts), len(starts)], dtype=torch.float64
        )
        counts = counts.to(ids.device)
        right = [(guesses.argmax(1) == expected).double().mean(), (labels.argmax(1) == batch.labels).double().mean()]
        means = torch.stack([losses[0].double(), right[0], losses[1].double(), right[1], losses[2].double()])
        return losses, means.detach() * counts, counts

    def _vocabulary(self, states: Tensor, bias: Tensor) -> Tensor:
        """Scores (n, vocabulary) of states (n, hidden) under the embeddings, float32."""
        return F.linear(states, self.encoder.embeddings.word_embeddings.weight, bias).float()


def _words_loss(scores: Tensor, ids: Tensor, batch: PackedBatch) -> Tensor:
    """Cross-entropy of each sentence's scores (B, vocabulary) with the words it holds, mean over sentences."""
    lengths = batch.boundaries.lengths
    sentence = torch.repeat_interleave(torch.arange(len(lengths), device=ids.device), lengths)
    ids = ids[: len(sentence)]  # the flat row may be longer, to a round number
    is_word = (ids >= len(SPECIAL)).float()
    none = torch.zeros(len(lengths), device=ids.device)
    words = none.index_add(0, sentence, is_word)
    held = none.index_add(0, sentence, scores[sentence, ids] * is_word) / words.clamp(min=1)
    return torch.where(words > 0, scores.logsumexp(1) - held, none).mean()
