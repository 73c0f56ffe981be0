from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.errors import CandidateError
from ir2search.models.families import Stage, Stem
from ir2search.models.network import NetworkSpec, TappedNetwork
from ir2search.models.resnet import ResidualUnit
from ir2search.nn import InformationRecovery
from ir2search.space import Candidate, build


def trained_like(candidate: Candidate) -> TappedNetwork:
    """A network in float64 whose BatchNorms have random statistics and scales."""
    torch.manual_seed(4)
    network = build(candidate).double()
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(std=0.2)
        for _ in range(4):
            network(torch.randn(16, *candidate.image, dtype=torch.float64))
    return network.eval()


def reference(weights: dict[str, Tensor], candidate: Candidate, x: Tensor) -> Tensor:
    """The network's logits, written from the paper's description with plain operations."""

    def norm(name: str, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        mean, var, scale, shift = (
            weights[f"{name}.{key}"].view(shape)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift

    def two_levels(x: Tensor) -> Tensor:
        return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)

    def clip(x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x, -torch.ones_like(x)), torch.ones_like(x))

    stem, stride = weights["stem.0.weight"], candidate.stem_stride or 1
    around = stem.shape[-1] // 2 if stem.shape[-1] % 2 else 0
    x = clip(norm("stem.1", functional.conv2d(x, stem, padding=around, stride=stride)))
    maps = {"stem": x}
    for stage in (1, 2, 3):
        for unit in range((candidate.depth - 2) // 3):
            name = f"stage{stage}.{unit}"
            stride = 2 if stage > 1 and unit == 0 else 1
            w = weights[f"{name}.conv.weight"]
            y = functional.conv2d(two_levels(x), two_levels(w), padding=1, stride=stride)
            shortcut = x[:, : len(w), ::stride, ::stride]
            if (new := w.shape[0] - w.shape[1]) > 0:
                zeros = torch.zeros_like(shortcut[:, :1])
                front, back = new // 2, new - new // 2
                shortcut = torch.cat(
                    [zeros.expand(-1, front, -1, -1), shortcut, zeros.expand(-1, back, -1, -1)], 1
                )
            x = clip(norm(f"{name}.bn", y) + shortcut)
        maps[f"stage{stage}"] = x
    size = (x.shape[2], x.shape[3])
    pooled = [functional.adaptive_avg_pool2d(maps[name], size) for name in candidate.taps]
    if pooled:
        y = torch.cat([*pooled, x], dim=1)
        y = clip(
            norm("recovery.primary.1", functional.conv2d(y, weights["recovery.primary.0.weight"]))
        )
        if "recovery.cheap.0.weight" in weights:
            w = weights["recovery.cheap.0.weight"]
            groups = y.shape[1] // w.shape[1]
            cheap = norm("recovery.cheap.1", functional.conv2d(y, w, padding=1, groups=groups))
            y = torch.cat([y, clip(cheap)], dim=1)[:, : x.shape[1]]
        x = y
    flat = norm("head.bn", x.mean(dim=(2, 3)))
    return flat @ weights["head.linear.weight"].T + weights["head.linear.bias"]


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(),
        Candidate(fusion="none"),
        Candidate(fusion="dense", taps=("stage2",), width=0.5),
        Candidate(depth=8, width=0.75, fusion_channels=6, fusion_group_size=3, image=(1, 16, 16)),
        Candidate(depth=14, width=0.25, taps=("stem",), image=(3, 33, 17), classes=7),
        Candidate(depth=8, stem_width=1.5, stem_stride=2, widths=(1, 0.25, 1.5), image=(1, 16, 16)),
        Candidate(depth=8, stem_width=0.5, stem_kernel=2, stem_stride=2, image=(3, 16, 16)),
    ],
    ids=lambda candidate: candidate.id,
)
def test_logits_equal_the_papers_network_in_plain_operations(candidate: Candidate) -> None:
    network = trained_like(candidate)
    images = torch.randn(4, *candidate.image, dtype=torch.float64)
    expected = reference(network.state_dict(), candidate, images)
    found = network(images)
    assert found.shape == (4, candidate.classes)
    assert found.std() > 0.1, "constant logits would agree too"
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("width", [0.0625, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("image", [(1, 4, 4), (3, 32, 32), (2, 33, 17), (3, 5, 40)])
def test_any_image_size_and_width_gives_logits_and_last_maps(
    width: float, image: tuple[int, int, int]
) -> None:
    network = build(Candidate(depth=8, width=width, image=image, classes=5)).eval()
    images = torch.randn(2, *image)
    sides = [-(-side // 4) for side in image[1:]]
    assert network.forward_features(images).shape == (2, int(64 * width), *sides)
    logits, features = network.logits_and_features(images)
    assert logits.shape == (2, 5)
    assert torch.equal(logits, network(images))
    assert torch.equal(features, network.forward_features(images))


def test_the_shortcut_takes_every_second_pixel_and_pads_channels_on_both_sides() -> None:
    spec = NetworkSpec(
        depth=8,
        stem=Stem(2),
        image=(1, 8, 8),
        classes=2,
        taps=(),
        recovery=InformationRecovery([], 8),
    )
    unit = ResidualUnit(spec, Stage("", 5), 2, 2).eval()
    torch.nn.init.zeros_(unit.bn.weight)
    x = torch.rand(1, 2, 5, 4)
    expected = torch.zeros(1, 5, 3, 2)
    expected[:, 1:3] = x[:, :, ::2, ::2]
    torch.testing.assert_close(unit(x), expected)


def test_binary_layers_are_exactly_the_inner_convolutions() -> None:
    network = build(Candidate())
    binary = [name for name, part in network.named_modules() if hasattr(part, "is_binary")]
    assert binary == [f"stage{s}.{u}.conv" for s in (1, 2, 3) for u in range(6)]
    twin = build(Candidate().twin())
    assert not any(part.is_binary for part in twin.modules() if hasattr(part, "is_binary"))
    assert [p.shape for p in twin.parameters()] == [p.shape for p in network.parameters()]


def test_an_image_that_is_too_small_is_refused() -> None:
    with pytest.raises(CandidateError, match="image: cifar-resnet needs at least 4 pixels a side"):
        Candidate(image=(3, 32, 3))
