"""Attribution methods: how much the maps of each layer contribute to the logits.

Every method attributes to whole cuts, see `ir2search.information.chain`. In a smooth network the
attributions over a cut add up to f(x) - f(baseline). The baseline is an image of zeros, the mean
of normalised data. Attributions by gradients do not add up if a sign with a surrogate gradient
follows the cut. The difference is the completeness gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from captum.attr import FeatureAblation, IntegratedGradients, Occlusion
from torch import Tensor, nn
from torch.nn import functional

from ir2search.errors import InputError
from ir2search.information.chain import Chain, Cut, sign_layers
from ir2search.information.passes import MEMORY, frozen, images_at_once, joined
from ir2search.information.rescale import can_rescale, rescaled
from ir2search.models.network import TappedNetwork
from ir2search.nn import kernels_without_gradients

MethodName = Literal[
    "integrated_gradients",
    "conductance",
    "gradient_x_activation",
    "grad_cam",
    "deeplift",
    "feature_ablation",
    "occlusion",
]
STEPS = 32  # points along the path from the baseline to the image
GRID = 3  # feature ablation divides a map into 3 x 3 parts


@dataclass(frozen=True)
class LayerAttribution:
    """Attributions over one cut.

    Attributes:
        layer: name of the layer; ``"input"`` for the images.
        method: the attribution method.
        own: (N, c, h, w) float: signed attributions to the layer's maps; c = 0 if not kept.
        map: (N, h, w) float, at least 0: absolute attributions to the layer's maps, summed over
            channels.
        bypassing: (N,) float, at least 0: absolute attributions to the taps that bypass the
            layer, summed.
        total: (N,) float: the sum of all signed attributions over the cut.
        change: (N,) float: f(x) - f(baseline) of the explained logit.
    """

    layer: str
    method: MethodName
    own: Tensor
    map: Tensor
    bypassing: Tensor
    total: Tensor
    change: Tensor


class Subject:
    """A network and the images to explain, with the forward and backward passes of all methods.

    Args:
        network: trained, in evaluation mode and without gradients, see `frozen`.
        images: (N, C, H, W) float, normalised, on the network's device.
        labels: (N,) int64: the logits to explain.
        layers: names of the layers to attribute to; None for all.
        at_once: largest number of images in one pass.
        steps: points of the quadrature along a path.
    """

    def __init__(
        self,
        network: TappedNetwork,
        images: Tensor,
        labels: Tensor,
        layers: Iterable[str] | None,
        at_once: int,
        steps: int,
    ) -> None:
        self.chain = Chain(network)
        self.images, self.labels, self.at_once, self.steps = images, labels, at_once, steps
        wanted = self.chain.cuts if layers is None else layers
        self.cuts = [self.chain.cuts[name] for name in wanted]
        with torch.no_grad(), kernels_without_gradients():
            self.baselines, baseline = self.chain.maps(torch.zeros_like(images[:1]))
            self.maps, logits = self.chain.maps(images)
        self.change = self.target(logits) - baseline[0, labels].double()

    def target(self, logits: Tensor) -> Tensor:
        """The explained logits, (N,) float64, from all logits, (N, classes)."""
        return logits.double().gather(1, self.labels[:, None]).squeeze(1)

    @cached_property
    def needed(self) -> list[str]:
        """Names of all layers and taps in the wanted cuts."""
        return list(dict.fromkeys(name for cut in self.cuts for name in cut.names))

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """Gradients of the explained logits with respect to all needed maps, from one pass."""
        images = self.images.detach().requires_grad_()
        maps, logits = self.chain.maps(images)
        wanted = [maps[name] for name in self.needed]
        return dict(zip(self.needed, _gradients(self.target(logits), wanted), strict=True))

    def attribution(
        self, method: MethodName, cut: Cut, values: Mapping[str, Tensor]
    ) -> LayerAttribution:
        """Attributions over a cut, from the signed attributions of its layer and taps."""
        own, *others = (values[name].detach().double() for name in cut.names)
        axes = (1, 2, 3)
        return LayerAttribution(
            layer=cut.name,
            method=method,
            own=values[cut.name].detach(),
            map=own.abs().sum(dim=1),
            bypassing=sum((a.abs().sum(dim=axes) for a in others), torch.zeros_like(self.change)),
            total=sum((a.sum(dim=axes) for a in others), own.sum(dim=axes)),
            change=self.change,
        )


def attribute(
    network: TappedNetwork,
    images: Tensor,
    labels: Tensor,
    methods: Iterable[MethodName] = ("integrated_gradients",),
    layers: Iterable[str] | None = None,
    *,
    steps: int = STEPS,
    memory: int = MEMORY,
    keep: Callable[[LayerAttribution], LayerAttribution] = lambda found: found,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerAttribution]:
    """Attribute the logits of the labels to the input and to every layer, by each method.

    The network has the same parameters, mode and hooks afterwards.

    Args:
        network: trained; on the device of the images.
        images: (N, C, H, W) float, normalised.
        labels: (N,) int64: the logits to explain.
        methods: attribution methods.
        layers: names of layers, see `Chain`; None for all.
        steps: points of the quadrature along a path; too few give a smooth network a completeness
            gap.
        memory: limit for activations and gradients, in MiB; it sets the number of images in a pass.
        keep: maps the attributions of one batch to what is kept in memory, see `summed`.
        on_layer: called with ``"method layer"`` when a batch of images is done.

    Returns:
        For one method after the other, the attributions to each layer in order of depth.

    Raises:
        InputError: a method does not apply to the network.
    """
    at_once = images_at_once(network, images.shape[1:], memory)
    return attribute_batches(
        network,
        zip(images.split(at_once), labels.split(at_once), strict=True),
        methods,
        layers,
        at_once=at_once,
        steps=steps,
        keep=keep,
        on_layer=on_layer,
    )


def attribute_batches(
    network: TappedNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    methods: Iterable[MethodName],
    layers: Iterable[str] | None = None,
    *,
    at_once: int,
    steps: int = STEPS,
    keep: Callable[[LayerAttribution], LayerAttribution] = lambda found: found,
    on_layer: Callable[[str], None] = lambda name: None,
) -> list[LayerAttribution]:
    """`attribute` for batches of images (n, C, H, W), normalised, and labels (n,).

    A pass takes ``at_once`` images at most, and no batch has more.

    Raises:
        InputError: a method does not apply to the network.
    """
    methods = list(methods)
    check_applicable(methods, network)
    layers = None if layers is None else list(layers)
    found: list[list[LayerAttribution]] = []
    with frozen(network):
        for images, labels in batches:
            subject = Subject(network, images, labels, layers, at_once, steps)
            found.append([])
            for method in methods:
                for attribution in METHODS[method](subject):
                    found[-1].append(keep(attribution))
                    on_layer(f"{method} {attribution.layer}")
    return [joined(pieces) for pieces in zip(*found, strict=True)]


def without_own(found: LayerAttribution) -> LayerAttribution:
    """Drop ``own``, which is as large as the layer's maps."""
    return replace(found, own=found.own[:, :0].clone())  # a view would keep it in memory


def integrated_gradients(subject: Subject) -> Iterator[LayerAttribution]:
    """(x_l - b_l) * mean over the straight path from b_l to x_l of df/dx_l, for a cut's maps x_l.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, eq. 1, with
    a layer's maps as the input. Uses Captum on the part of the network after the cut.
    """
    for cut in subject.cuts:
        found = IntegratedGradients(subject.chain.after(cut)).attribute(
            tuple(subject.maps[name] for name in cut.names),
            baselines=tuple(subject.baselines[name] for name in cut.names),
            target=subject.labels,
            n_steps=subject.steps,
            internal_batch_size=subject.at_once,
        )
        yield subject.attribution(
            "integrated_gradients", cut, dict(zip(cut.names, found, strict=True))
        )


def conductance(subject: Subject) -> Iterator[LayerAttribution]:
    """Sum of df/dx_l * dx_l along the straight path from the zero image to the image.

    Source: Dhamdhere et al., "How Important Is a Neuron?", ICLR 2019, eq. 3, at the points of
    Captum's LayerConductance with ``riemann_trapezoid``. One walk along the path serves all
    layers.
    """
    total = {name: torch.zeros_like(subject.maps[name]) for name in subject.needed}
    count = len(subject.images)
    at_once = subject.at_once // count
    alphas = torch.linspace(0, 1, subject.steps + 1, device=subject.images.device)
    before: dict[str, tuple[Tensor, Tensor]] = {}
    for some in alphas.split(at_once):
        points = (some[:, None, None, None, None] * subject.images).flatten(0, 1).requires_grad_()
        maps, logits = subject.chain.maps(points)
        explained = logits.gather(1, subject.labels.repeat(len(some))[:, None])
        found = _gradients(explained, [maps[name] for name in subject.needed])
        for name, gradient in zip(subject.needed, found, strict=True):
            values = maps[name].detach().unflatten(0, (len(some), count))
            slopes = gradient.unflatten(0, (len(some), count))
            for value, slope in zip(values, slopes, strict=True):
                if name in before:
                    total[name] += (value - before[name][0]) * before[name][1]
                before[name] = value, slope
    for cut in subject.cuts:
        yield subject.attribution("conductance", cut, total)


def gradient_x_activation(subject: Subject) -> Iterator[LayerAttribution]:
    """df/dx_l * x_l. One pass serves all layers.

    Source: Shrikumar et al., "Not Just a Black Box", 2016, section 2, with a layer's maps as the
    input.
    """
    for cut in subject.cuts:
        values = {name: subject.gradients[name] * subject.maps[name] for name in cut.names}
        yield subject.attribution("gradient_x_activation", cut, values)


def grad_cam(subject: Subject) -> Iterator[LayerAttribution]:
    """max(0, sum over channels of w_c x_l), w_c the mean over positions of df/dx_l.

    One pass serves all layers. ``total`` is the sum before max(0, .) is taken.
    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, eq. 1 and 2.
    """
    for cut in subject.cuts:
        values = {
            name: subject.gradients[name].mean(dim=(2, 3), keepdim=True) * subject.maps[name]
            for name in cut.names
        }
        found = subject.attribution("grad_cam", cut, values)
        summed = values[cut.name].double().sum(dim=1).clamp_min(0)
        yield replace(found, map=summed)


def deeplift(subject: Subject) -> Iterator[LayerAttribution]:
    """(x_l - b_l) * m_l, with multipliers m_l that the rescale rule propagates backwards.

    The multiplier of an elementwise function y is (y(x) - y(b)) / (x - b), also for a sign. So no
    surrogate gradient is used, and the attributions add up to f(x) - f(b). One pass serves all
    layers.
    Source: Shrikumar et al., "Learning Important Features Through Propagating Activation
    Differences", ICML 2017, section 3.5.1.
    """
    chain = Chain(rescaled(subject.chain.network))
    count = len(subject.images)
    both = torch.cat([subject.images, torch.zeros_like(subject.images)]).requires_grad_()
    maps, logits = chain.maps(both)
    found = _gradients(subject.target(logits[:count]), [maps[name] for name in subject.needed])
    values = {
        name: (multiplier * (maps[name] - maps[name].roll(count, 0)))[:count]
        for name, multiplier in zip(subject.needed, found, strict=True)
    }
    for cut in subject.cuts:
        yield subject.attribution("deeplift", cut, values)


@torch.no_grad()
def feature_ablation(subject: Subject) -> Iterator[LayerAttribution]:
    """f(x_l) - f(x_l with one part set to its baseline), for each of 3 x 3 parts of the maps.

    The value of a part is divided evenly among its elements; each tap is one part. No gradient is
    used. Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
    2014, section 4.2, with a layer's maps as the input. Uses Captum on the part of the network
    after the cut.
    """
    for cut in subject.cuts:
        maps = tuple(subject.maps[name] for name in cut.names)
        masks = [_parts(maps[0])]
        masks += [
            torch.full_like(tap[:1], int(masks[0].max()) + 1 + i, dtype=torch.int64)
            for i, tap in enumerate(maps[1:])
        ]
        found = FeatureAblation(subject.chain.after(cut)).attribute(
            maps,
            baselines=tuple(subject.baselines[name] for name in cut.names),
            target=subject.labels,
            feature_mask=tuple(masks),
            perturbations_per_eval=subject.at_once // len(subject.images),
        )
        values = {
            name: value / _sizes(mask)
            for name, value, mask in zip(cut.names, found, masks, strict=True)
        }
        yield subject.attribution("feature_ablation", cut, values)


@torch.no_grad()
def occlusion(subject: Subject) -> Iterator[LayerAttribution]:
    """f(x_l) - f(x_l with a window set to its baseline), for a sliding window over the maps.

    The window has half the side of the maps and moves by half its own side. An element gets the
    mean over the windows that cover it. Taps are not occluded, so ``total`` leaves them out. Uses
    Captum's Occlusion on the part of the network after the cut.
    """
    for cut in subject.cuts:
        own, *taps = (subject.maps[name] for name in cut.names)
        channels, *sides = own.shape[1:]
        window = [max(1, side // 2) for side in sides]
        after = subject.chain.after(cut)

        def rest(maps: Tensor, after: nn.Module = after, taps: list[Tensor] = taps) -> Tensor:
            times = len(maps) // len(subject.images)
            result: Tensor = after(maps, *(tap.repeat(times, 1, 1, 1) for tap in taps))
            return result

        found = Occlusion(rest).attribute(
            own,
            sliding_window_shapes=(channels, *window),
            strides=(channels, *(max(1, side // 2) for side in window)),
            baselines=subject.baselines[cut.name],
            target=subject.labels,
            perturbations_per_eval=subject.at_once // len(subject.images),
        )
        values = dict.fromkeys(cut.names, torch.zeros_like(subject.images))
        values[cut.name] = found / (channels * window[0] * window[1])
        yield subject.attribution("occlusion", cut, values)


METHODS: dict[MethodName, Callable[[Subject], Iterator[LayerAttribution]]] = {
    "integrated_gradients": integrated_gradients,
    "conductance": conductance,
    "gradient_x_activation": gradient_x_activation,
    "grad_cam": grad_cam,
    "deeplift": deeplift,
    "feature_ablation": feature_ablation,
    "occlusion": occlusion,
}
WITHOUT_SURROGATE = {
    "deeplift": "none (rescale rule)",
    "feature_ablation": "none (no gradient)",
    "occlusion": "none (no gradient)",
}


def surrogate(method: MethodName, network: TappedNetwork) -> str:
    """Name of the surrogate gradient that a method uses on a network."""
    if method in WITHOUT_SURROGATE:
        return WITHOUT_SURROGATE[method]
    names = {layer.binarisation.estimator for layer in sign_layers(network).values()}
    return ", ".join(sorted(names)) or "none (no sign)"


def inapplicable(method: MethodName, network: TappedNetwork) -> str | None:
    """Why a method does not apply to a network; None if it applies."""
    if method == "deeplift" and not can_rescale(network):
        return "its rescale rule is for elementwise functions, but the network has max-pooling"
    return None


def check_applicable(methods: Iterable[MethodName], network: TappedNetwork) -> None:
    """Raise InputError if one of the methods does not apply to a network."""
    for method in methods:
        if (reason := inapplicable(method, network)) is not None:
            raise InputError(f"methods: {method!r} does not apply to this network: {reason}")


def _gradients(explained: Tensor, maps: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(explained.sum(), maps)


def _parts(maps: Tensor) -> Tensor:
    """The number of the part that each element belongs to, (1, c, h, w) int64."""
    height, width = maps.shape[2:]
    rows, columns = (min(GRID, side) for side in (height, width))
    numbers = torch.arange(rows * columns, device=maps.device, dtype=maps.dtype)
    grid = numbers.view(1, 1, rows, columns)
    mask = functional.interpolate(grid, (height, width), mode="nearest-exact").long()
    return mask.expand(1, maps.shape[1], -1, -1)


def _sizes(mask: Tensor) -> Tensor:
    """The number of elements in the part that each element belongs to."""
    return torch.bincount(mask.flatten())[mask]
