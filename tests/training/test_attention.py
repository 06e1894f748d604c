"""The block-wise attention against attention computed sequence by sequence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.training import attention, boundaries
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

    monkeypatch.setattr(attention, "varlen_attn", kernel)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    got = attend(*rows(16), find_boundaries(lengths, CPU), SCALE, 0.0, False)

    assert asked == [([0, 1, 5, 14], torch.int32, True, 9, 9, SCALE)]
    torch.testing.assert_close(got[:14], one_by_one(*(tensor[:14] for tensor in rows(16)), lengths))
    assert not got[14:].any()


def test_kernels_by_device_dtype_and_dropout(monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", lambda *a, **k: None)
    assert kernel_for("cpu", torch.bfloat16, 0.0) == "blocks"
    assert kernel_for("cuda", torch.bfloat16, 0.0) == "varlen"
    assert kernel_for("cuda", torch.bfloat16, 0.1) == "padded"
    assert kernel_for("cuda", torch.float32, 0.0) == "padded"
    assert kernel_for("mps", torch.float16, 0.0) == "padded"
    monkeypatch.setattr(attention, "varlen_attn", None)
    assert kernel_for("cuda", torch.bfloat16, 0.0) == "padded"
