from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ir2search as ir
from ir2search.errors import CandidateError, InputError, WeightsError
from ir2search.runtime import ImageSpec
from ir2search.zoo.pretrained import save_small

SMALL = ir.Candidate(depth=8, width=0.25, image=(3, 8, 8), classes=3)
SPEC = ImageSpec("pets", SMALL.image, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), ("cat", "dog", "newt"))


def about(candidate: ir.Candidate) -> dict[str, object]:
    return {"candidate": candidate.as_dict(), "images": SPEC.as_dict()}


@pytest.mark.parametrize(
    "candidate",
    [
        SMALL,
        replace(SMALL, standardise=True, shift=True, activation="rprelu"),
        replace(SMALL, weights="real"),
        replace(SMALL, activations="real", fusion="dense"),
    ],
    ids=["paper", "standardised", "real weights", "real activations"],
)
def test_small_weights_give_exactly_the_logits_of_the_network(
    candidate: ir.Candidate, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = ir.build(candidate)
    network(torch.randn(16, *candidate.image))
    save_small(network.eval(), tmp_path / "a.safetensors", about(candidate))
    found = ir.load_trained(tmp_path / "a.safetensors")
    assert (found.candidate, found.images) == (candidate, SPEC)
    assert not found.network.training
    images = torch.randint(0, 256, (5, *candidate.image), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (SPEC.mean, SPEC.std))
    with torch.no_grad():
        assert torch.equal(found.logits(images), network((images / 255 - mean) / std))


def test_two_latent_weights_take_one_byte(tmp_path: Path) -> None:
    candidate = replace(SMALL, width=1.0)
    save_small(ir.build(candidate), tmp_path / "a.safetensors", about(candidate))
    price = ir.cost(candidate)
    size = (tmp_path / "a.safetensors").stat().st_size
    header = 8 + int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little")
    latent = price.binary_parameters / 2
    assert size - header >= latent
    assert size - header < latent + 4.5 * (price.parameters - price.binary_parameters) + 4000


def test_a_network_can_be_trained_further(tmp_path: Path) -> None:
    save_small(ir.build(SMALL), tmp_path / "a.safetensors", about(SMALL))
    network = ir.load_trained(tmp_path / "a.safetensors").network.train()
    network(torch.randn(4, *SMALL.image)).sum().backward()
    weight = network.get_parameter("stage1.0.conv.weight")
    assert weight.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_files_that_do_not_name_their_network_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(ir.build(SMALL).state_dict(), tmp_path / "plain.safetensors")
    (tmp_path / "text.safetensors").write_text("no")
    damaged = {"candidate": json.dumps({"depth": 9}), "images": "{}"}
    save_file({"a": torch.zeros(1)}, tmp_path / "damaged.safetensors", damaged)
    for name, message in {
        "plain": "does not name its network; export the network again",
        "nothing": "no such file",
        "text": "is text; give a .safetensors file",
        "damaged": "depth: must be 6 n",
    }.items():
        with pytest.raises(InputError, match=rf"{name}\.safetensors: {message}"):
            ir.load_trained(tmp_path / f"{name}.safetensors")
    save_small(ir.build(SMALL), tmp_path / "a.safetensors", {"candidate": SMALL.as_dict()})
    with pytest.raises(WeightsError, match="does not say the mean and standard deviation"):
        ir.load_trained(tmp_path / "a.safetensors")
    with pytest.raises(CandidateError, match="no trained network 'x'"):
        ir.load_trained("x")
