from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from torch import Tensor

from ir2search.information.attributions import METHODS, MethodName
from ir2search.information.faithfulness import (
    FRACTIONS,
    Faithfulness,
    _Draws,
    faithfulness,
    random_order,
    shuffled,
)
from ir2search.information.rows import _area
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate

Make = Callable[[Candidate], TappedNetwork]
Batch = tuple[Tensor, Tensor]
Small = Callable[..., Candidate]


def tried(network: TappedNetwork, batch: Batch, method: MethodName) -> Faithfulness:
    return faithfulness(network, *batch, method, seed=1, steps=8, memory=100)


@pytest.mark.parametrize("method", METHODS)
def test_each_method_has_curves_and_scores_that_are_reproducible(
    small: Small, untrained: Make, batch: Batch, method: MethodName
) -> None:
    network = untrained(small())
    found, again = tried(network, batch, method), tried(network, batch, method)
    count = len(batch[1])
    with torch.no_grad():
        clean, blank = (network(x).double().softmax(1) for x in (batch[0], 0 * batch[0]))
    whole = clean.gather(1, batch[1][:, None]).squeeze(1)
    nothing = blank.gather(1, batch[1][:, None]).squeeze(1)
    for curve, ends in ((found.deletion, (whole, nothing)), (found.insertion, (nothing, whole))):
        assert curve.shape == (count, FRACTIONS + 1)
        torch.testing.assert_close(curve[:, 0], ends[0])
        torch.testing.assert_close(curve[:, -1], ends[1])
    assert found.infidelity is not None
    assert found.sensitivity is not None
    assert (found.infidelity >= 0).all()
    assert (found.sensitivity >= 0).all()
    for name in ("deletion", "insertion", "infidelity", "sensitivity", "randomised"):
        torch.testing.assert_close(
            getattr(found, name), getattr(again, name), equal_nan=True, msg=name
        )


def test_attributions_of_a_smooth_network_are_less_sensitive_than_of_a_binary_one(
    small: Small, untrained: Make, batch: Batch
) -> None:
    twin, binary = untrained(small(activation="prelu").twin()), untrained(small())
    smooth, rough = (
        tried(each, batch, "integrated_gradients").sensitivity for each in (twin, binary)
    )
    assert smooth is not None
    assert rough is not None
    assert smooth.shape == (len(batch[1]),)
    assert smooth.mean() < 0.2
    assert smooth.mean() < rough.mean()


class Corner(TappedNetwork):
    """A network whose first logit is the upper left pixel."""

    def __init__(self, network: TappedNetwork) -> None:
        torch.nn.Module.__init__(self)
        self.inner = network

    def forward(self, images: Tensor) -> Tensor:
        corner = images[:, 0, 0, 0]
        return torch.stack([corner, -corner], dim=1)


def test_curves_change_at_the_step_of_the_only_relevant_pixel(
    small: Small, untrained: Make
) -> None:
    from ir2search.information.faithfulness import _curves

    network = Corner(untrained(small()))
    images = torch.full((1, 1, 8, 8), 3.0)
    first = torch.zeros(1, 8, 8)
    first[0, 0, 0] = 1
    labels = torch.tensor([0])
    deletion, insertion = _curves(network, images, labels, first)
    assert deletion[0, 0] > 0.99
    torch.testing.assert_close(deletion[0, 1:], torch.full((FRACTIONS,), 0.5, dtype=torch.float64))
    assert (insertion[0, 1:] > 0.99).all()
    deletion, _ = _curves(network, images, labels, -first)
    assert (deletion[0, :-1] > 0.99).all(), "the last pixel to be blanked"


def test_a_random_order_is_reproducible(small: Small, untrained: Make, batch: Batch) -> None:
    network = untrained(small())
    one, other = (random_order(network, *batch, seed=3) for _ in range(2))
    assert torch.equal(one.deletion, other.deletion)
    assert one.infidelity is None


def test_shuffled_weights_are_the_same_values_in_another_order(
    small: Small, untrained: Make
) -> None:
    network = untrained(small())
    other = shuffled(network, 0)
    for name, value in network.named_parameters():
        found = other.get_parameter(name)
        assert torch.equal(found.flatten().sort().values, value.flatten().sort().values)
    stem = "stem.0.weight"
    assert not torch.equal(network.get_parameter(stem), other.get_parameter(stem))


def test_exact_attributions_of_a_linear_network_are_not_unfaithful() -> None:
    """The change of the output is the sum of the changed shares of the attributions."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(1, 3, 8, 8, generator=generator)
    images = torch.randn(4, 3, 8, 8, generator=generator)
    found = captum_infidelity(
        lambda x: (x * weights).sum(dim=(1, 2, 3)),
        _Draws(0).noise,
        images,
        images * weights,
        n_perturb_samples=5,
    )
    torch.testing.assert_close(found, torch.zeros(4), atol=1e-4, rtol=0)


def test_the_area_under_a_curve_is_that_of_trapezoids() -> None:
    curve = torch.tensor([[0.8, *[0.1] * 16]], dtype=torch.float64)
    assert float(_area(curve)) == pytest.approx(0.1 + 0.7 / 32)
