"""`analyze`: where a run's trained network loses information, as table and figures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from ir2search.data import ImageData, load_data
from ir2search.errors import RunError
from ir2search.files import write_text
from ir2search.information import cuts, measure, train_twin
from ir2search.interrupts import deferred_interrupts
from ir2search.models.network import TappedNetwork
from ir2search.nn import attention_map, restrict
from ir2search.report.figures import attention_figure, information_figure, save
from ir2search.search.folder import saved_study, trial_folder
from ir2search.search.results import pick_trial, trial_candidate
from ir2search.search.samplers import derive_seed
from ir2search.search.study import Study
from ir2search.search.warm_start import shared_backbone
from ir2search.space import Candidate
from ir2search.training import Interrupted, load_network, pick_device
from ir2search.training.checkpoint import BEST

PICTURES = 5  # images in the attention grid


@dataclass(frozen=True)
class Analysis:
    """What an analysis found and where it lies.

    Attributes:
        number: of the trial.
        folder: with ``information.csv``, ``information.png`` and ``attention.png`` (and .svg).
        table: one row a layer, with the columns of `ir2search.information.LayerInformation`.
    """

    number: int
    folder: Path
    table: pd.DataFrame


def analyze(
    folder: str | Path,
    trial: str = "best",
    *,
    data: str | Path | None = None,
    images: int = 128,
    device: str = "auto",
    on_step: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Analysis:
    """Measure by layer what a trained binary network keeps, beside its full-precision twin.

    The twin is the same candidate without binarisation, trained on the same data by the same
    recipe; it is trained once and kept in the trial's folder. Measures are taken on the first
    validation images, attributions by Captum.

    Args:
        folder: of a run.
        trial: ``"best"``, ``"knee"`` or a trial's number.
        data: the folder of images, where it is not where the run had it.
        images: how many validation images.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ...
        on_step: told what is being done, how much of it is, and of how much.

    Raises:
        RunError: there is no run, nothing trained, more images than there are, or other data.
        KeyboardInterrupt: asked to stop; the twin's training goes on in the next call.
    """
    folder, where = Path(folder), pick_device(device)
    study = saved_study(folder)
    number = pick_trial(folder, trial)
    path = Path(data) if data is not None else None
    source = load_data(study.data, path, folder.parent / ".cache", study.seed)
    if not 1 <= images <= len(source.validation):
        raise RunError(
            f"--images: must be from 1 to {len(source.validation)}, the validation images there "
            f"are, but got {images}"
        )
    candidate = trial_candidate(folder, number)
    if candidate.image != source.image or candidate.classes != source.classes:
        raise RunError(
            f"{folder}: was run on images {candidate.image} of {candidate.classes} classes, "
            f"but the data has {source.image} of {source.classes}; give --data that of the run"
        )
    own = trial_folder(folder, number)
    network = load_network(candidate, own / BEST).to(where)
    twin = _trained_twin(study, folder, own / "twin", candidate, source, where, on_step)
    count = min(images, len(source.validation))
    pixels, labels = source.validation.to(where).take(torch.arange(count))
    batch = source.normalise(pixels)
    counter, layers = itertools.count(1), 2 * (len(cuts(network)) + 1)
    measured = measure(
        network, twin, batch, labels, lambda name: on_step("attributions", next(counter), layers)
    )
    table = pd.DataFrame(map(asdict, measured))
    target = own / "information"
    target.mkdir(exist_ok=True)
    write_text(target / "information.csv", table.to_csv(index=False))
    title = f"{study.name}, trial {number}: information by layer ({images} images)"
    save(lambda: information_figure(table, title), target / "information")
    columns, rows, names = attention_pictures(network, twin, candidate, source)
    save(lambda: attention_figure(columns, rows, names), target / "attention")
    return Analysis(number, target, table)


@torch.no_grad()
def attention_pictures(
    network: TappedNetwork, twin: TappedNetwork, candidate: Candidate, data: ImageData
) -> tuple[list[str], list[list[np.ndarray]], list[str]]:
    """Pictures of an attention grid: column titles, rows of pictures, row titles.

    A row is one image of another class: the image, its restriction, the attention after each
    stage, and the twin's attention after the last. Images are (h, w, 3) in [0, 1], maps (h, w).
    """
    chosen = _one_of_each_class(data.validation.labels)[:PICTURES]
    device = next(network.parameters()).device
    images, _ = data.validation.to(device).take(torch.tensor(chosen))
    normalised = data.normalise(images)
    taps, last = network.feature_maps(normalised)
    restricted = restrict(normalised, last, candidate.threshold, candidate.normalization)
    blanked = (restricted == 0).all(dim=1, keepdim=True)
    final = network.layer_names[-1]
    maps = {**taps, final: last}
    columns = [
        "image",
        f"restricted\n(λ = {candidate.threshold:g})",
        *maps,
        f"{final}\nof the twin",
    ]
    rows = []
    for i in range(len(chosen)):
        pictures = [_colour(images[i]), _colour(images[i], blanked[i])]
        pictures += [_attention(features[i], images) for features in maps.values()]
        rows.append([*pictures, _attention(twin.feature_maps(normalised[i : i + 1])[1][0], images)])
    names = [data.class_names[int(data.validation.labels[i])] for i in chosen]
    return columns, rows, names


def _trained_twin(
    study: Study,
    folder: Path,
    place: Path,
    candidate: Candidate,
    data: ImageData,
    device: torch.device,
    on_step: Callable[[str, int, int], None],
) -> TappedNetwork:
    """The twin, trained as the candidate was: from a backbone of its own, where that was shared.

    Raises:
        KeyboardInterrupt: asked to stop.
    """
    backbone = shared_backbone(study, folder, candidate.twin())
    epochs, start = study.recipe.total_epochs, None
    with deferred_interrupts() as should_stop:
        try:
            if backbone is not None:
                total = backbone.recipe.epochs
                start = replace(backbone, folder=place / "backbone").weights(
                    data,
                    device=device,
                    on_epoch=lambda row: on_step("training the twin's backbone", row.epoch, total),
                    should_stop=should_stop,
                )
            return train_twin(
                candidate,
                study.recipe,
                data,
                place,
                seed=derive_seed(study.seed, "train", candidate.twin().id),
                device=device,
                start=start,
                on_epoch=lambda row: on_step("training the twin", row.epoch, epochs),
                should_stop=should_stop,
            )
        except Interrupted:
            raise KeyboardInterrupt from None


def _one_of_each_class(labels: Tensor) -> list[int]:
    return [int((labels == label).nonzero()[0]) for label in labels.unique(sorted=True)]


def _colour(image: Tensor, blanked: Tensor | None = None) -> np.ndarray:
    """(C, h, w) uint8 as (h, w, 3) in [0, 1]; blanked pixels in red."""
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
