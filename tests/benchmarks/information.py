"""How fast is an analysis, compared with a Captum call for each layer and method?

Attributes to all layers of `cifar-resnet20` twice, in one process, on the same images: with this
package, whose methods share passes and run only the layers after a cut, and with Captum in a plain
loop. The results are compared by their largest difference, as a share of the layer's largest
attribution. DeepLIFT is left out, because Captum's does not support signs. Then the whole of
`measure` is timed, with its default methods and probes, on a network, its twin and itself without
recovery.

    python tests/benchmarks/information.py [--images 64] [--whole 256]

Images and weights are random; this does not change the times.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import torch
from captum.attr import (
    LayerConductance,
    LayerFeatureAblation,
    LayerGradCam,
    LayerGradientXActivation,
)
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ir2search.data import Split
from ir2search.information.attributions import STEPS, MethodName, _parts, _sizes, attribute
from ir2search.information.chain import INPUT, Chain
from ir2search.information.images import Images
from ir2search.information.measure import BINARY, PLAIN, TWIN, measure
from ir2search.information.passes import frozen
from ir2search.information.settings import Settings
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate, build

METHODS: tuple[MethodName, ...] = (
    "conductance",
    "gradient_x_activation",
    "grad_cam",
    "feature_ablation",
)
BATCH = 512


def networks() -> dict[str, TappedNetwork]:
    """A network and those to compare it with, with BatchNorm statistics of random images."""
    whole = Candidate()
    plain = whole.without_recovery()
    result = {}
    for name, candidate in {BINARY: whole, TWIN: whole.twin(), PLAIN: plain}.items():
        torch.manual_seed(0)
        network = build(candidate)
        with torch.no_grad():
            for _ in range(4):
                network(torch.randn(64, 3, 32, 32))
        result[name] = network.eval()
    result[TWIN].to(memory_format=torch.channels_last)  # as `analyze` does
    return result


def random_images(count: int) -> Images:
    torch.manual_seed(1)
    split = Split(torch.randn(count, 3, 32, 32), torch.arange(count) % 10)
    return Images(split, lambda normalised: normalised)


def by_captum(network: TappedNetwork, given: Images, method: MethodName, layer: str) -> Tensor:
    """One call of Captum for one layer."""
    module, (x, y) = network.get_submodule(layer), given.whole()
    zeros = torch.zeros_like(x)
    if method == "conductance":
        result = LayerConductance(network, module).attribute(
            x, zeros, target=y, n_steps=STEPS, method="riemann_trapezoid",
            internal_batch_size=max(BATCH, 2 * len(x)),
        )  # fmt: skip
    elif method == "gradient_x_activation":
        result = LayerGradientXActivation(network, module).attribute(x, target=y)
    elif method == "grad_cam":
        result = LayerGradCam(network, module).attribute(x, target=y, relu_attributions=True)
    else:
        maps = Chain(network).maps(x[:1])[0][layer]
        mask = _parts(maps)
        result = LayerFeatureAblation(network, module).attribute(
            x, layer_baselines=Chain(network).maps(zeros[:1])[0][layer].detach(), target=y,
            layer_mask=mask,
        ) / _sizes(mask)  # fmt: skip
    return result.detach()


def seconds(work: Callable[[], dict[str, Tensor]]) -> tuple[float, dict[str, Tensor]]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def compare(network: TappedNetwork, given: Images) -> Table:
    """Seconds of both for each method, and their largest difference."""
    layers = [name for name in Chain(network).units if name != INPUT]
    table = Table("method", "plain loop", "ours", "ratio", "largest difference")
    totals = [0.0, 0.0]
    for method in METHODS:

        def ours(method: MethodName = method) -> dict[str, Tensor]:
            found = attribute(network, *given.whole(), (method,), layers)
            return {
                one.layer: one.map[:, None].float() if method == "grad_cam" else one.own
                for one in found
            }

        def theirs(method: MethodName = method) -> dict[str, Tensor]:
            with frozen(network):
                return {layer: by_captum(network, given, method, layer) for layer in layers}

        (a, one), (b, other) = seconds(theirs), seconds(ours)
        totals = [totals[0] + a, totals[1] + b]
        apart = max(
            float((one[layer] - other[layer]).abs().max() / one[layer].abs().max())
            for layer in layers
        )
        table.add_row(method, f"{a:.1f} s", f"{b:.1f} s", f"{a / b:.1f}", f"{apart:.1e}")
    table.add_row("all", *(f"{t:.1f} s" for t in totals), f"{totals[0] / totals[1]:.1f}", "")
    return table


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64, help="of the comparison")
    parser.add_argument("--whole", type=int, default=256, help="of the whole analysis; 0 for none")
    options = parser.parse_args()
    console, every = Console(), networks()
    console.print(f"cifar-resnet20, {options.images} images, {torch.get_num_threads()} threads")
    console.print(compare(every[BINARY], random_images(options.images)))
    if options.whole:
        start = time.perf_counter()
        measure(every, random_images(options.whole), random_images(2000), Settings())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        taken = time.perf_counter() - start
        console.print(
            f"whole analysis, {options.whole} images: {taken:.0f} s, at most {memory:.0f} MiB"
        )


if __name__ == "__main__":
    main()
