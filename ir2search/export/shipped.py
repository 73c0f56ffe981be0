"""Export of a trained network that ships with the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ir2search import text
from ir2search.export.card import Origin
from ir2search.export.network import Exported, Format, Timer, export
from ir2search.runs.layout import CACHE
from ir2search.runs.trained_networks import images_of
from ir2search.zoo.pretrained import load_trained
from ir2search.zoo.shipped import TrainingRecord, shipped_network

LICENSE = "Apache-2.0"  # of all networks of the zoo


def export_shipped(
    name: str,
    file: str | Path,
    format: Format = "packed",  # noqa: A002 - the usual word
    *,
    data: str | Path | None = None,
    license: str | None = None,  # noqa: A002
    timer: Timer | None = None,
) -> Exported:
    """Export a trained network that ships with the package.

    The file has the mean and the standard deviation that the network was trained with.

    Args:
        name: a name of `ir2search.zoo`.
        file: path to write; the card has the same name with ``.md`` added.
        format: ``"packed"``, ``"onnx"``, ``"safetensors"``, ``"c"`` or ``"web"``, see
            `ir2search.export`.
        data: a folder of images that the file is checked on; None for the included digits.
        license: license of the weights, for the model card; None for that of the package.
        timer: times a packed file for the model card, see `ir2search.export`.

    Raises:
        CandidateError: the name is unknown; the message has a suggestion.
        InputError: an argument is wrong.
        MissingExtraError: a package that the format needs is not installed.
        MissingCompilerError: the C runtime must be compiled to check the file, and cannot be.
        IR2SearchError: the file predicts differently from the network; it was removed.
    """
    shipped, trained, file = shipped_network(name), load_trained(name), Path(file)
    images = images_of(name, shipped.candidate, data, file.parent / CACHE)
    origin = shipped_origin(name, shipped.images.data, shipped.training)
    origin = replace(origin, license=license or origin.license)
    return export(
        trained.network, shipped.candidate, images, file, format, origin=origin, timer=timer
    )


def shipped_origin(name: str, data: str, record: TrainingRecord) -> Origin:
    """What the model card says of a shipped network.

    Args:
        name: of the network.
        data: name of the training data.
        record: how it was trained.
    """
    return Origin(
        title=name,
        data=data,
        made=f"{text.counted(record.epochs, 'epoch')}, seed {record.seed}",
        validation=[record.validation_accuracy],
        test=[record.test_accuracy],
        test_images=record.test_images,
        first_hundred=record.first_hundred,
        command=record.command,
        license=LICENSE,
    )
