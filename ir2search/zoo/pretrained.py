"""Trained networks as torch modules, with their images and classes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from ir2search.data import normalised
from ir2search.errors import WeightsError
from ir2search.files import parse_json_values
from ir2search.models.network import TappedNetwork
from ir2search.nn import Binarisation, BinaryConv2d
from ir2search.runtime import ImageSpec, image_spec
from ir2search.space import Candidate, candidate_from_dict
from ir2search.training.checkpoint import save_tensors
from ir2search.training.latent_weights import SUFFIX, in_4_bits
from ir2search.training.weights import COUNTER, load_weights
from ir2search.training.weights_file import kind_of
from ir2search.zoo.shipped import shipped_network


@dataclass(frozen=True)
class Pretrained:
    """A trained network, its images and its classes.

    Attributes:
        name: of the network, or its file.
        candidate: describes the network.
        images: what its images must be like (``image``, ``mean``, ``std``), and ``class_names``.
        network: the torch module with its weights, on the CPU, in evaluation mode.
    """

    name: str
    candidate: Candidate
    images: ImageSpec
    network: TappedNetwork

    def normalise(self, images: Tensor) -> Tensor:
        """Scale images (N, C, H, W) uint8 to the float32 values that the network takes."""
        return normalised(images, self.images.mean, self.images.std)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) uint8."""
        logits: Tensor = self.network(self.normalise(images))
        return logits


def load_trained(what: str | Path) -> Pretrained:
    """Load a trained network that ships with the package, or one that was exported for torch.

    In a shipped file, latent weights of binary convolutions have 4 bits. Their signs are exact, so
    the logits are those of the trained network.

    Args:
        what: a name of `zoo`, or a ``.safetensors`` file of `export`.

    Raises:
        CandidateError: the name is unknown; the message has a suggestion.
        WeightsError: the file is damaged, or does not name its network.
    """
    file = Path(what)
    if file.suffix != ".safetensors":
        file = shipped_network(str(what)).weights
    about = read_header(file)
    candidate = candidate_from_dict(about["candidate"], str(file))
    network = load_weights(candidate, file)
    return Pretrained(str(what), candidate, image_spec(about, file), network)


def read_header(file: Path) -> dict[str, Any]:
    """What a safetensors file of `export` says about its network.

    Raises:
        WeightsError: the file is missing or damaged, or does not name its network.
    """
    try:
        is_exported = kind_of(file) == "safetensors"
        if is_exported:
            with safe_open(file, "pt") as stored:
                found = parse_json_values(stored.metadata() or {})
    except FileNotFoundError:
        raise WeightsError(f"{file}: no such file") from None
    if not is_exported or not isinstance(found.get("candidate"), dict):
        raise WeightsError(f"{file}: does not name its network; export the network again")
    return found


def save_small(network: TappedNetwork, file: Path, about: Mapping[str, object]) -> None:
    """Write weights for `load_trained`, with 4 bits for each latent weight of a binary convolution.

    Args:
        network: the trained network.
        file: to write, a ``.safetensors`` file.
        about: what the file says about the network, as values for JSON.
    """
    tensors = {
        name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)
    }
    for name, module in network.named_modules():
        if isinstance(module, BinaryConv2d) and _takes_signs(module.binarisation):
            weight = f"{name}.weight"
            if len(tensors[weight]) % 2 == 0:
                tensors[weight], tensors[weight + SUFFIX] = in_4_bits(tensors[weight])
    save_tensors(tensors, file, {key: json.dumps(value) for key, value in about.items()})


def _takes_signs(binarisation: Binarisation) -> bool:
    """Whether each weight's own sign suffices; a standardised one depends on the others."""
    return binarisation.weights == "binary" and not binarisation.standardise
