import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sweeper.data.tokens import Split
from sweeper.training.batches import train_batches
from sweeper.training.loop import FitSettings, Training, evaluate, fit

SETTINGS = FitSettings(lr=0.003, batch_size=8, epochs=4, seed=3, precision="float32", device="cpu")


def training(make_classifier, learnable, settings=SETTINGS, family="bert", **keywords) -> Training:
    classifier = make_classifier(family, **keywords)
    return Training(classifier, *learnable, settings)


def without_clock(curve):
    measured = {"seconds": 0.0, "sentences_per_second": 0.0, "peak_memory_mb": None, "peak_rss_mb": None}
    return [replace(epoch, **measured) for epoch in curve]


def weight_bytes(run: Training) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in run.model.state_dict().values())


def through_a_file(state: dict) -> dict:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def test_one_line_an_epoch_and_it_learns(make_classifier, learnable):
    run = training(make_classifier, learnable, replace(SETTINGS, epochs=6))
    curve = list(fit(run))

    assert [epoch.epoch for epoch in curve] == list(range(1, 7))
    assert curve[-1].train_loss < curve[0].train_loss
    assert curve[-1].val_accuracy > 0.9
    assert all(epoch.lr == 0.003 and epoch.seconds > 0 and epoch.sentences_per_second > 0 for epoch in curve)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_stopped_and_restored_is_never_stopped_bit_for_bit(make_classifier, learnable, precision, optimizer):
    """Dropout on, a decaying rate, momentum, and other users of the random generator in between."""
    settings = replace(
        SETTINGS, precision=precision, optimizer=optimizer, momentum=0.9, weight_decay=0.01, schedule="linear",
        warmup=0.1, early_stop_monitor="val_loss", early_stop_patience=9,
    )  # fmt: skip
    straight = training(make_classifier, learnable, settings)
    curve = list(fit(straight))

    first = training(make_classifier, learnable, settings)
    epochs = fit(first)
    before = [next(epochs), next(epochs)]
    state = through_a_file(first.state_dict())
    torch.manual_seed(99)
    second = training(make_classifier, learnable, settings)
    second.load_state_dict(state)
    after = list(fit(second))

    assert without_clock(before + after) == without_clock(curve)
    assert weight_bytes(second) == weight_bytes(straight)
    assert np.array_equal(second.validation_predictions, straight.validation_predictions)


def test_same_seed_same_run_and_another_seed_another(make_classifier, learnable):
    runs = [training(make_classifier, learnable, replace(SETTINGS, seed=seed, epochs=1)) for seed in (1, 1, 2)]
    curves = [without_clock(fit(run)) for run in runs]

    assert curves[0] == curves[1] != curves[2]
    assert weight_bytes(runs[0]) == weight_bytes(runs[1])


def test_training_leaves_the_random_generator_as_it_was(make_classifier, learnable):
    run = training(make_classifier, learnable)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    next(fit(run))

    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_are_those_of_a_plain_loop(make_classifier, learnable):
    """The slow reference: padded batches, torch's own loss and optimizer, in the same order."""
    table, train, _ = learnable
    run = training(make_classifier, learnable, replace(SETTINGS, epochs=1, clip_norm=0.5), dropout=False)
    (epoch,) = fit(run)

    model = make_classifier("bert", dropout=False).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003, fused=False)
    losses = []
    for picked in train_batches(len(train.rows), 8, SETTINGS.seed, 1):
        texts = [
            torch.from_numpy(table.ids[table.offsets[r] : table.offsets[r + 1]]).long() for r in train.rows[picked]
        ]
        logits = torch.cat([model(input_ids=text[None]).logits for text in texts])
        loss = F.cross_entropy(logits, torch.from_numpy(train.labels[picked]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item() * len(picked))

    assert epoch.train_loss == pytest.approx(sum(losses) / len(train.rows), rel=1e-3)
    for (name, ours), theirs in zip(run.model.named_parameters(), model.parameters(), strict=True):
        if "key.bias" not in name:  # its true gradient is 0, which Adam turns into the sign of rounding errors
            torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-2, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("accumulate", [3, 8, 50])
def test_accumulation_changes_nothing_but_rounding(make_classifier, learnable, accumulate):
    settings = replace(SETTINGS, optimizer="sgd", epochs=1, batch_size=16)
    whole = training(make_classifier, learnable, settings, dropout=False)
    pieces = training(make_classifier, learnable, replace(settings, accumulate=accumulate), dropout=False)
    (one,), (other,) = fit(whole), fit(pieces)

    assert other.train_loss == pytest.approx(one.train_loss, rel=1e-5)
    for ours, theirs in zip(pieces.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batching", ["longest", "max_length"])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_batching_changes_nothing_but_rounding(make_classifier, learnable, batching, family):
    settings = replace(SETTINGS, optimizer="sgd", epochs=2)
    packed = list(fit(training(make_classifier, learnable, settings, family, dropout=False)))
    padded = list(
        fit(training(make_classifier, learnable, replace(settings, batching=batching), family, dropout=False))
    )

    for ours, theirs in zip(packed, padded, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-4)


def test_epoch_figures_are_those_of_evaluate(make_classifier, learnable):
    table, _, validation = learnable
    run = training(make_classifier, learnable)
    for epoch in fit(run):
        result = evaluate(
            run.model, table, validation, loss="auto", precision="float32", batching="packed", device=run.device
        )
        assert epoch.val_loss == pytest.approx(result.loss)
        assert np.array_equal(run.validation_predictions, result.predictions)
        assert epoch.val_accuracy == np.mean(result.predictions == validation.labels)


def test_train_figures_are_batch_means_weighted_by_size(make_classifier, learnable):
    """At rate 0 and without dropout the weights stand still, so the mean over batches is the mean over rows."""
    table, train, _ = learnable
    run = training(make_classifier, learnable, replace(SETTINGS, lr=0.0, batch_size=7, epochs=1), dropout=False)
    (epoch,) = fit(run)
    result = evaluate(run.model, table, train, loss="auto", precision="float32", batching="packed", device=run.device)

    assert epoch.train_loss == pytest.approx(result.loss, rel=1e-5)
    assert epoch.train_accuracy == pytest.approx(np.mean(result.predictions == train.labels))


def test_a_diverging_run_yields_the_epoch_with_nan_and_stops(make_classifier, learnable):
    run = training(make_classifier, learnable, replace(SETTINGS, lr=1e30, optimizer="sgd"))
    curve = list(fit(run))

    assert len(curve) < 4
    assert not (math.isfinite(curve[-1].train_loss) and math.isfinite(curve[-1].val_loss))
    assert curve[-1].epoch == len(curve)


def test_one_logit_and_regression(make_classifier, learnable):
    table, train, validation = learnable
    binary = [Split(split.rows, split.labels % 2) for split in (train, validation)]
    numeric = [Split(split.rows, split.labels.astype(np.float32)) for split in (train, validation)]

    (one_logit,) = fit(Training(make_classifier(outputs=1), table, *binary, replace(SETTINGS, epochs=1)))
    run = Training(make_classifier(outputs=1), table, *numeric, replace(SETTINGS, epochs=1))
    (regression,) = fit(run)

    assert 0 <= one_logit.train_accuracy <= 1
    assert 0 <= one_logit.val_macro_f1 <= 1
    assert (regression.train_accuracy, regression.val_accuracy, regression.val_macro_f1) == (None, None, None)
    assert run.validation_predictions.dtype == np.float32
    assert regression.val_loss == pytest.approx(
        np.mean((run.validation_predictions - numeric[1].labels) ** 2), rel=1e-4
    )


def test_early_stop_ends_the_run_and_a_restored_run_stays_ended(make_classifier, learnable):
    settings = replace(SETTINGS, lr=0.0, early_stop_monitor="val_loss", early_stop_min_delta=0.001)
    run = training(make_classifier, learnable, settings)
    again = training(make_classifier, learnable, settings)

    assert len(list(fit(run))) == 2
    again.load_state_dict(through_a_file(run.state_dict()))
    assert list(fit(again)) == []


def test_steps_are_counted_over_the_whole_training(make_classifier, learnable):
    steps = []
    run = Training(
        make_classifier(), *learnable, replace(SETTINGS, epochs=2, batch_size=25), lambda *step: steps.append(step)
    )
    list(fit(run))

    assert steps == [(number, 6) for number in range(1, 7)]


def test_linear_rate_at_the_end_of_each_epoch(make_classifier, learnable):
    run = training(make_classifier, learnable, replace(SETTINGS, epochs=2, batch_size=30, schedule="linear"))

    assert [epoch.lr for epoch in fit(run)] == pytest.approx([0.003 * 0.75, 0.003 * 0.25])


def test_a_frozen_encoder_stays(make_classifier, learnable):
    model = make_classifier("bert")
    for parameter in model.bert.parameters():
        parameter.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    list(fit(Training(model, *learnable, replace(SETTINGS, epochs=1))))

    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_an_unsupported_architecture_trains_padded(learnable):
    from transformers import AutoModelForSequenceClassification, GPT2Config

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=30, n_embd=8, n_layer=1, n_head=1, n_positions=16, num_labels=3, pad_token_id=0, bos_token_id=2,
        eos_token_id=2,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="gpt2"):
        run = Training(AutoModelForSequenceClassification.from_config(config), *learnable, SETTINGS)

    assert run.batching == "longest"
    assert len(list(fit(run))) == 4


def test_nothing_is_fetched_from_the_device_between_steps(make_classifier, learnable, monkeypatch):
    """On a CPU nothing waits, so the calls that would are counted instead."""
    run = training(make_classifier, learnable)
    fetched = []
    for name in ("item", "tolist", "__float__", "__bool__", "cpu", "numpy"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor,
            name,
            lambda self, *a, _real=real, _name=name, **k: (fetched.append(_name), _real(self, *a, **k))[1],
        )
    run._train(1)

    assert set(fetched) <= {"numpy"}  # the order of the epoch, which is made on the host
    assert len(fetched) <= 1


def test_an_epoch_says_what_the_trial_took_and_what_the_process_did(make_classifier, learnable):
    (epoch,) = fit(training(make_classifier, learnable, replace(SETTINGS, epochs=1)))

    assert 50 < epoch.peak_rss_mb <= epoch.peak_memory_mb < 100_000
    assert epoch.peak_gpu_mb is None
