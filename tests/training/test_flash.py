"""The kernels' trial run, with stand-ins for the operator: a good one, wrong ones and none at all."""

from itertools import pairwise

import pytest
import torch

from sweeper.training import flash
from sweeper.training.dropout import scaled_mask
from sweeper.training.flash import dropout_serves, serves, varlen_with_dropout

CPU, HALF, SIZE = torch.device("cpu"), torch.bfloat16, 64


@pytest.fixture(autouse=True)
def never_tried():
    dropout_serves.cache_clear()
    yield
    dropout_serves.cache_clear()


def good(query, key, value, cumulative, longest, dropout, scale):
    results = []
    ends = cumulative.tolist()
    for start, end in pairwise(ends):
        q, k, v = (rows[start:end] for rows in (query, key, value))
        weights = (torch.einsum("qhs,khs->hqk", q, k).float() * scale).softmax(-1)
        if dropout:
            weights = weights * scaled_mask(weights.shape, dropout, weights)
        results.append(torch.einsum("hqk,khs->qhs", weights.to(query.dtype), v))
    return torch.cat(results)


def across_sequences(query, key, value, cumulative, *rest):
    return good(query, key, value, cumulative[[0, -1]], *rest)


def without_dropout(query, key, value, cumulative, longest, dropout, scale):
    return good(query, key, value, cumulative, longest, 0.0, scale)


def without_gradient(*arguments):
    return good(*arguments).detach()


def wrong_gradient(query, key, *rest):
    return good(query, key.detach() + 0 * key, *rest)


def missing(*arguments):
    raise AttributeError("'_OpNamespace' 'aten' object has no attribute '_flash_attention_forward'")


def test_a_kernel_that_does_what_it_should_is_used_and_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(flash, "varlen_with_dropout", lambda *a: (tried.append(a), good(*a))[1])
    torch.manual_seed(1)
    before = torch.random.get_rng_state()

    assert dropout_serves(CPU, HALF, SIZE)
    assert dropout_serves(CPU, HALF, SIZE)
    assert len(tried) == 2  # without and with dropout
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kernel", [across_sequences, without_dropout, without_gradient, wrong_gradient, missing])
def test_a_kernel_that_does_not_is_not_used_and_it_is_said(monkeypatch, kernel):
    monkeypatch.setattr(flash, "varlen_with_dropout", kernel)
    with pytest.warns(UserWarning, match="pads sequences"):
        assert not dropout_serves(CPU, HALF, SIZE)


def test_memory_that_runs_out_says_nothing_of_the_kernel(monkeypatch):
    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(flash, "varlen_with_dropout", full)
    with pytest.raises(torch.OutOfMemoryError):
        dropout_serves(CPU, HALF, SIZE)
    monkeypatch.setattr(flash, "varlen_with_dropout", good)
    assert dropout_serves(CPU, HALF, SIZE)


def test_it_is_tried_in_the_middle_of_a_forward_pass(monkeypatch):
    monkeypatch.setattr(flash, "varlen_with_dropout", good)
    with torch.autocast("cpu", dtype=HALF), torch.no_grad():
        assert dropout_serves(CPU, HALF, SIZE)


def test_only_dropout_is_tried(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(flash, "varlen_attn", lambda *a, **k: None)
    monkeypatch.setattr(flash, "varlen_with_dropout", missing)

    assert serves(torch.device("cuda"), HALF, SIZE, 0.0)
    assert not serves(CPU, HALF, SIZE, 0.0)


def test_the_operator_takes_what_it_is_given():
    """Its schema in this torch: names, order and defaults; it cannot be run without a GPU."""
    schema = torch.ops.aten._flash_attention_forward.default._schema
    names = [argument.name for argument in schema.arguments]

    assert names[:10] == [
        *("query", "key", "value", "cum_seq_q", "cum_seq_k", "max_q", "max_k", "dropout_p", "is_causal"),
        "return_debug_mask",
    ]
    assert "scale" in names
    assert all(argument.has_default_value() for argument in schema.arguments[10:])


def test_the_operator_gives_a_result_and_gradients_of_the_right_shapes():
    """On tensors without content, which run the checks and the gradient's formula of this torch."""
    rows = [torch.zeros(8, 2, SIZE, dtype=HALF, device="meta", requires_grad=True) for _ in range(3)]
    cumulative = torch.zeros(4, dtype=torch.int32, device="meta")
    result = varlen_with_dropout(*rows, cumulative, 5, 0.1, 0.125)
    result.sum().backward()

    assert result.shape == rows[0].shape
    assert all(row.grad.shape == row.shape for row in rows)
