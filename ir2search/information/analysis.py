"""`analyze`: where a trained network loses information, as tables and figures."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from ir2search import text
from ir2search.data import DataConfig, ImageData, Split, StreamedSplit, load_data
from ir2search.errors import InputError, RunError
from ir2search.files import write_text
from ir2search.information import rows
from ir2search.information.attributions import MEMORY, METHODS, MethodName, check_applicable
from ir2search.information.chain import Chain
from ir2search.information.figures import write_figures
from ir2search.information.layers import layers_table
from ir2search.information.measure import (
    BINARY,
    PLAIN,
    TWIN,
    Images,
    Settings,
    measure,
    steps,
    trust,
)
from ir2search.information.registered import MEASURES
from ir2search.models.network import TappedNetwork
from ir2search.nn import attention_map, restrict
from ir2search.runs import Run, front, run_data
from ir2search.runs.layout import BEST, trial_folder
from ir2search.runs.saved import saved_study
from ir2search.runs.variants import train_variant
from ir2search.space import Candidate
from ir2search.training import load_network, pick_device
from ir2search.zoo import named_candidate

REVISION = 1  # raised where the same settings come to give other numbers: caches are then made anew
IMAGES = 256
FITTING = 2000  # training images that probes are fitted to, where there are so many
PICTURES = 5  # images in the attention grid
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Analysis:
    """What an analysis found and where it lies.

    Attributes:
        name: of the network: ``"trial 3"``, or as it was given.
        folder: with ``information.parquet``, ``layers.csv`` and the figures.
        table: every number, see `ir2search.information.measure`.
        layers: a row for each layer, see `ir2search.information.layers.layers_table`.
        trust: which attribution methods are to be trusted, see `ir2search.information.trust`.
    """

    name: str
    folder: Path
    table: pd.DataFrame
    layers: pd.DataFrame
    trust: pd.DataFrame


def analyze(
    folder: str | Path,
    trial: str = "best",
    *,
    data: str | Path | None = None,
    images: int = IMAGES,
    layers: Sequence[str] | None = None,
    methods: Sequence[MethodName] | None = None,
    memory: int = MEMORY,
    device: str = "auto",
    on_step: OnStep = lambda what, done, total: None,
) -> Analysis:
    """Measure by layer what a trial's network keeps, beside its twin and itself without recovery.

    The twin is the same candidate without binarisation; both others are trained on the same data
    by the same recipe, once, and kept among the run's variants. Measures are taken on the first
    validation images; probes are fitted to training images. What was measured before, of the same
    weights with the same settings, is read from the cache beside the runs.

    Args:
        folder: of a run.
        trial: ``"best"``, ``"knee"`` or a trial's number.
        data: the folder of images, where it is not where the run had it.
        images: how many validation images.
        layers: names of layers, or of stages for all of their units; all where left out.
        methods: of attribution; the default ones where left out.
        memory: MiB that activations and gradients may take at once.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        on_step: told what is being done, how much of it is, and of how much.

    Raises:
        InputError: no such layer or method, or one that does not apply.
        RunError: there is no run, nothing trained, more images than there are, or other data.
        KeyboardInterrupt: asked to stop; trainings go on in the next call.
    """
    folder, where = Path(folder), pick_device(device)
    study, number = saved_study(folder), Run.open(folder).pick(trial)
    source = run_data(folder, data)
    candidate = Run.open(folder).candidate(number)
    own = trial_folder(folder, number)
    network = load_network(candidate, own / BEST)
    settings = _settings(network, layers, methods, memory)
    _check_images(images, source)
    networks = {BINARY: network}
    for name, other in _others(candidate).items():
        networks[name] = train_variant(
            folder, other, source, device=where, on_epoch=partial(_told, on_step, name)
        )
    return _analysed(
        f"trial {number}",
        f"{study.name}, trial {number}",
        own / "information",
        folder.parent / ".cache",
        candidate,
        _placed(networks, where),
        source,
        images,
        settings,
        on_step,
    )


def analyze_trials(folder: str | Path, which: str = "best", **asked: Any) -> list[Analysis]:
    """`analyze` of one trial, or with ``"front"`` of each member of the front."""
    if which != "front":
        return [analyze(folder, which, **asked)]
    Run.open(folder).pick("best")  # says so, where there is none
    numbers = front(folder)["number"]
    return [analyze(folder, str(number), **asked) for number in numbers]


def analyze_weights(
    what: str,
    weights: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    twin_weights: str | Path | None = None,
    images: int = IMAGES,
    layers: Sequence[str] | None = None,
    methods: Sequence[MethodName] | None = None,
    memory: int = MEMORY,
    device: str = "auto",
    on_step: OnStep = lambda what, done, total: None,
) -> Analysis:
    """As `analyze`, of a network that no run of ours has trained.

    Args:
        what: a preset, a ``candidate.json``, or a trial's folder.
        weights: its weights, as `ir2search train` writes them.
        out: the folder for what is found; made where needed.
        data: the folder of images; the digits that come along where left out.
        twin_weights: of the same network without binarisation, to compare with; measures that
            need it are left out without.
        images: see `analyze`, like all that follow.
        layers: likewise.
        methods: likewise.
        memory: likewise.
        device: likewise.
        on_step: likewise.

    Raises:
        InputError: something that was given is wrong.
    """
    out, where = Path(out), pick_device(device)
    candidate = named_candidate(what)
    config = DataConfig(source="folder" if data is not None else "digits", size=candidate.image[1])
    source = load_data(config, None if data is None else Path(data), out / ".cache", 0)
    source.check_fit(candidate, what)
    networks = {BINARY: load_network(candidate, Path(weights))}
    if twin_weights is not None:
        networks[TWIN] = load_network(candidate.twin(), Path(twin_weights))
    settings = _settings(networks[BINARY], layers, methods, memory)
    _check_images(images, source)
    networks = _placed(networks, where)
    name, cache = Path(what).name, out / ".cache"
    return _analysed(name, name, out, cache, candidate, networks, source, images, settings, on_step)


def _analysed(
    name: str,
    title: str,
    target: Path,
    cache: Path,
    candidate: Candidate,
    networks: Mapping[str, TappedNetwork],
    data: ImageData,
    images: int,
    settings: Settings,
    on_step: OnStep,
) -> Analysis:
    """Measure, or read what was measured, and write tables and figures."""
    key = _key(candidate, networks, data, images, settings)
    file = cache / f"information-{key}.parquet"
    if file.exists():
        table = pd.read_parquet(file)
    else:
        table = _measured(candidate, networks, data, images, settings, on_step)
        cache.mkdir(parents=True, exist_ok=True)
        beside = file.with_suffix(".partial")
        table.to_parquet(beside)
        beside.replace(file)
    target.mkdir(parents=True, exist_ok=True)
    table.to_parquet(target / "information.parquet")
    write_figures(table, f"{title} ({images} images)", target)
    layers = layers_table(table)
    write_text(target / "layers.csv", layers.to_csv(index=False))  # last: the page looks for it
    return Analysis(name, target, table, layers, trust(table))


def _measured(
    candidate: Candidate,
    networks: Mapping[str, TappedNetwork],
    data: ImageData,
    images: int,
    settings: Settings,
    on_step: OnStep,
) -> pd.DataFrame:
    device = next(networks[BINARY].parameters()).device
    measured = _first(data, data.validation, images, device)
    total, counter = steps(networks, measured, settings), itertools.count(1)
    on_step("measuring", 0, total)
    table = measure(
        networks,
        measured,
        _first(data, data.train, FITTING, device),
        settings,
        lambda what: on_step(what, next(counter), total),
    )
    pictures = pd.DataFrame(attention_pictures(networks, candidate, data))
    return pd.concat([table, pictures.reindex(columns=table.columns)], ignore_index=True)


@torch.no_grad()
def attention_pictures(
    networks: Mapping[str, TappedNetwork], candidate: Candidate, data: ImageData
) -> list[rows.Row]:
    """Pictures of an attention grid, as rows of the table of measures.

    For one image of each of some classes: the image, its restriction, the attention of each layer
    that can be tapped, and that of the twin's last one. Images are (h, w, 3) from 0 to 1, blanked
    pixels in orange; attention (h, w).
    """
    network = networks[BINARY]
    chosen = _one_of_each_class(data.validation.labels)[:PICTURES]
    device = next(network.parameters()).device
    images, labels = data.validation.to(device).take(torch.tensor(chosen))
    normalised = data.normalise(images)
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


def _settings(
    network: TappedNetwork,
    layers: Sequence[str] | None,
    methods: Sequence[MethodName] | None,
    memory: int,
) -> Settings:
    """What was asked for, checked against the network.

    Raises:
        InputError: no such layer or method, or one that does not apply.
    """
    settings = Settings(memory=memory)
    if memory < 1:
        raise InputError(f"--memory: must be at least 1 MiB, but got {memory}")
    if methods is not None:
        for method in methods:
            if method not in METHODS:
                hint = text.near(method, METHODS)
                raise InputError(f"--methods {method}: there is none of that name; {hint}")
        check_applicable(methods, network)
        settings = replace(settings, methods=tuple(methods))
    if layers is not None:
        known = list(Chain(network).cuts)
        chosen = set()
        for name in layers:
            meant = [each for each in known if each == name or each.startswith(f"{name}.")]
            if not meant:
                hint = text.near(name, known)
                raise InputError(f"--layers {name}: there is none of that name; {hint}")
            chosen.update(meant)
        settings = replace(settings, layers=tuple(each for each in known if each in chosen))
    return settings


def _check_images(images: int, data: ImageData) -> None:
    if not 1 <= images <= len(data.validation):
        raise RunError(
            f"--images: must be from 1 to {len(data.validation)}, the validation images there "
            f"are, but got {images}"
        )


def _others(candidate: Candidate) -> dict[str, Candidate]:
    """What a candidate is compared with, by name."""
    others = {TWIN: candidate.twin()}
    if candidate.fusion != "none":
        others[PLAIN] = candidate.without_recovery()
    return others


def _placed(
    networks: Mapping[str, TappedNetwork], device: torch.device
) -> dict[str, TappedNetwork]:
    """Networks on a device, the twin with channels last, as float convolutions are fastest."""
    placed = {name: network.to(device) for name, network in networks.items()}
    if TWIN in placed:
        placed[TWIN].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _first(
    data: ImageData, split: Split | StreamedSplit, count: int, device: torch.device
) -> Images:
    """The first images of a split, normalised."""
    indices = torch.arange(min(count, len(split)))
    images, labels = split.take(indices)
    return Images(data.normalise(images.to(device)), labels.to(device))


def _key(
    candidate: Candidate,
    networks: Mapping[str, TappedNetwork],
    data: ImageData,
    images: int,
    settings: Settings,
) -> str:
    """A digest of all that a table of measures depends on."""
    digest = hashlib.sha256()
    asked = [REVISION, candidate.id, data.fingerprint, images, FITTING, asdict(settings)]
    asked += sorted(MEASURES.origins().items())
    digest.update(json.dumps(asked, sort_keys=True).encode())
    for name, network in networks.items():
        digest.update(name.encode())
        for tensor in network.state_dict().values():
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _told(on_step: OnStep, name: str, what: str, done: int, total: int) -> None:
    """Pass on how far the training of a network to compare with is."""
    called = {TWIN: "the twin", PLAIN: "the network without recovery"}[name]
    on_step(f"training {called}" + ("'s backbone" if what == "backbone" else ""), done, total)


def _one_of_each_class(labels: Tensor) -> list[int]:
    return [int((labels == label).nonzero()[0]) for label in labels.unique(sorted=True)]


def _colour(image: Tensor, blanked: Tensor | None = None) -> np.ndarray:
    """(C, h, w) uint8 as (h, w, 3) in [0, 1]; blanked pixels in orange."""
    picture = image.float().cpu() / 255
    if picture.shape[0] != 3:
        picture = picture.mean(dim=0, keepdim=True).expand(3, -1, -1)
    if blanked is not None:
        picture = torch.where(
            blanked.cpu(), torch.tensor([0.84, 0.37, 0.0])[:, None, None], picture
        )
    return picture.permute(1, 2, 0).numpy()


def _attention(features: Tensor, images: Tensor) -> np.ndarray:
    """The attention map of (c, h, w) features, upsampled to the images' size."""
    attention = attention_map(features[None])[None]
    size = (images.shape[-2], images.shape[-1])
    upsampled = functional.interpolate(attention, size, mode="bilinear", align_corners=True)
    return upsampled[0, 0].cpu().numpy()
