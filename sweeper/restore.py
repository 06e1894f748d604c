"""A trained classifier back in memory: from a trial's weights, or from a frozen folder.

A one-logit head (BCE) comes back as the equal two-logit head, `softmax([0, z]) = sigmoid(z)`, so that
everything above knows one kind of classifier: one logit a class.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from sweeper.errors import UserError
from sweeper.training.checkpoint import load_weights
from sweeper.training.classifier import load_classifier, quiet, resolve_loss


def restore(
    weights: Path,
    *,
    model: str,
    label_names: tuple[str, ...],
    loss: str,
    dropout: float | None,
    sha256: str | None = None,
) -> PreTrainedModel:
    """The classifier with the weights that a trial kept.

    Args:
        weights: `weights.safetensors` of the trial.
        model: encoder it was trained from: hub id, folder or bundled name.
        label_names: by class id; empty for regression.
        loss: the trial's `train.loss`; with BCE the head is turned into two logits.
        dropout: the trial's `head.dropout`.
        sha256: of the weights' file, as recorded; None is not checked.

    Raises:
        UserError: the weights are gone or damaged, or the encoder cannot be had.
    """
    classifier = load_classifier(
        model, label_names=label_names, loss=loss, dropout=dropout, freeze_encoder=False, seed=0
    )
    try:
        _check_sum(weights, sha256)
        load_weights(weights, classifier)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{weights}: the winner's weights cannot be read ({error}). Remove the folder "
            f"{weights.parent} and run the same sweep again: only this trial is trained anew."
        ) from None
    if resolve_loss(loss, len(label_names)) == "bce":
        _split_head(classifier)
        _name_labels(classifier, label_names)
    classifier.train(False)
    return classifier


def _check_sum(weights: Path, sha256: str | None) -> None:
    with weights.open("rb") as file:
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise OSError("the file is damaged: its checksum differs from the recorded one")


def _split_head(classifier: PreTrainedModel) -> None:
    """Turn the head's logit z into the logits [0, z]."""
    linears = [(name, part) for name, part in classifier.named_modules() if isinstance(part, nn.Linear)]
    name, last = [(name, part) for name, part in linears if part.out_features == 1][-1]
    wide = nn.Linear(last.in_features, 2, bias=True)
    with torch.no_grad():
        wide.weight.zero_()
        wide.bias.zero_()
        wide.weight[1] = last.weight[0]
        if last.bias is not None:
            wide.bias[1] = last.bias[0]
    parent, _, attribute = name.rpartition(".")
    setattr(classifier.get_submodule(parent), attribute, wide)


def _name_labels(classifier: PreTrainedModel, label_names: tuple[str, ...]) -> None:
    classifier.config.id2label = dict(enumerate(label_names))
    classifier.config.label2id = {name: number for number, name in enumerate(label_names)}
    classifier.config.problem_type = "single_label_classification"
    classifier.num_labels = len(label_names)  # type: ignore[assignment]  # heads that compute a loss read it


def load_frozen(folder: Path) -> PreTrainedModel:
    """The classifier of a frozen folder, in float32; no code of it is run and no pickle read.

    Raises:
        UserError: there is no sequence classifier in it.
    """
    try:
        with quiet():
            model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder}: no classifier can be loaded from it ({str(error).splitlines()[0]})") from None
    model.train(False)
    return model


def labels_of(model: PreTrainedModel) -> tuple[str, ...]:
    """A classifier's label names by class id (one generic name for a regression)."""
    names = {int(number): str(name) for number, name in (model.config.id2label or {}).items()}
    return tuple(names[number] for number in sorted(names))
