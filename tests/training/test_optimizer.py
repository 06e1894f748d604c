import pytest
import torch
from torch import nn
from transformers import get_linear_schedule_with_warmup

from sweeper.training.optimizer import build_optimizer, lr_at, parameter_groups, warmup_steps


@pytest.mark.parametrize(("warmup", "steps"), [(0, 0), (3, 3), (0.25, 5), (0.01, 1)])
def test_linear_schedule_is_transformers_own(warmup, steps):
    total = 20
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    scheduler = get_linear_schedule_with_warmup(optimizer, steps, total)
    for step in range(total):
        ours = lr_at(step, lr=0.5, total_steps=total, schedule="linear", warmup=warmup)
        assert ours == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_constant_schedule_after_warmup():
    rates = [lr_at(step, lr=1.0, total_steps=10, schedule="constant", warmup=2) for step in range(4)]

    assert rates == [0.0, 0.5, 1.0, 1.0]


def test_a_whole_number_of_warmup_steps_is_not_a_fraction():
    assert warmup_steps(1, 500) == 1
    assert warmup_steps(0.1, 500) == 50


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="cosine"):
        lr_at(0, lr=1.0, total_steps=1, schedule="cosine")
    with pytest.raises(ValueError, match="lion"):
        build_optimizer(nn.Linear(1, 1), name="lion", lr=1.0)


def test_biases_layer_norms_and_frozen_weights_do_not_decay(make_classifier):
    model = make_classifier("bert")
    for parameter in model.bert.embeddings.parameters():
        parameter.requires_grad_(False)
    names = {id(parameter): name for name, parameter in model.named_parameters()}

    decays, stays = parameter_groups(model, weight_decay=0.1)

    decaying = {names[id(parameter)] for parameter in decays["params"]}
    staying = {names[id(parameter)] for parameter in stays["params"]}
    assert (decays["weight_decay"], stays["weight_decay"]) == (0.1, 0.0)
    assert all("LayerNorm" in name or name.endswith("bias") for name in staying)
    assert not any("LayerNorm" in name or name.endswith("bias") for name in decaying)
    assert decaying | staying == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.2, fused=False)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2, fused=False)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.2, momentum=0.9, fused=False)),
    ],
)
def test_fused_steps_are_the_plain_ones(name, reference):
    ours, theirs = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    pair = (
        (ours, build_optimizer(ours, name=name, lr=0.1, weight_decay=0.2, momentum=0.9)),
        (theirs, reference(theirs.parameters())),
    )
    for step in range(5):
        for model, optimizer in pair:
            optimizer.zero_grad()
            model(torch.full((1, 3), float(step))).square().sum().backward()
            optimizer.step()

    torch.testing.assert_close(ours.weight, theirs.weight)
