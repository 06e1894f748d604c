import json
import logging
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils import httpx
from transformers import AutoModelForSequenceClassification, BertModel

from sweeper.errors import UserError
from sweeper.training.classifier import load_classifier, resolve_loss
from sweeper.training.packing import FAMILIES

NAMES = ("분노", "슬픔", "기쁨")


@pytest.fixture
def saved(make_classifier, tmp_path):
    """`saved(family)`: a folder with the encoder of a family."""

    def save(family: str = "bert") -> str:
        make_classifier(family).base_model.save_pretrained(tmp_path / family)
        return str(tmp_path / family)

    return save


def load(model, **changes):
    keywords = {"label_names": NAMES, "loss": "auto", "dropout": None, "freeze_encoder": False, "seed": 0}
    return load_classifier(model, **(keywords | changes))


@pytest.mark.parametrize(
    ("loss", "classes", "resolved"),
    [
        ("auto", 0, "mse"),
        ("auto", 2, "bce"),
        ("auto", 3, "cross_entropy"),
        ("cross_entropy", 2, "cross_entropy"),
        ("bce", 2, "bce"),
        ("mse", 0, "mse"),
    ],
)
def test_loss_by_the_documents_rule(loss, classes, resolved):
    assert resolve_loss(loss, classes) == resolved


@pytest.mark.parametrize(("loss", "classes"), [("bce", 3), ("bce", 0), ("mse", 2), ("cross_entropy", 0), ("hinge", 2)])
def test_a_loss_that_does_not_fit_is_refused(loss, classes):
    with pytest.raises(UserError, match=rf"train\.loss={loss}.*auto"):
        resolve_loss(loss, classes)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_its_encoder_in_float32(family, saved, make_classifier):
    model = load(saved(family))
    encoder = make_classifier(family).base_model.state_dict()

    assert all(torch.equal(tensor, encoder[name]) for name, tensor in model.base_model.state_dict().items())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.config.id2label == dict(enumerate(NAMES))
    assert model.config.label2id == {name: number for number, name in enumerate(NAMES)}


def test_half_precision_weights_become_float32(saved, tmp_path):
    BertModel.from_pretrained(saved("bert")).half().save_pretrained(tmp_path / "half")

    assert {parameter.dtype for parameter in load(str(tmp_path / "half")).parameters()} == {torch.float32}


def test_the_head_comes_from_the_seed_and_nothing_else_is_disturbed(saved):
    folder = saved()
    torch.manual_seed(4)
    state = torch.random.get_rng_state()
    first, second, other = load(folder), load(folder), load(folder, seed=1)

    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_two_classes_are_one_logit_for_the_second_name(saved):
    model = load(saved(), label_names=("부정", "긍정"))

    assert model.config.num_labels == 1
    assert model.config.id2label == {0: "긍정"}
    assert load(saved(), label_names=("부정", "긍정"), loss="cross_entropy").config.num_labels == 2


def test_regression_has_one_value(saved):
    model = load(saved(), label_names=())

    assert (model.config.num_labels, model.config.problem_type) == (1, "regression")


@pytest.mark.parametrize("family", FAMILIES)
def test_head_dropout(family, saved):
    rates = [module.p for name, module in load(saved(family), dropout=0.37).named_modules() if hasattr(module, "p")]

    assert 0.37 in rates


def test_a_frozen_encoder_leaves_the_head(saved):
    model = load(saved(), freeze_encoder=True)

    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}


def test_a_bundled_encoder_is_known_by_its_name():
    assert load("ko-mini").config.model_type == "bert"


def test_loading_prints_nothing(saved, capfd, caplog):
    folder = saved()
    capfd.readouterr()
    with caplog.at_level(logging.WARNING):
        load(folder)

    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_an_unknown_folder_says_so():
    with pytest.raises(UserError, match=r"model=\./nowhere: there is no such folder"):
        load("./nowhere")


def test_an_unreachable_hub_names_the_local_way_out(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"model=someone/nothing.*hub.*local folder.*ko-mini"):
        load("someone/nothing")


def test_a_proxy_that_refuses_is_told_like_an_unreachable_hub(monkeypatch):
    def refused(*_, **__):  # as for the second file of a large encoder; for the first, transformers makes it an OSError
        raise httpx.ProxyError("403 Forbidden")

    monkeypatch.setattr("sweeper.training.classifier.AutoConfig.from_pretrained", refused)
    with pytest.raises(UserError, match=r"model=someone/nothing.*hub.*local folder.*ko-mini"):
        load("someone/nothing")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("labels", [("부정", "긍정"), NAMES, ("가", "나", "다", "라", "마"), ()])
def test_a_fine_tuned_classifier_gives_its_encoder_and_no_head(family, labels, saved, tmp_path):
    encoder = saved(family)
    tuned = load(encoder, seed=5)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.1)
    tuned.save_pretrained(tmp_path / "tuned")
    tuned.base_model.save_pretrained(tmp_path / "its-encoder")

    found, expected = (load(str(tmp_path / folder), label_names=labels) for folder in ("tuned", "its-encoder"))
    assert found.state_dict().keys() == expected.state_dict().keys()
    assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in found.state_dict().items())
    assert (found.config.id2label, found.config.label2id) == (expected.config.id2label, expected.config.label2id)
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}


def test_the_head_of_an_encoder_is_drawn_as_it_always_was(saved):
    """Trials that were trained before keep their keys, so they keep their results: those of transformers alone."""
    folder = saved()
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        reference = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3, dtype=torch.float32)
    found = load(folder, seed=3).state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in reference.state_dict().items())


def test_weights_that_do_not_fit_the_configuration_are_refused(saved, tmp_path):
    folder = saved()
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config | {"intermediate_size": 20}))
    with pytest.raises(UserError, match=r"do not fit its config\.json: bert\.encoder"):
        load(folder)


def test_weights_of_the_hubs_old_kind_are_read(saved, tmp_path):
    folder = saved()
    expected = load(folder).state_dict()
    torch.save(BertModel.from_pretrained(folder).state_dict(), tmp_path / "bert" / "pytorch_model.bin")
    (tmp_path / "bert" / "model.safetensors").unlink()
    found = load(folder).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


class Evil:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_pickle_that_holds_more_than_weights_is_refused_and_not_run(saved, tmp_path):
    folder = saved()
    (tmp_path / "bert" / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Evil(tmp_path / "ran")}, tmp_path / "bert" / "pytorch_model.bin")
    with pytest.raises(UserError, match="never run"):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_damaged_weights_are_told(saved, tmp_path):
    folder = saved()
    path = tmp_path / "bert" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="weights cannot be read"):
        load(folder)


def test_a_folder_without_a_model_says_what_it_needs(tmp_path):
    with pytest.raises(UserError, match=r"config\.json and model\.safetensors"):
        load(str(tmp_path))


def test_a_folder_without_weights_says_what_it_needs(saved, tmp_path):
    folder = saved()
    (tmp_path / "bert" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load(folder)


def test_an_architecture_without_a_classification_head_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(UserError, match="no sequence-classification head"):
        load(str(tmp_path))


def test_code_from_a_model_folder_is_never_run(saved, tmp_path):
    folder = saved()
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForSequenceClassification": "evil.Model"},
    }
    (tmp_path / "bert" / "config.json").write_text(json.dumps(config))
    (tmp_path / "bert" / "evil.py").write_text("raise SystemExit('this ran')")

    with pytest.raises(UserError, match="code of its own, which is never run"):
        load(folder)
