"""The attention grid: images beside the attention of every tapped layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.data import ImageData
from ir2search.information import rows
from ir2search.measures.names import BINARY, TWIN
from ir2search.models.network import TappedNetwork
from ir2search.nn import attention_map, restrict
from ir2search.space import Candidate

PICTURES = 5  # images in the grid, one of each class
BLANKED = (0.84, 0.37, 0.0)  # orange


@torch.no_grad()
def attention_pictures(
    networks: Mapping[str, TappedNetwork], candidate: Candidate, data: ImageData
) -> list[rows.Row]:
    """The pictures of the attention grid, as rows of the table of measures.

    For one image of each of the first classes: the image, the restricted image, the attention of
    each layer that can be tapped and of the last layer, and the twin's attention of the last layer.

    Returns:
        Rows with the pictures as arrays: images (h, w, 3) from 0 to 1, with blanked pixels in
        orange; attention (h, w).
    """
    network = networks[BINARY]
    device = next(network.parameters()).device
    images, labels = data.validation.take(_first_of_each_class(data.validation.labels))
    normalised = data.normalise(images.to(device))
    taps, last = network.feature_maps(normalised)
    restricted = restrict(normalised, last, candidate.threshold, candidate.normalization)
    blanked = (restricted == 0).all(dim=1, keepdim=True)
    final = network.layer_names[-1]
    maps = {**taps, final: last}
    if TWIN in networks:
        maps[f"{final} of the twin"] = networks[TWIN].feature_maps(normalised)[1]
    found = []
    for i, label in enumerate(labels.tolist()):
        pictures = {
            "image": _colour(images[i]),
            f"restricted, λ = {candidate.threshold:g}": _colour(images[i], blanked[i]),
        }
        pictures |= {name: _attention(features[i], images) for name, features in maps.items()}
        for title, values in pictures.items():
            about = {"network": BINARY, "layer": title, "item": i}
            found.append(rows.picture(about, data.class_names[label], values))
    return found


def _first_of_each_class(labels: Tensor) -> Tensor:
    """Indices of the first image of each class, at most `PICTURES`."""
    classes = labels.unique(sorted=True)[:PICTURES]
    return torch.tensor([int((labels == label).nonzero()[0]) for label in classes])


def _colour(image: Tensor, blanked: Tensor | None = None) -> np.ndarray:
    """Convert (C, h, w) uint8 to (h, w, 3) from 0 to 1; blanked pixels, (1, h, w), are orange."""
    picture = image.float().cpu() / 255
    if picture.shape[0] != 3:
        picture = picture.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if blanked is not None:
        picture = torch.where(blanked.cpu(), torch.tensor(BLANKED)[:, None, None], picture)
    return picture.permute(1, 2, 0).numpy()


def _attention(features: Tensor, images: Tensor) -> np.ndarray:
    """The attention map of (c, h, w) features, upsampled to the size of the images."""
    attention = attention_map(features[None])[None]
    size = (images.shape[-2], images.shape[-1])
    upsampled = functional.interpolate(attention, size, mode="bilinear", align_corners=True)
    return upsampled[0, 0].cpu().numpy()
