"""What each layer's maps contribute to the logits, by methods that share their passes.

Every method attributes whole cuts, see `ir2search.information.chain`: in a smooth network the
attributions over a cut sum to f(x) - f(baseline), the baseline being the image of zeros, the mean
of normalised data. Where a sign with a surrogate gradient follows, those of gradients do not; by
how much is the completeness gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from captum.attr import FeatureAblation, IntegratedGradients, Occlusion
from torch import Tensor, nn
from torch.nn import functional

from ir2search.errors import InputError
from ir2search.information.chain import Chain, Cut, sign_layers
from ir2search.information.rescale import can_rescale, rescaled
from ir2search.models.network import TappedNetwork

MethodName = Literal[
    "integrated_gradients",
    "conductance",
    "gradient_x_activation",
    "grad_cam",
    "deeplift",
    "feature_ablation",
    "occlusion",
]
STEPS = 32  # along the path from the baseline
GRID = 3  # parts of a side, of which feature ablation blanks one at a time
MEMORY = 2048  # MiB
_PASSES = 18  # times an image's maps that a pass keeps at most: DeepLIFT's, of it and a baseline


@dataclass(frozen=True)
class LayerAttribution:
    """Attributions over one cut.

    Attributes:
        layer: the layer's name; ``"input"`` for the images.
        method: which gave them.
        own: (N, c, h, w) float: the layer's attributions, with their signs; c = 0 where they were
            not kept.
        map: (N, h, w) float, at least 0: the sum over channels of the layer's attributions'
            absolute values.
        bypassing: (N,) float, at least 0: the sum of absolute values over the taps that pass the
            layer by.
        total: (N,) float: the sum of all attributions over the cut, with their signs.
        change: (N,) float: f(x) - f(baseline), the target's logit.
    """

    layer: str
    method: MethodName
    own: Tensor
    map: Tensor
    bypassing: Tensor
    total: Tensor
    change: Tensor


class Subject:
    """A network with the images whose logits are explained, and what methods share of them.

    Args:
        network: trained, in evaluation mode and without gradients, see `frozen`.
        images: (N, C, H, W) float, normalised, where the network lies.
        labels: (N,) int64: the logits that are explained.
        layers: whose attributions are wanted, all where left out.
        batch: images in one pass at most.
        steps: points of the quadrature along a path.
    """

    def __init__(
        self,
        network: TappedNetwork,
        images: Tensor,
        labels: Tensor,
        layers: Iterable[str] | None,
        batch: int,
        steps: int,
    ) -> None:
        self.chain = Chain(network)
        self.images, self.labels, self.batch, self.steps = images, labels, batch, steps
        wanted = self.chain.cuts if layers is None else layers
        self.cuts = [self.chain.cuts[name] for name in wanted]
        with torch.no_grad():
            self.baselines, baseline = self.chain.maps(torch.zeros_like(images[:1]))
            self.maps, logits = self.chain.maps(images)
        self.change = self.target(logits) - baseline[0, labels].double()

    def target(self, logits: Tensor) -> Tensor:
        """The explained logits, (N,) float64, of (N, classes)."""
        return logits.double().gather(1, self.labels[:, None]).squeeze(1)

    @cached_property
    def needed(self) -> list[str]:
        """Names of all layers that the wanted cuts are made of."""
        return list(dict.fromkeys(name for cut in self.cuts for name in cut.names))

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """Of the explained logits by every needed layer's maps, all in one pass."""
        images = self.images.detach().requires_grad_()
        maps, logits = self.chain.maps(images)
        wanted = [maps[name] for name in self.needed]
        return dict(zip(self.needed, _gradients(self.target(logits), wanted), strict=True))

    def of(self, method: MethodName, cut: Cut, values: Mapping[str, Tensor]) -> LayerAttribution:
        """Attributions over a cut, given those of its layers with their signs."""
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
    """Attributions of the labels' logits over the input and over every cut, by method.

    The network is left as it was: parameters, mode and hooks.

    Args:
        network: trained; lies where the images do.
        images: (N, C, H, W) float, normalised.
        labels: (N,) int64: the logits that are explained.
        methods: by which; each one's cuts come in order of depth.
        layers: whose, see `Chain`; all where left out.
        steps: points of the quadrature along a path; its own error shows in a smooth network's
            gap.
        memory: MiB that activations and their gradients may take at once; images are worked
            through in as many parts as that needs, see `parts`.
        keep: of some images' attributions at a time what is to be kept, see `summed`; all of it
            where left out.
        on_layer: told each method and layer, as ``"method layer"``, when a part of it is done.

    Raises:
        InputError: a method that does not apply to the network.
    """
    methods = list(methods)
    check_applicable(methods, network)
    with frozen(network):
        batch = images_at_once(network, images, memory)
        layers = None if layers is None else list(layers)
        found: list[list[LayerAttribution]] = []
        for some in zip(images.split(batch), labels.split(batch), strict=True):
            subject = Subject(network, *some, layers=layers, batch=batch, steps=steps)
            found.append([])
            for method in methods:
                for attribution in METHODS[method](subject):
                    found[-1].append(keep(attribution))
                    on_layer(f"{method} {attribution.layer}")
    return [_joined(pieces) for pieces in zip(*found, strict=True)]


def summed(found: LayerAttribution) -> LayerAttribution:
    """Attributions without those of single channels, which are as large as the layer's maps."""
    return replace(found, own=found.own[:, :0].clone())  # a view would keep all of it


def integrated_gradients(subject: Subject) -> Iterator[LayerAttribution]:
    """(x_l - b_l) * mean over the straight path from b_l to x_l of df/dx_l, for a cut's maps x_l.

    Source: Sundararajan et al., "Axiomatic Attribution for Deep Networks", ICML 2017, eq. 1, over
    a layer's maps. Captum's, on what follows the cut alone.
    """
    for cut in subject.cuts:
        found = IntegratedGradients(subject.chain.after(cut)).attribute(
            tuple(subject.maps[name] for name in cut.names),
            baselines=tuple(subject.baselines[name] for name in cut.names),
            target=subject.labels,
            n_steps=subject.steps,
            internal_batch_size=max(subject.batch, len(subject.images)),
        )
        yield subject.of("integrated_gradients", cut, dict(zip(cut.names, found, strict=True)))


def conductance(subject: Subject) -> Iterator[LayerAttribution]:
    """Sum along the straight path from the zero image to the image of df/dx_l * dx_l.

    Source: Dhamdhere et al., "How Important Is a Neuron?", ICLR 2019, eq. 3; by the trapezoid's
    points, as Captum's LayerConductance has it for ``riemann_trapezoid``. All layers in one walk
    along the path.
    """
    total = {name: torch.zeros_like(subject.maps[name]) for name in subject.needed}
    count = len(subject.images)
    at_once = max(1, subject.batch // count)
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
        yield subject.of("conductance", cut, total)


def gradient_x_activation(subject: Subject) -> Iterator[LayerAttribution]:
    """df/dx_l * x_l. All layers in one pass.

    Source: Shrikumar et al., "Not Just a Black Box", 2016, section 2; over a layer's maps.
    """
    for cut in subject.cuts:
        values = {name: subject.gradients[name] * subject.maps[name] for name in cut.names}
        yield subject.of("gradient_x_activation", cut, values)


def grad_cam(subject: Subject) -> Iterator[LayerAttribution]:
    """max(0, sum over channels of w_c x_l), w_c the mean over positions of df/dx_l.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, eq. 1 and 2. All layers in one pass. The
    total is of the sum before it is cut at 0.
    """
    for cut in subject.cuts:
        values = {
            name: subject.gradients[name].mean(dim=(2, 3), keepdim=True) * subject.maps[name]
            for name in cut.names
        }
        found = subject.of("grad_cam", cut, values)
        summed = values[cut.name].double().sum(dim=1).clamp_min(0)
        yield replace(found, map=summed)


def deeplift(subject: Subject) -> Iterator[LayerAttribution]:
    """(x_l - b_l) * m_l, the multipliers m_l passed back by the rescale rule. All in one pass.

    At an elementwise function y(x) the multiplier is (y(x) - y(b)) / (x - b), for a sign too: no
    surrogate gradient is used, and the attributions sum to f(x) - f(b).
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
        yield subject.of("deeplift", cut, values)


@torch.no_grad()
def feature_ablation(subject: Subject) -> Iterator[LayerAttribution]:
    """f(x_l) - f(x_l with one part set to its baseline), for each of 3 x 3 parts of the maps.

    A part's value is spread evenly over its elements; each tap is one part. No gradient is used.
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014,
    section 4.2, over a layer's maps. Captum's, on what follows the cut alone.
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
            perturbations_per_eval=max(1, subject.batch // len(subject.images)),
        )
        values = {
            name: value / _sizes(mask)
            for name, value, mask in zip(cut.names, found, masks, strict=True)
        }
        yield subject.of("feature_ablation", cut, values)


@torch.no_grad()
def occlusion(subject: Subject) -> Iterator[LayerAttribution]:
    """As `feature_ablation`, by a window of half the maps' side that moves by half its own.

    An element has the mean over the windows that cover it. A layer's taps stay as they are, so
    that the sum does not cover them. Captum's Occlusion, on what follows the cut alone.
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
            perturbations_per_eval=max(1, subject.batch // len(subject.images)),
        )
        values = dict.fromkeys(cut.names, torch.zeros_like(subject.images))
        values[cut.name] = found / (channels * window[0] * window[1])
        yield subject.of("occlusion", cut, values)


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
    """In words: which gradient of the sign a method used on a network."""
    if method in WITHOUT_SURROGATE:
        return WITHOUT_SURROGATE[method]
    names = {layer.binarisation.estimator for layer in sign_layers(network).values()}
    return ", ".join(sorted(names)) or "none (no sign)"


def inapplicable(method: MethodName, network: TappedNetwork) -> str | None:
    """Why a method does not apply to a network, if so."""
    if method == "deeplift" and not can_rescale(network):
        return "its rescale rule is for elementwise functions, and there is max-pooling"
    return None


def check_applicable(methods: Iterable[MethodName], network: TappedNetwork) -> None:
    """Check that methods apply to a network.

    Raises:
        InputError: one does not.
    """
    for method in methods:
        if (reason := inapplicable(method, network)) is not None:
            raise InputError(f"--methods {method}: does not apply to this network: {reason}")


@torch.no_grad()
def layer_maps(
    network: TappedNetwork,
    images: Tensor,
    layers: Iterable[str],
    memory: int,
    keep: Callable[[Tensor], Tensor] = lambda maps: maps,
) -> dict[str, Tensor]:
    """What is to be kept of each layer's maps (N, c, h, w), by name; all of them if not said.

    Args:
        network: trained; left as it was.
        images: (N, C, H, W) float, normalised, where the network lies.
        layers: whose, see `Chain`.
        memory: see `attribute`.
        keep: of some images' maps at a time.
    """
    chain, parts = Chain(network), []
    with frozen(network):
        for some in images.split(images_at_once(network, images, memory)):
            maps, _ = chain.maps(some)
            parts.append({name: keep(maps[name]) for name in layers})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def parts(network: TappedNetwork, images: Tensor, memory: int) -> int:
    """How many passes the images are worked through in, to keep within ``memory`` MiB."""
    return -(-len(images) // images_at_once(network, images, memory))


def images_at_once(network: TappedNetwork, images: Tensor, memory: int) -> int:
    """How many images a pass may take, so that it keeps within ``memory`` MiB; at least one."""
    with torch.no_grad():
        maps, _ = Chain(network).maps(images[:1])
    one = _PASSES * sum(value.nbytes for value in maps.values())
    return max(1, memory * 2**20 // one)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients for parameters, put back as they were afterwards."""
    training = network.training
    wanted = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval()
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        network.train(training)


def _gradients(explained: Tensor, maps: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(explained.sum(), maps)


def _parts(maps: Tensor) -> Tensor:
    """(1, c, h, w) int64: the number of the part that an element belongs to."""
    height, width = maps.shape[2:]
    rows, columns = (min(GRID, side) for side in (height, width))
    numbers = torch.arange(rows * columns, device=maps.device, dtype=maps.dtype)
    grid = numbers.view(1, 1, rows, columns)
    mask = functional.interpolate(grid, (height, width), mode="nearest-exact").long()
    return mask.expand(1, maps.shape[1], -1, -1)


def _sizes(mask: Tensor) -> Tensor:
    """How many elements the part of an element has."""
    counts = torch.bincount(mask.flatten())
    return counts[mask]


def _joined(parts: tuple[LayerAttribution, ...]) -> LayerAttribution:
    first = parts[0]
    fields = ("own", "map", "bypassing", "total", "change")
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in fields}
    return LayerAttribution(first.layer, first.method, **joined)
