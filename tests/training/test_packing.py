"""A flat row gives what padding gives: logits, loss and every gradient, for every family."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from sweeper.data.tokens import Split
from sweeper.training import boundaries
from sweeper.training.batches import BatchMaker
from sweeper.training.forward import Forward
from sweeper.training.packing import FAMILIES, PackedEncoder, PackedModel, supports

CPU = torch.device("cpu")
LONGEST, CLASSES = 12, 3
LENGTHS = st.lists(st.integers(1, LONGEST), min_size=1, max_size=9)


def outcome(model, table, batching, multiple=1):
    """Logits in the order of the rows, loss, and gradients by name."""
    split = Split(np.arange(len(table.lengths)), np.arange(len(table.lengths)) % CLASSES)
    batch = BatchMaker.for_model(model, table, split, batching, CPU, multiple).make(np.arange(len(split.rows)))
    model.zero_grad(set_to_none=True)
    with Forward(model, batching) as forward:
        logits = forward(batch)
    loss = F.cross_entropy(logits, batch.labels)
    loss.backward()
    # a word vector is used wherever its token stands, so the padding token has a gradient only where it is a key
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return logits.detach()[torch.from_numpy(np.argsort(batch.picked))], loss.detach(), gradients


def assert_same(ours, theirs):
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-5, rtol=1e-5)
    for name, gradient in theirs[2].items():
        if gradient is None:
            assert ours[2][name] is None
            continue
        torch.testing.assert_close(ours[2][name], gradient, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None)
@given(lengths=LENGTHS, cost=st.sampled_from([0, 10**9]), multiple=st.sampled_from([1, 8]))
@example(lengths=[1], cost=0, multiple=1)
@example(lengths=[1, LONGEST, 1, 5], cost=0, multiple=8)
@example(lengths=[LONGEST] * 3, cost=0, multiple=1)
def test_logits_loss_and_gradients_equal_those_of_padded_batches(
    family, lengths, cost, multiple, make_classifier, make_table
):
    model = make_classifier(family, dropout=False).train()
    table = make_table([*lengths, LONGEST], pad_id=model.config.pad_token_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "BLOCK_COST", cost)
        packed = outcome(model, table, "packed", multiple)

    assert_same(packed, outcome(model, table, "longest"))
    assert_same(packed, outcome(model, table, "max_length"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_encoder_trains_its_head_as_with_padding(family, make_classifier, make_table):
    model = make_classifier(family, dropout=False).train()
    for parameter in model.base_model.parameters():
        parameter.requires_grad_(False)
    table = make_table([1, 4, LONGEST], pad_id=model.config.pad_token_id)

    assert_same(outcome(model, table, "packed"), outcome(model, table, "longest"))


def test_the_last_layer_runs_on_first_tokens_only(make_classifier, make_table):
    model, rows = make_classifier("bert"), {}
    for number, layer in enumerate(model.bert.encoder.layer):
        layer.intermediate.register_forward_hook(
            lambda module, arguments, output, n=number: rows.__setitem__(n, tuple(output.shape[:2]))
        )
    outcome(model, make_table([3, 5, 2]), "packed")

    assert rows == {0: (1, 10), 1: (1, 3)}


def test_two_models_in_one_process_do_not_meet(make_classifier, make_table):
    first, second = make_classifier("bert", dropout=False), make_classifier("roberta", dropout=False)
    table = make_table([2, 7, 3], pad_id=1)
    split = Split(np.arange(3), np.zeros(3, np.int64))
    alone = [outcome(model, table, "longest")[0] for model in (first, second)]

    with Forward(first, "packed") as one, Forward(second, "packed") as two:
        together = [
            forward(BatchMaker.for_model(model, table, split, "packed", CPU).make(np.arange(3)))
            for forward, model in ((one, first), (two, second))
        ]

    order = np.argsort(np.argsort(table.lengths, kind="stable"))
    for ours, theirs in zip(together, alone, strict=True):
        torch.testing.assert_close(ours.detach()[order], theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_still_takes_padded_batches_while_hooks_are_on_and_after(family, make_classifier, make_table):
    model = make_classifier(family).eval()
    before = model.config._attn_implementation
    ids = torch.randint(2, 20, (2, 5), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    plain = model(input_ids=ids, attention_mask=mask).logits

    packed = PackedModel(model)
    torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits, plain)
    torch.testing.assert_close(model(input_ids=ids).logits[1], plain[1])
    packed.remove()

    assert model.config._attn_implementation == before
    assert torch.equal(model(input_ids=ids, attention_mask=mask).logits, plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_families_are_supported_and_others_are_not(make_classifier):
    from transformers import AutoModelForSequenceClassification, GPT2Config

    assert all(supports(make_classifier(family)) for family in FAMILIES)
    other = AutoModelForSequenceClassification.from_config(
        GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=1, n_positions=16, num_labels=2)
    )
    assert not supports(other)
    with pytest.raises(ValueError, match="GPT2"):
        PackedModel(other)


def test_a_decoder_or_chunked_layers_are_not_supported(make_classifier):
    model = make_classifier("bert")
    model.config.chunk_size_feed_forward = 2
    assert not supports(model)
    model.config.chunk_size_feed_forward = 0
    model.config.is_decoder = True
    assert not supports(model)


def test_an_encoder_gives_the_states_of_any_tokens(make_classifier, make_table):
    model, table = make_classifier("bert", dropout=False), make_table([3, 5, 2])
    batch = BatchMaker(table, Split(np.arange(3), np.zeros(3, np.int64)), "packed", CPU).make(np.arange(3))
    wanted = torch.tensor([0, 2, 4, 9])
    packed = PackedEncoder(model.bert)
    states = packed(batch, batch.input_ids, wanted)
    packed.remove()
    apart = [model.bert(row[None]).last_hidden_state[0] for row in batch.input_ids[0].split([2, 3, 5])]
    torch.testing.assert_close(states, torch.cat(apart)[wanted], atol=1e-5, rtol=1e-5)
