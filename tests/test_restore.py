"""Classifiers back in memory: the weights of the trial, all of them, with one logit a class."""

import hashlib
from pathlib import Path

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
)

from sweeper import restore as restore_module
from sweeper.errors import UserError
from sweeper.restore import labels_of, load_frozen, restore
from sweeper.training.checkpoint import load_weights, save_weights
from sweeper.training.classifier import load_classifier

LABELS = {3: ("기쁨", "보통", "슬픔"), 2: ("싫음", "좋음")}


def weights_of(folder: Path, model: str, classes: int) -> Path:
    """The weights of a classifier whose head is far from zero, as a trial keeps them."""
    classifier = load_classifier(
        model, label_names=LABELS[classes], loss="auto", dropout=None, freeze_encoder=False, seed=1
    )
    with torch.no_grad():
        classifier.classifier.weight.normal_(std=9.0, generator=torch.Generator().manual_seed(2))
    save_weights(folder / "weights.safetensors", classifier)
    return folder / "weights.safetensors"


def test_one_logit_becomes_two_that_say_the_same(tiny_encoder, tmp_path):
    weights = weights_of(tmp_path, str(tiny_encoder), 2)
    names = LABELS[2]
    one = load_classifier(
        str(tiny_encoder), label_names=names, loss="bce", dropout=None, freeze_encoder=False, seed=0
    ).eval()
    load_weights(weights, one)
    two = restore(weights, model=str(tiny_encoder), label_names=names, loss="auto", dropout=None)
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    expected = torch.sigmoid(one(input_ids=ids).logits[0, 0])
    assert torch.allclose(two(input_ids=ids).logits.softmax(-1)[0, 1], expected, atol=1e-6)
    assert two.config.id2label == dict(enumerate(names))
    assert abs(expected.item() - 0.5) > 0.01


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 17}
FAMILIES = {
    "bert": BertConfig(**SIZES),
    "electra": ElectraConfig(**SIZES, embedding_size=16),
    "roberta": RobertaConfig(**SIZES),
    "distilbert": DistilBertConfig(dim=16, n_layers=1, n_heads=2, hidden_dim=16, vocab_size=17),
    "albert": AlbertConfig(**SIZES, embedding_size=16),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_every_family_can_be_split(family):
    torch.manual_seed(0)
    config = FAMILIES[family]
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config).eval()
    ids = torch.tensor([[2, 5, 6, 7, 3]])
    expected = torch.sigmoid(model(input_ids=ids).logits[0, 0])
    restore_module._split_head(model)
    found = model(input_ids=ids).logits.softmax(-1)[0]
    assert torch.allclose(found, torch.stack([1 - expected, expected]), atol=1e-6)


def test_one_flipped_byte_in_the_weights_is_noticed(tiny_encoder, tmp_path):
    path = weights_of(tmp_path, str(tiny_encoder), 3)
    recorded = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = {"model": str(tiny_encoder), "label_names": LABELS[3], "loss": "auto", "dropout": None}
    restore(path, **settings, sha256=recorded)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="checksum"):
        restore(path, **settings, sha256=recorded)


@pytest.mark.parametrize("damage", ["absent", "cut"])
def test_weights_that_cannot_be_read_are_told_with_the_way_out(damage, tiny_encoder, tmp_path):
    path = weights_of(tmp_path, str(tiny_encoder), 3)
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="run the same sweep again"):
        restore(path, model=str(tiny_encoder), label_names=LABELS[3], loss="auto", dropout=None)


def test_a_folder_without_a_classifier_is_told(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="no classifier can be loaded"):
        load_frozen(tmp_path)


def test_a_pickle_is_never_read(tiny_encoder, tmp_path):
    model = load_classifier(
        str(tiny_encoder), label_names=LABELS[3], loss="auto", dropout=None, freeze_encoder=False, seed=0
    )
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError):
        load_frozen(tmp_path)
    model.save_pretrained(tmp_path)
    assert labels_of(load_frozen(tmp_path)) == LABELS[3]
