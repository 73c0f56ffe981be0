from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ir2search.errors import InputError
from ir2search.information.settings import Settings, settings_for
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate
from ir2search.zoo import build_preset

Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]


def test_a_stage_stands_for_all_of_its_layers(small: Small, untrained: Make) -> None:
    found = settings_for(untrained(small()), layers=["stage2", "stem"])
    assert found.layers == ("stem", "stage2.0", "stage2.1"), "in order of depth"


def test_layers_that_a_network_lacks_are_left_out(small: Small, untrained: Make) -> None:
    settings = Settings(layers=("stem", "recovery"))
    assert settings.layers_of(untrained(small(taps=()))) == ["stem"]


def test_default_methods_that_do_not_apply_are_left_out() -> None:
    network = build_preset("cifar-vgg-small")
    settings = settings_for(network)
    assert "deeplift" in settings.methods
    assert "deeplift" not in settings.methods_for(network)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": ["stage9"]}, "layers: no layer 'stage9'; did you mean"),
        ({"methods": ["gradcam"]}, "methods: no method 'gradcam'; did you mean 'grad_cam'"),
        ({"methods": ["deeplift"]}, "methods: 'deeplift' does not apply to this network"),
        ({"memory": 0}, "memory: must be at least 1 MiB, but got 0"),
        ({"methods": []}, "methods: is empty; name at least one, or leave it out"),
        ({"layers": []}, "layers: is empty; name at least one, or leave it out"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings_for(build_preset("cifar-vgg-small"), **given)
