"""Load the weights that the paper's authors released into the networks of this package.

Their checkpoints use other names of tensors. Each family has a table from our names to theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from ir2search.models.network import TappedNetwork
from ir2search.training.weights import check_values, matched, unwrapped
from ir2search.zoo.networks import build_preset, preset

# the authors' names, by patterns of our names
_RECOVERY = {
    r"recovery\.primary\.(\d)": r"fusion.primary_conv.\1",
    r"recovery\.cheap\.(\d)": r"fusion.cheap_operation.\1",
}
_SMALL = {r"stem\.0": "conv1", r"stem\.1": "bn1", r"head\.bn": "bn2", r"head\.linear": "linear"}
_NAMES: dict[str, dict[str, str]] = {
    "cifar-resnet": _SMALL | _RECOVERY,  # the units of its stages are in _unit
    "cifar-basic-resnet": _SMALL | _RECOVERY | {r"stage(\d)\.(\d)": r"layer\1.\2"},
    "cifar-vgg": {
        r"stem\.0": "conv0",
        r"stem\.1": "bn0",
        r"conv(\d)\.conv": r"conv\1",
        r"conv(\d)\.bn": r"bn\1",
        r"head\.linear": "fc",
        **_RECOVERY,
    },
    "imagenet-resnet": {
        r"stem\.0": "conv1",
        r"stem\.1": "bn1",
        r"stem\.2": "prelu",
        r"stage(\d)\.(\d+)\.conv\.weight": r"layer\1.\2.binary_conv.weights",
        r"stage(\d)\.(\d+)\.bn": r"layer\1.\2.bn1",
        r"stage(\d)\.(\d+)\.activation": r"layer\1.\2.prelu",
        r"stage(\d)\.(\d+)\.shortcut": r"layer\1.\2.downsample",
        r"head\.bn": "bn2",
        r"head\.linear": "fc",
        **_RECOVERY,
    },
}
_DENSE = {
    r"recovery\.primary\.0": "fusion",
    r"recovery\.primary\.1": "fbn",
    r"recovery\.primary\.2": "fprelu",
}


def load_released(name: str, state_dict: Mapping[str, Tensor]) -> TappedNetwork:
    """Build the network of a preset with weights that the authors released.

    Args:
        name: name of the preset.
        state_dict: tensors by the authors' names, with or without a prefix such as ``module.``, or
            a checkpoint that has them under a key such as ``"state_dict"``.

    Returns:
        The network, in evaluation mode.

    Raises:
        CandidateError: the preset is unknown.
        WeightsError: tensors are missing, unknown or have another shape; the message lists them.
    """
    network = build_preset(name)
    own = network.state_dict()
    wanted = {_released_name(name, ours): ours for ours in own}
    shapes = {theirs: _shape(theirs, own[ours]) for theirs, ours in wanted.items()}
    given = unwrapped(state_dict, "the weights")
    found = matched(given, shapes, f"the weights are not those of {name}")
    weights = {
        wanted[theirs]: tensor.reshape(own[wanted[theirs]].shape)
        for theirs, tensor in found.items()
    }
    check_values(weights, network, "the weights")
    network.load_state_dict(weights, strict=False)  # without the counters of BatchNorms
    return network.eval()


def _released_name(name: str, ours: str) -> str:
    """The authors' name of the tensor ``ours`` of the preset ``name``."""
    candidate = preset(name)
    table = _NAMES[candidate.backbone]
    if candidate.fusion == "dense":
        table = _DENSE | table
    if candidate.backbone == "cifar-resnet" and ours.startswith("stage"):
        return _unit(ours)
    for pattern, theirs in table.items():
        if re.match(pattern + r"(\.|$)", ours):
            return re.sub("^" + pattern, theirs, ours)
    raise KeyError(ours)


def _unit(ours: str) -> str:
    """The authors' name of a tensor in a unit of the CIFAR ResNet; their blocks have two units."""
    stage, unit, layer, rest = re.fullmatch(r"stage(\d)\.(\d+)\.(\w+)\.(\w+)", ours).groups()  # type: ignore[union-attr]
    return f"layer{stage}.{int(unit) // 2}.{layer}{int(unit) % 2 + 1}.{rest}"


def _shape(theirs: str, ours: Tensor) -> tuple[int, ...]:
    """The shape in the authors' file; binary weights of ImageNet networks are flat there."""
    return (ours.numel(), 1) if theirs.endswith("binary_conv.weights") else tuple(ours.shape)
