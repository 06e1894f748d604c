import pytest
import torch
from torch import nn

from sweeper.training.dropout import CheapDropout, scaled_mask, use_cheap_dropout


@pytest.mark.parametrize("p", [0.1, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mask_drops_at_the_rate_and_keeps_the_mean(p, dtype):
    torch.manual_seed(0)
    mask = scaled_mask((1001, 99), p, torch.empty(0, dtype=dtype))

    assert mask.dtype == dtype
    assert (mask == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert mask.float().mean().item() == pytest.approx(1.0, abs=0.01)


def test_neighbouring_elements_are_dropped_independently():
    torch.manual_seed(0)
    dropped = scaled_mask((400_000,), 0.5, torch.empty(0)) == 0

    for distance in (1, 2, 3, 4):
        both = (dropped[distance:] & dropped[:-distance]).float().mean().item()
        assert both == pytest.approx(0.25, abs=0.01)


def test_edges():
    ones = torch.ones(3, 5)
    assert torch.equal(scaled_mask((3, 5), 0.0, ones), ones)
    assert torch.equal(scaled_mask((3, 5), 1.0, ones), torch.zeros(3, 5))


def test_layer_drops_in_training_only_and_gives_the_gradient_of_what_it_kept():
    torch.manual_seed(0)
    layer, x = CheapDropout(0.5), torch.ones(50, requires_grad=True)
    y = layer(x)
    y.sum().backward()

    assert set(y.tolist()) == {0.0, 2.0}
    assert torch.equal(x.grad, y.detach())
    assert torch.equal(layer.eval()(x), x)


def test_every_plain_dropout_of_a_model_is_replaced_and_nothing_else():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.3), nn.ModuleList([nn.Dropout(0.2), nn.Dropout2d(0.1)])).eval()
    names = list(model.state_dict())

    use_cheap_dropout(model)

    assert [type(m) for m in model.modules() if isinstance(m, nn.Dropout)] == [CheapDropout, CheapDropout]
    assert (model[1].p, model[2][0].p, model[1].training) == (0.3, 0.2, False)
    assert type(model[2][1]) is nn.Dropout2d
    assert list(model.state_dict()) == names
