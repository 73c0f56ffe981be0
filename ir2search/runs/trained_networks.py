"""Find a trained network by its name, its folder or its file, and the images that it is for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ir2search import text
from ir2search.data import ImageData
from ir2search.errors import InputError, RunError
from ir2search.files import read_json
from ir2search.runs.layout import BEST, CACHE, CANDIDATE_FILE, STUDY_FILE, TRIALS
from ir2search.runs.run import Run
from ir2search.runtime import ImageSpec, load_packed, read_image_spec
from ir2search.runtime.packed import PACKED
from ir2search.space import Candidate, build, read_candidate
from ir2search.training.weights import load_weights, put_weights, read_weights
from ir2search.validation import checked
from ir2search.zoo import load_onnx, load_released, load_trained, named_candidate, presets
from ir2search.zoo.images import images_for
from ir2search.zoo.onnx_file import ONNX, Forward
from ir2search.zoo.shipped import INCLUDED, is_shipped, shipped_names, shipped_network
from ir2search.zoo.single import SETTINGS

BATCH = 64  # images that a packed network takes at a time
EXPORTED = (PACKED, ONNX, ".safetensors")  # suffixes of files that name their network
OWN_STEM = "stem.0.weight"  # a tensor of every network of this package


def network_and_images(
    what: str, data: str | Path | None, weights: Path | None, cache: Path
) -> tuple[nn.Module, ImageData]:
    """A trained network on the CPU, and its images; see `evaluate` for arguments and errors."""
    path = Path(what)
    if weights is not None:
        candidate = named_candidate(what)
        network = _with_weights(what, candidate, weights)
        return network, images_of(what, candidate, data, cache)
    if path.is_dir():
        exported = _exported(path)
        if exported is not None:
            return network_and_images(str(exported), data, weights, cache)
        return _in_folder(path, path / BEST, data)
    if path.is_file() and (path.parent / CANDIDATE_FILE).exists():
        return _in_folder(path.parent, path, data)
    if path.suffix == PACKED:
        network, candidate = OnArrays(load_packed(path).logits), named_candidate(what)
        return network, _images(candidate, what, data, cache, read_image_spec(path))
    if path.suffix == ONNX:
        found = load_onnx(path)
        images = _images(found.candidate, what, data, cache, found.images)
        return OnArrays(found.logits), images
    if path.suffix == ".safetensors" or what in shipped_names():
        trained = load_trained(what)
        images = _images(trained.candidate, what, data, cache, trained.images)
        return trained.network, images
    if path.is_file() and path.suffix != ".json":
        raise InputError(
            f"{what}: does not name its network; give the network, and this file as its weights"
        )
    named_candidate(what)  # an unknown name gets a suggestion
    raise InputError(f"{what}: has no trained weights; give the file of its weights")


def _exported(folder: Path) -> Path | None:
    """The file of a folder with exported files; None for another folder.

    Raises:
        InputError: there are several such files, or C code alone.
    """
    if (folder / CANDIDATE_FILE).exists() or (folder / STUDY_FILE).exists():
        return None
    found = [file for file in sorted(folder.iterdir()) if file.suffix in EXPORTED]
    if len(found) > 1:
        names = text.names(file.name for file in found)
        raise InputError(f"{folder}: has several exported files; give one of {names}")
    if not found and (folder / "network.c").exists():
        raise InputError(
            f"{folder}: is C code; give the packed file of the network, which computes the same"
        )
    return found[0] if found else None


def _with_weights(what: str, candidate: Candidate, file: Path) -> nn.Module:
    tensors = read_weights(file)
    if what in presets() and not any(name.endswith(OWN_STEM) for name in tensors):
        return load_released(what, tensors)
    network = build(candidate)
    put_weights(network, tensors, str(file), what)
    return network


def network_of_folder(folder: Path, data: str | Path | None) -> tuple[nn.Module, ImageData]:
    """The network of a trial's folder or of a training's, and the images it was trained on.

    Args:
        folder: the folder.
        data: the folder of its images; None for the included digits, or for the images of the
            trial's run.

    Raises:
        InputError: the folder is of another kind or has no weights.
        RunError: the network was trained on other images.
    """
    network, images = _in_folder(folder, folder / BEST, data)
    if (folder / SETTINGS).exists():
        trained_on = checked(read_json(folder / SETTINGS), _Settings, folder / SETTINGS).data
        if trained_on != images.fingerprint:
            raise RunError(f"{folder}: was trained on other images; give the folder of these")
    return network, images


def images_of(what: str, candidate: Candidate, data: str | Path | None, cache: Path) -> ImageData:
    """The images for a network whose weights are given apart.

    They are split and normalised as in its training if ``what`` is known to be trained: a folder of
    a trial or of a training, a file in it, or a trained network of this package.

    Args:
        what: name, folder or file of the network.
        candidate: the network.
        data: the folder of images; None for the included digits, or for the images of the trial's
            run.
        cache: folder for decoded images.

    Raises:
        InputError: the images cannot be read, or do not fit the network.
    """
    path = Path(what)
    folder = path if path.is_dir() else path.parent
    if path.exists() and (_is_of_trial(folder) or (folder / SETTINGS).exists()):
        return _images_in(folder, candidate, data, cache)
    spec = shipped_network(what).images if is_shipped(what) else None
    return _images(candidate, what, data, cache, spec)


def _in_folder(folder: Path, weights: Path, data: str | Path | None) -> tuple[nn.Module, ImageData]:
    if not _is_of_trial(folder):
        if (folder / STUDY_FILE).exists():
            raise InputError(f"{folder}: is a run; give a trial's folder, {folder / TRIALS}/NUMBER")
        if not (folder / SETTINGS).exists():
            raise InputError(f"{folder}: is neither a trial's folder nor that of a training")
    candidate = read_candidate(folder / CANDIDATE_FILE)
    images = _images_in(folder, candidate, data, folder.parent / CACHE)
    return load_weights(candidate, weights), images


def _is_of_trial(folder: Path) -> bool:
    above = folder.absolute().parent
    return above.name == TRIALS and (above.parent / STUDY_FILE).exists()


def _images_in(
    folder: Path, candidate: Candidate, data: str | Path | None, cache: Path
) -> ImageData:
    """The images of a trial's folder or of a training's, split as in the training."""
    if _is_of_trial(folder):
        return Run.open(folder.absolute().parent.parent).data(data)
    settings = checked(read_json(folder / SETTINGS), _Settings, folder / SETTINGS)
    if settings.run is not None:
        return Run.open(settings.run).data(data)
    return _images(candidate, str(folder), data, cache, seed=settings.seed)


@dataclass(frozen=True)
class _Settings:
    """Settings of a training; ``run`` is the folder of the run whose trial it continues."""

    data: str
    seed: int
    run: str | None = None


def _images(
    candidate: Candidate,
    what: str,
    data: str | Path | None,
    cache: Path,
    spec: ImageSpec | None = None,
    seed: int = 0,
) -> ImageData:
    if data is None and spec is not None and spec.data != INCLUDED:
        raise InputError(
            f"{what}: was trained on {spec.data}; give the folder of its images: --data"
        )
    streamed = None if spec is None else spec.crop == "centre"
    images = images_for(candidate, data, cache, seed, streamed=streamed)
    images.check_fit(candidate, what, included=data is None)
    if spec is None:
        return images
    return replace(images.with_classes(spec.class_names), mean=spec.mean, std=spec.std)


class OnArrays(nn.Module):
    """A network that takes arrays, as a module on the CPU."""

    def __init__(self, run: Forward) -> None:
        super().__init__()
        self._run = run

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        parts = [self._run(part.cpu().numpy()) for part in images.split(BATCH)]
        return torch.from_numpy(np.concatenate(parts)).to(images.device)
