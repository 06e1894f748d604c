"""Word vectors to start from: factors of how often word pieces stand near each other.

Positive pointwise mutual information of pieces within a window, factored by a truncated SVD (Levy and Goldberg 2014).
It takes a minute and gives the tied embeddings what masked-word training finds out slowly: which words go together.
Limit: the counts are one dense matrix of vocabulary² float32 (256 MB for 8,000 pieces, four of them at the peak).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sweeper.data.tokens import TokenTable

WINDOW = 5
SMOOTHING = 0.75  # of the contexts' frequencies, so that rare ones do not dominate
SCALE = 0.05  # root mean square of the vectors: beside it positions (0.02) stay small
SOME = 1_000_000  # tokens counted at a time


def cooccurrence_vectors(
    table: TokenTable, rows: NDArray[np.int64], vocabulary: int, size: int, special: int, seed: int
) -> Tensor:
    """Vectors (vocabulary, size) of word pieces, float32.

    Args:
        rows: of the table, which are counted.
        special: ids below this are no words: their vectors, as those of pieces never seen, are 0.
        seed: of the projection.
    """
    counts = torch.from_numpy(_counts(table, rows, vocabulary, special))
    counts += counts.T.clone()
    total = counts.sum(1)
    seen = total > 0
    context = total.pow(SMOOTHING)
    context /= context.sum()
    information = counts.div_(total.clamp(min=1)[:, None]).div_(context.clamp(min=1e-12)).log_().clamp_(min=0)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        left, values, _ = torch.svd_lowrank(information, q=size, niter=4)
    turned = torch.linalg.qr(torch.randn(size, size, generator=generator))[0]  # strong and weak directions mixed
    vectors = (left * values.sqrt()) @ turned * seen[:, None]
    return vectors * (SCALE / vectors[seen].square().mean().sqrt())


def _counts(table: TokenTable, rows: NDArray[np.int64], vocabulary: int, special: int) -> NDArray[np.float32]:
    """(vocabulary, vocabulary): how often the second stands up to `WINDOW` places after the first, near ones more."""
    wanted = np.zeros(len(table.lengths), dtype=bool)
    wanted[rows] = True
    counts = np.zeros(vocabulary * vocabulary, np.float32)
    row_of = np.repeat(np.arange(len(table.lengths), dtype=np.int32), table.lengths)
    for start in range(0, len(table.ids), SOME):
        part = slice(start, start + SOME + WINDOW)
        ids, row = table.ids[part].astype(np.int64), row_of[part]
        is_word = (ids >= special) & wanted[row]
        for distance in range(1, WINDOW + 1):
            last = min(SOME, len(ids) - distance)
            first, second = slice(0, last), slice(distance, distance + last)
            near = is_word[first] & is_word[second] & (row[first] == row[second])
            pairs, times = np.unique(ids[first][near] * vocabulary + ids[second][near], return_counts=True)
            counts[pairs] += (times / distance).astype(np.float32)
    return counts.reshape(vocabulary, vocabulary)
