"""A pretrained encoder with a fresh head for the labels at hand.

Any architecture that transformers knows as a sequence classifier. Weights are float32; no code from a hub
is run; a `.bin` file is read only through `weights_only`. The head is drawn from the seed, so that equal
seeds give equal models. Nothing is printed: what a fresh head misses from its checkpoint is expected.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever of its versions the hub's library uses
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging

from sweeper import assets
from sweeper.errors import UserError

LOSSES = ("cross_entropy", "bce", "mse")
DROPOUT_KEYS = ("classifier_dropout", "classifier_dropout_prob", "seq_classif_dropout", "cls_dropout")


def resolve_loss(loss: str, classes: int) -> str:
    """The loss for a number of classes: by the documents' rule where `auto`.

    Args:
        loss: `auto`, `cross_entropy`, `bce` or `mse`.
        classes: 0 for one numeric label (mse), 2 (bce, one logit), 3 or more (cross_entropy).

    Raises:
        UserError: the loss does not fit the number of classes.
    """
    if loss == "auto":
        return "mse" if classes == 0 else "bce" if classes == 2 else "cross_entropy"
    if loss not in LOSSES:
        raise UserError(f"train.loss={loss} is unknown; it takes auto, {', '.join(LOSSES)}")
    fits = {"mse": classes == 0, "bce": classes == 2, "cross_entropy": classes >= 2}[loss]
    if not fits:
        wanted = {"mse": "data.task=regression", "bce": "exactly two classes", "cross_entropy": "two classes or more"}
        found = f"{classes} classes" if classes else "a numeric label (data.task=regression)"
        raise UserError(f"train.loss={loss} needs {wanted[loss]}, the data has {found}; use train.loss=auto")
    return loss


def load_classifier(
    model: str, *, label_names: Sequence[str], loss: str, dropout: float | None, freeze_encoder: bool, seed: int
) -> PreTrainedModel:
    """An encoder with a new classification head, in float32 on the CPU.

    Args:
        model: a hub id, a local folder or the name of a bundled encoder.
        label_names: class names in the order of their ids; empty for regression.
        loss: `auto` or one that `resolve_loss` takes. With `bce` the head has one logit, for the second name.
        dropout: before the head; None: the encoder's own.
        freeze_encoder: train the head only.
        seed: of the head's weights.

    Raises:
        UserError: no such folder, hub not reachable, weights that cannot be used, or an architecture without a
            classification head.
    """
    kind = resolve_loss(loss, len(label_names))
    source = assets.encoder(model)
    with quiet(), explained(model, source), torch.random.fork_rng([]):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        _set_labels(config, label_names, kind)
        _set_dropout(config, dropout)
        classifier = _with_fresh_head(model, source, config, seed)
    if freeze_encoder:
        for parameter in classifier.base_model.parameters():
            parameter.requires_grad_(False)
    return classifier


def _with_fresh_head(model: str, source: str, config: PreTrainedConfig, seed: int) -> PreTrainedModel:
    """The encoder's weights under a head drawn from the seed, also where a fine-tuned classifier brings its own."""
    torch.manual_seed(seed)
    classifier: PreTrainedModel
    classifier, found = AutoModelForSequenceClassification.from_pretrained(
        source, config=config, dtype=torch.float32, trust_remote_code=False, weights_only=True,
        ignore_mismatched_sizes=True, output_loading_info=True,
    )  # fmt: skip
    encoder = f"{classifier.base_model_prefix}."
    misfits = {name for name, *_ in found["mismatched_keys"]}
    if odd := sorted(name for name in misfits if name.startswith(encoder)):
        raise UserError(f"model={model}: its weights do not fit its config.json: {', '.join(odd[:3])} differ in size")
    head = {name for name, _ in classifier.named_parameters() if not name.startswith(encoder)}
    if classifier.base_model is classifier or head <= {*found["missing_keys"], *misfits}:
        return classifier
    # an old head, or a layer of one, was taken over: the same encoder once more, as if it had come without
    torch.manual_seed(seed)
    weights = {name: tensor for name, tensor in classifier.state_dict().items() if name.startswith(encoder)}
    fresh: PreTrainedModel = type(classifier).from_pretrained(
        None, config=config, state_dict=weights, dtype=torch.float32
    )
    return fresh


def _set_labels(config: PreTrainedConfig, label_names: Sequence[str], kind: str) -> None:
    if kind == "mse":
        config.id2label, config.label2id = {0: "LABEL_0"}, {"LABEL_0": 0}  # not a fine-tuned classifier's
        config.problem_type = "regression"
        return
    outputs = label_names[1:] if kind == "bce" else label_names
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: number for number, name in enumerate(outputs)}
    config.problem_type = "multi_label_classification" if kind == "bce" else "single_label_classification"


def _set_dropout(config: PreTrainedConfig, dropout: float | None) -> None:
    if dropout is None:
        return
    keys = [key for key in DROPOUT_KEYS if hasattr(config, key)]
    if not keys:
        raise UserError(f"head.dropout={dropout}: {config.model_type} has no dropout before its head; leave it null")
    for key in keys:
        setattr(config, key, dropout)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no list of missing head weights on the terminal."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(40)  # errors only
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def explained(model: str, source: str) -> Iterator[None]:
    """transformers' errors as what the user can do about them.

    Args:
        model: as the user named it.
        source: the folder or hub id behind it.
    """
    try:
        yield
    except (
        *(OSError, ValueError, KeyError, ImportError),
        *(httpx.HTTPError, SafetensorError, UnpicklingError),  # a refusing proxy, damaged weights, a pickle's code
    ) as error:
        raise UserError(_explanation(model, source, error)) from error


def _explanation(model: str, source: str, error: Exception) -> str:
    found = (str(error).strip().splitlines() or [type(error).__name__])[0]
    here, is_absent = Path(source).is_dir(), isinstance(error, OSError | httpx.HTTPError)
    if isinstance(error, UnpicklingError | SafetensorError):
        is_pickle = isinstance(error, UnpicklingError)
        why = "damaged, or a pickle of more than tensors, which is never run" if is_pickle else found
        return f"model={model}: its weights cannot be read ({why}); save them anew as model.safetensors"
    if here and (is_absent or not (Path(source) / "config.json").is_file()):
        return (
            f"model={model}: the folder has no encoder in it ({found}); it needs config.json and "
            "model.safetensors, as `save_pretrained` or a hub download writes them"
        )
    if "custom code" in str(error) or "trust_remote_code" in str(error):
        return (
            f"model={model}: it needs code of its own, which is never run here; use an encoder that transformers knows"
        )
    if here or not is_absent:
        return (
            f"model={model}: this architecture has no sequence-classification head in transformers ({found}); "
            "use an encoder such as BERT, RoBERTa, ELECTRA, DistilBERT or ALBERT"
        )
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        return f"model={model}: there is no such folder; give a folder with config.json and weights, or a hub id"
    return (
        f"model={model}: neither a folder here nor to be had from the hub ({found}); check the name and the "
        "connection, or give a local folder: model=path/to/folder with config.json, model.safetensors and the "
        "tokenizer's files; model=ko-mini is bundled and needs no network"
    )
