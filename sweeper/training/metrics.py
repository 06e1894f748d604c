"""What one epoch is worth, as plain numbers, and the one figure torch does not give: macro F1.

Figures are kept as Python floats and never rounded. Where there are no classes (regression) the
three classification figures are None, not zero: a zero would be ranked, drawn and logged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EpochMetrics:
    """One line of a trial's curve.

    Attributes:
        epoch: 1-based.
        train_loss, train_accuracy: mean over the epoch's batches while the weights move, weighted by
            batch size, dropout on (what Keras prints during an epoch).
        val_loss, val_accuracy, val_macro_f1: over the validation split after the epoch, dropout off.
        lr: learning rate of the epoch's last optimizer step.
        seconds: wall-clock seconds of training and validation together.
        sentences_per_second: training rows a second, validation left out.
        peak_memory_mb: highest resident memory of the process so far, trials before this one included, in MiB.
        peak_rss_mb: the same of this trial alone, where the system can tell (see `PeakMemory`).
        peak_gpu_mb: highest memory that this trial had allocated on its GPU, in MiB; None on a CPU.
    """

    epoch: int
    train_loss: float
    val_loss: float
    train_accuracy: float | None
    val_accuracy: float | None
    val_macro_f1: float | None
    lr: float
    seconds: float
    sentences_per_second: float
    peak_memory_mb: float | None = None  # these three came one after the other: records on disk may lack them
    peak_rss_mb: float | None = None
    peak_gpu_mb: float | None = None


def accuracy(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> float:
    """Share of rows (n,) whose predicted class is the label."""
    return float(np.mean(labels == predictions))


def macro_f1(labels: NDArray[np.int64], predictions: NDArray[np.int64]) -> float:
    """Mean F1 over the classes that occur in labels or predictions (n,), as scikit-learn's `f1_score(average="macro")`.

    A class never predicted, or predicted and never right, counts 0. Written out so that a training
    worker does not import scikit-learn (a second and 60 MB); the tests compare the two.
    """
    classes = int(max(labels.max(), predictions.max())) + 1
    right = np.bincount(labels[labels == predictions], minlength=classes)
    asked = np.bincount(labels, minlength=classes) + np.bincount(predictions, minlength=classes)
    present = asked > 0
    return float(np.mean(2 * right[present] / asked[present]))
