"""The block-wise attention against attention computed sequence by sequence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.training import attention, boundaries, flash
from sweeper.training.attention import attend, kernel_for, padded_attention
from sweeper.training.boundaries import find_boundaries

CPU = torch.device("cpu")
HEADS, SIZE, SCALE = 2, 4, 0.7
LENGTHS = st.lists(st.integers(1, 20), min_size=1, max_size=12).map(lambda lengths: np.array(sorted(lengths)))


def rows(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(count, HEADS, SIZE, generator=generator, dtype=torch.float32) for _ in range(3)]


def one_by_one(query, key, value, lengths) -> torch.Tensor:
    results = []
    for q, k, v in zip(*(tensor.split(lengths.tolist()) for tensor in (query, key, value)), strict=True):
        weights = torch.einsum("qhs,khs->hqk", q, k).mul(SCALE).softmax(-1)
        results.append(torch.einsum("hqk,khs->qhs", weights, v))
    return torch.cat(results)


@pytest.fixture(params=[0, 10**9], ids=["many blocks", "one block"])
def block_cost(request, monkeypatch):
    monkeypatch.setattr(boundaries, "BLOCK_COST", request.param)


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, cost=st.sampled_from([0, 50, 10**9]), tail=st.integers(0, 3), first_only=st.booleans())
def test_result_and_gradients_are_those_of_each_sequence_alone(lengths, cost, tail, first_only):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "BLOCK_COST", cost)
        found = find_boundaries(lengths, CPU)
    tokens = int(lengths.sum())
    ours = [tensor.requires_grad_() for tensor in rows(tokens + tail)]
    theirs = [tensor[:tokens].requires_grad_() for tensor in rows(tokens + tail)]

    wanted = found.starts if first_only else slice(None, tokens)
    got = attend(*ours, found, SCALE, 0.0, first_only)[wanted]
    expected = one_by_one(*theirs, lengths)[wanted]
    upstream = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    got.backward(upstream)
    expected.backward(upstream)

    torch.testing.assert_close(got, expected)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad[:tokens], reference.grad, atol=1e-5, rtol=1e-4)
        assert not mine.grad[tokens:].any()


@pytest.mark.usefixtures("block_cost")
def test_dropout_gradient_is_that_of_the_weights_it_kept():
    """With the same draws the result is linear in the values, so finite differences are exact."""
    lengths = np.array([1, 3, 7])
    found = find_boundaries(lengths, CPU)
    query, key, value = rows(11)
    value.requires_grad_()
    upstream = torch.randn(11, HEADS, SIZE)

    def result(values: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return (attend(query, key, values, found, SCALE, 0.4, False) * upstream).sum()

    (gradient,) = torch.autograd.grad(result(value), value)
    step = torch.randn_like(value)

    moved = result(value.detach() + step) - result(value.detach())
    assert moved.item() == pytest.approx((gradient * step).sum().item(), rel=1e-4)
    assert result(value).item() != (attend(query, key, value, found, SCALE, 0.0, False) * upstream).sum().item()


def test_dropout_gradients_of_queries_and_keys_follow_small_steps():
    found = find_boundaries(np.array([2, 5]), CPU)
    query, key, value = (tensor.requires_grad_() for tensor in rows(7))

    def result(q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return attend(q, k, value, found, SCALE, 0.4, False).square().sum()

    gradients = torch.autograd.grad(result(query, key), (query, key))
    step = 1e-2 * torch.randn(7, HEADS, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        by_query = (result(query + step, key) - result(query - step, key)) / 2
        by_key = (result(query, key + step) - result(query, key - step)) / 2

    assert by_query.item() == pytest.approx((gradients[0] * step).sum().item(), rel=2e-2, abs=1e-4)
    assert by_key.item() == pytest.approx((gradients[1] * step).sum().item(), rel=2e-2, abs=1e-4)


def test_half_precision_rows_come_back_in_half_precision():
    lengths = np.array([2, 5, 6])
    halves = [tensor.bfloat16() for tensor in rows(13)]
    got = attend(*halves, find_boundaries(lengths, CPU), SCALE, 0.0, False)

    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), one_by_one(*(h.float() for h in halves), lengths), atol=2e-2, rtol=2e-2)


def test_the_padded_view_that_accelerators_use_gives_the_same(monkeypatch):
    monkeypatch.setattr(boundaries, "BLOCK_COST", 10**9)
    lengths = np.array([1, 4, 4, 9])
    ours = [tensor.requires_grad_() for tensor in rows(18)]
    theirs = [tensor.requires_grad_() for tensor in rows(18)]
    longer = [torch.cat([tensor, torch.ones(2, HEADS, SIZE)]) for tensor in ours]

    got = padded_attention(*longer, find_boundaries(lengths, CPU), SCALE, 0.0)
    got.square().sum().backward()
    assert got.shape == (20, HEADS, SIZE)
    assert not got[18:].any()
    one_by_one(*theirs, lengths).square().sum().backward()

    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, reference.grad, atol=1e-5, rtol=1e-4)


def test_the_variable_length_kernel_gets_real_tokens_only(monkeypatch):
    """What a GPU would be asked, answered here sequence by sequence."""
    lengths, asked = np.array([1, 4, 9]), []

    def kernel(query, key, value, starts, key_starts, longest, key_longest, *, scale):
        asked.append((starts.tolist(), starts.dtype, key_starts is starts, longest, key_longest, scale))
        return one_by_one(query, key, value, lengths)

    monkeypatch.setattr(flash, "varlen_attn", kernel)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    got = attend(*rows(16), find_boundaries(lengths, CPU), SCALE, 0.0, False)

    assert asked == [([0, 1, 5, 14], torch.int32, True, 9, 9, SCALE)]
    torch.testing.assert_close(got[:14], one_by_one(*(tensor[:14] for tensor in rows(16)), lengths))
    assert not got[14:].any()


def test_a_training_with_dropout_asks_the_kernel_that_knows_dropout(monkeypatch):
    lengths, asked = np.array([1, 4, 9]), []

    def kernel(query, key, value, cumulative, longest, dropout, scale):
        asked.append((cumulative.tolist(), longest, dropout, scale))
        return one_by_one(query, key, value, lengths)

    monkeypatch.setattr(flash, "varlen_with_dropout", kernel)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    got = attend(*rows(16), find_boundaries(lengths, CPU), SCALE, 0.1, False)

    assert asked == [([0, 1, 5, 14], 9, 0.1, SCALE)]
    torch.testing.assert_close(got[:14], one_by_one(*(tensor[:14] for tensor in rows(16)), lengths))
    assert not got[14:].any()


def test_what_the_variable_length_kernel_reads_of_a_longer_row_changes_nothing_else(monkeypatch):
    """The tail: whatever stands there, results are those without it, and it gets no gradient."""
    lengths = np.array([2, 3])
    monkeypatch.setattr(flash, "varlen_with_dropout", lambda q, k, v, *_: one_by_one(q, k, v, lengths))
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    outcomes = []
    for tail in (0.0, 1e4):
        inputs = [torch.cat([t, torch.full((3, HEADS, SIZE), tail)]).requires_grad_() for t in rows(5)]
        result = attend(*inputs, find_boundaries(lengths, CPU), SCALE, 0.1, False)
        result.square().sum().backward()
        outcomes.append([result, *(one.grad for one in inputs)])
    for one, other in zip(*outcomes, strict=True):
        assert torch.equal(one, other)
        assert not one[5:].any()


def test_a_row_without_a_padded_view_is_refused_by_all_other_kernels():
    found = replace(find_boundaries(np.array([2, 3]), CPU), blocks=())
    with pytest.raises(RuntimeError, match="variable-length"):
        attend(*rows(5), found, SCALE, 0.0, False)


def test_the_padded_bias_is_made_once_for_all_layers_and_for_each_dtype(monkeypatch):
    monkeypatch.setattr(boundaries, "BLOCK_COST", 10**9)
    found = find_boundaries(np.array([1, 3]), CPU)
    bias = found.padded_bias(torch.bfloat16)

    assert found.padded_bias(torch.bfloat16) is bias
    assert (bias.dtype, bias.shape) == (torch.bfloat16, (2, 1, 3, 3))
    assert (bias[0, 0] < 0).tolist() == [[False, True, True]] * 3
    assert not bias[1].any()
    assert found.padded_bias(torch.float32).dtype == torch.float32


def test_kernels_by_device_dtype_size_and_dropout(monkeypatch):
    cuda, half = torch.device("cuda"), torch.bfloat16
    capability, dropout_serves = [(8, 0)], [True]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability[0])
    monkeypatch.setattr(flash, "varlen_attn", lambda *a, **k: None)
    monkeypatch.setattr(flash, "dropout_serves", lambda *_: dropout_serves[0])

    assert kernel_for(CPU, half, 64, 0.0) == "blocks"
    assert kernel_for(cuda, half, 64, 0.0) == "varlen"
    assert kernel_for(cuda, torch.float16, 64, 0.1) == "varlen"
    assert kernel_for(cuda, torch.float32, 64, 0.0) == "padded"
    assert kernel_for(cuda, half, 20, 0.0) == "padded"
    assert kernel_for(cuda, half, 264, 0.0) == "padded"
    assert kernel_for(torch.device("mps"), torch.float16, 64, 0.0) == "padded"

    dropout_serves[0] = False
    assert kernel_for(cuda, half, 64, 0.1) == "padded"
    assert kernel_for(cuda, half, 64, 0.0) == "varlen"

    monkeypatch.setattr(flash, "varlen_attn", None)
    assert kernel_for(cuda, half, 64, 0.0) == "padded"


def test_a_gpu_before_ampere_pads(monkeypatch):
    """A T4 has half precision but none of these kernels: they would fail at its first validation."""
    monkeypatch.setattr(flash, "varlen_attn", lambda *a, **k: None)
    monkeypatch.setattr(flash, "dropout_serves", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert kernel_for(torch.device("cuda"), torch.float16, 64, 0.0) == "padded"
    assert kernel_for(torch.device("cuda"), torch.float16, 64, 0.1) == "padded"
