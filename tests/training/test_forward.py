import warnings

import pytest
from transformers import AutoModelForSequenceClassification, GPT2Config

from sweeper.training.forward import resolve_batching


@pytest.fixture
def other_architecture():
    return AutoModelForSequenceClassification.from_config(
        GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=1, n_positions=16, num_labels=3, pad_token_id=0)
    )


def test_supported_families_stay_packed_without_a_word(make_classifier):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_batching(make_classifier("albert"), "packed") == "packed"


def test_other_architectures_are_padded_and_it_is_said(other_architecture):
    with pytest.warns(UserWarning, match="not gpt2; using batching=longest"):
        assert resolve_batching(other_architecture, "packed") == "longest"
    assert resolve_batching(other_architecture, "max_length") == "max_length"


def test_unknown_batching_is_refused(make_classifier):
    with pytest.raises(ValueError, match="shortest"):
        resolve_batching(make_classifier("bert"), "shortest")
