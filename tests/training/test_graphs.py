"""Recorded steps, with a recorder that calls again in the place of CUDA graphs, against the same steps unrecorded.

Attention is the variable-length kind, answered sequence by sequence out of the tensors that a replay reads: what
was worked out on the host when a step was recorded would be wrong in a later one.
"""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from sweeper.training import attention, flash
from sweeper.training.graphs import Replayed, eagerly
from sweeper.training.loop import FitSettings, Training, fit

CPU = torch.device("cpu")
SETTINGS = FitSettings(lr=0.003, batch_size=8, epochs=3, seed=3, precision="float32", device="cpu")
BUCKET = 16


class CallsAgain:
    """Records by keeping the callable; what a replay gives goes where the first call's results lie."""

    def __init__(self) -> None:
        self.warmed, self.recorded, self.replayed = 0, 0, 0

    def warm_up(self, run) -> None:
        self.warmed += 1
        run()

    def record(self, run):
        self.recorded += 1
        results = run()

        def again() -> None:
            self.replayed += 1
            for kept, new in zip(results, run(), strict=True):
                kept.copy_(new)

        return results, again


class Fails(CallsAgain):
    def record(self, run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be ...")


def by_sequence(query, key, value, cumulative, longest, dropout, scale):
    """Without dropping weights: the tail is one sequence more, which would move the draws."""
    results = []
    ends = cumulative.tolist()
    for start, end in pairwise(ends):
        assert end - start <= longest
        q, k, v = (rows[start:end] for rows in (query, key, value))
        weights = (torch.einsum("qhs,khs->hqk", q, k) * scale).softmax(-1)
        results.append(torch.einsum("hqk,khs->qhs", weights, v))
    return torch.cat(results)


def recording(run, recorder):
    """Steps of a training through a recorder. A graph needs no hooks; what calls again needs those of its epoch."""
    now = []
    replayed = Replayed(run.model.parameters(), run.settings.batch_size, int(run.train.lengths.max()), recorder, CPU)

    def run_step(step, batch):
        now[:] = [step]
        return replayed(lambda held: now[0](held), batch)

    return run_step


@pytest.fixture(autouse=True)
def variable_length(monkeypatch):
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    monkeypatch.setattr(flash, "varlen_with_dropout", by_sequence)
    monkeypatch.setattr(flash, "varlen_attn", lambda *a, scale: by_sequence(*a[:4], a[5], 0.0, scale))


def trained(make_classifier, learnable, recorder=None, settings=SETTINGS, prepare=lambda model: None):
    model = make_classifier()
    prepare(model)
    run = Training(model, *learnable, settings)
    run.train.multiple = BUCKET
    if recorder is not None:
        run._run_step = recording(run, recorder)
    return run, list(fit(run))


def assert_same(one, other):
    for ours, theirs in zip(one[1], other[1], strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-6)
        assert ours.train_accuracy == theirs.train_accuracy
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-6)
    for ours, theirs in zip(one[0].model.parameters(), other[0].model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_losses_and_weights_are_those_of_steps_that_are_not_recorded(make_classifier, learnable):
    """With dropout, and with a last batch of an epoch that is smaller: 60 rows in batches of 8."""
    recorder = CallsAgain()
    replayed = trained(make_classifier, learnable, recorder)

    assert_same(replayed, trained(make_classifier, learnable))
    assert recorder.replayed == 3 * 7


def test_every_bucket_of_tokens_is_recorded_once(make_classifier, learnable):
    recorder, seen = CallsAgain(), set()
    run = Training(make_classifier(), *learnable, SETTINGS)
    run.train.multiple = BUCKET
    steps = recording(run, recorder)

    def noting(step, batch):
        if len(batch.picked) == 8:
            seen.add(batch.input_ids.shape[1])
        return steps(step, batch)

    run._run_step = noting
    list(fit(run))

    assert len(seen) > 1
    assert all(tokens % BUCKET == 0 for tokens in seen)
    assert recorder.recorded == recorder.warmed == len(seen)


def test_a_clipped_step_and_decay_see_the_replayed_gradients(make_classifier, learnable):
    settings = replace(SETTINGS, clip_norm=0.1, optimizer="adamw", weight_decay=0.1, schedule="linear")
    replayed = trained(make_classifier, learnable, CallsAgain(), settings)

    assert_same(replayed, trained(make_classifier, learnable, settings=settings))


def test_a_parameter_that_gets_no_gradient_does_not_decay(make_classifier, learnable):
    def add_one(model):
        model.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
        for parameter in model.bert.embeddings.parameters():
            parameter.requires_grad_(False)

    settings = replace(SETTINGS, optimizer="adamw", weight_decay=0.5)
    replayed = trained(make_classifier, learnable, CallsAgain(), settings, add_one)

    assert replayed[0].model.unused.tolist() == [1, 1, 1]
    assert_same(replayed, trained(make_classifier, learnable, settings=settings, prepare=add_one))


def test_where_recording_fails_training_goes_on_as_if_nobody_had_asked(make_classifier, learnable):
    with pytest.warns(UserWarning, match=r"train\.cuda_graphs: .*not permitted when stream is capturing\)") as said:
        after = trained(make_classifier, learnable, Fails())

    assert len(said) == 1
    assert_same(after, trained(make_classifier, learnable))


def test_a_kernel_that_cannot_be_replayed_is_such_a_failure(make_classifier, learnable, monkeypatch):
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "blocks")
    with pytest.warns(UserWarning, match="variable-length attention only"):
        after = trained(make_classifier, learnable, CallsAgain())

    assert_same(after, trained(make_classifier, learnable))


def test_steps_are_not_recorded_on_a_cpu_though_it_is_asked_for(make_classifier, learnable):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = Training(make_classifier(), *learnable, replace(SETTINGS, cuda_graphs=True))
    assert run._run_step is eagerly
    assert run.train.multiple == 1


@pytest.mark.parametrize(
    ("settings", "batching", "expected"),
    [
        ({}, "packed", True),
        ({"cuda_graphs": False}, "packed", False),
        ({"accumulate": 2}, "packed", False),
        ({}, "longest", False),
        ({"precision": "fp16"}, "packed", False),
        ({"precision": "float32"}, "packed", False),
    ],
)
def test_steps_are_recorded_on_a_gpu_in_bf16_without_padding_and_pieces(
    make_classifier, learnable, settings, batching, expected
):
    run = Training(make_classifier(), *learnable, SETTINGS)
    run.settings = replace(SETTINGS, **{"cuda_graphs": True, "precision": "bf16", **settings})
    run.device, run.batching, run.precision = torch.device("cuda"), batching, run.settings.precision

    assert run._replays == expected


def test_the_tail_changes_no_loss_and_no_gradient(make_classifier, learnable):
    """A bucket is filled up with one sequence more, which nothing reads."""
    table, train, _ = learnable
    outcomes = []
    for multiple, recorder in ((1, None), (256, CallsAgain())):
        model = make_classifier(dropout=False)
        run = Training(model, *learnable, replace(SETTINGS, batch_size=60, epochs=1, optimizer="sgd"))
        run.train.multiple = multiple
        if recorder is not None:
            run._run_step = recording(run, recorder)
        (epoch,) = fit(run)
        outcomes.append((epoch.train_loss, [parameter.detach() for parameter in model.parameters()]))
    assert table.lengths[train.rows].sum() % 256
    assert outcomes[0][0] == pytest.approx(outcomes[1][0], rel=1e-6)
    for one, other in zip(outcomes[0][1], outcomes[1][1], strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_gradients_are_those_of_the_last_batch_alone(make_classifier, learnable):
    model = make_classifier()
    run = Training(model, *learnable, replace(SETTINGS, lr=0.0))
    steps = Replayed(model.parameters(), 8, int(run.train.lengths.max()), CallsAgain(), CPU)
    weight = model.classifier.weight

    def step(batch):
        loss = (weight * batch.labels.sum()).sum()
        loss.backward()
        return loss.detach(), batch.labels[:, None].float()

    run.train.multiple = 256  # the same bucket for both
    for picked in (np.arange(8), np.arange(8, 16)):
        batch = run.train.make(picked)
        _, logits = steps(step, batch)
        assert torch.equal(logits[:, 0], batch.labels.float())
        assert torch.equal(weight.grad, torch.full_like(weight, float(batch.labels.sum())))
        weight.grad = None
