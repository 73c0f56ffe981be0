"""The trained networks that ship with the package are what their cards say."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor

import ir2search as ir
from ir2search.cli.app import app
from ir2search.data.digits import read_digits
from ir2search.errors import CandidateError
from ir2search.runtime import read_image_spec
from ir2search.zoo import named_candidate, shipped_networks
from ir2search.zoo.shipped import FOLDER, INCLUDED, ShippedNetwork

NETWORKS = {network.name: network for network in shipped_networks()}
LARGEST = 2_000_000  # bytes of all networks together
shipped = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))


def hundred(network: ShippedNetwork, request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """The first hundred test images of a network's data, as they are in their files."""
    if network.images.data == INCLUDED:
        found = read_digits(network.images.image[1])
        return found.test_images[:100], found.test_labels[:100]
    folder: Path = request.getfixturevalue("cifar10_folder")
    rows = pq.read_table(folder / "test-00000-of-00001.parquet").slice(0, 100).to_pylist()
    pixels = [np.asarray(Image.open(io.BytesIO(row["img"]["bytes"]))) for row in rows]
    images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
    return images, torch.tensor([row["label"] for row in rows])


@shipped
def test_the_first_hundred_test_images_are_as_right_as_the_card_says(
    network: ShippedNetwork, request: pytest.FixtureRequest
) -> None:
    images, labels = hundred(network, request)
    trained = ir.load_trained(network.name)
    mean, std = (
        torch.tensor(values).view(-1, 1, 1) for values in (trained.images.mean, trained.images.std)
    )
    with torch.no_grad():
        logits = trained.network((images / 255 - mean) / std)
    said = re.search(r"- the first 100 test images: (\d+) are right", network.card.read_text())
    assert said is not None
    assert int(said[1]) == network.training.first_hundred
    packed = ir.load_packed(network.packed).logits(trained.normalise(images).numpy())
    # rounding differs between CPUs, and may turn a sign of one image
    for classes in (logits.argmax(dim=1), torch.from_numpy(packed).argmax(dim=1)):
        assert abs(int((classes == labels).sum()) - int(said[1])) <= 1
    close = np.isclose(packed, logits.numpy(), atol=1e-3).all(axis=1)
    assert close.sum() >= 99


@shipped
def test_the_card_and_the_files_agree(network: ShippedNetwork) -> None:
    trained, training = ir.load_trained(network.name), network.training
    assert trained.candidate == network.candidate == named_candidate(network.name)
    assert trained.images == network.images == read_image_spec(network.packed)
    assert training.ops == ir.cost(network.candidate).ops
    card = network.card.read_text()
    low, high = training.interval
    for said in (
        f"# {network.name}\n\nLicense: Apache-2.0",
        f"{100 * training.test_accuracy:.1f}% (one seed), of {training.test_images:,} images",
        f"{100 * low:.1f} to {100 * high:.1f}%",
        f"```console\n{training.command}\n```",
        f"{network.packed.stat().st_size:,} bytes",
        f"{training.ops:,.0f} OPs",
    ):
        assert said in card, said
    assert "None" not in card
    assert "['" not in card, "no list as Python writes it"


@shipped
def test_the_training_commands_can_be_given(network: ShippedNetwork) -> None:
    import typer.main

    for command in network.training.command.split(" && "):
        _, name, *arguments = command.split()
        typer.main.get_command(app).commands[name].make_context(name, arguments.copy())  # type: ignore[attr-defined]
        if name == "train":
            assert named_candidate(arguments[0]) == network.candidate


def test_the_table_has_every_network_with_its_interval_and_files() -> None:
    table = ir.zoo()
    assert (
        sorted(table["name"]) == sorted(NETWORKS) == sorted(f.stem for f in FOLDER.glob("*.json"))
    )
    assert len(table) >= 3
    assert table["low"].lt(table["test_accuracy"]).all()
    assert table["high"].gt(table["test_accuracy"]).all()
    for row in table.to_dict("records"):
        assert Path(row["packed"]).stat().st_size == row["packed_bytes"]
        assert Path(row["weights"]).stat().st_size == row["weights_bytes"]
    for _, front in table.groupby("data"):
        assert front["ops"].is_monotonic_increasing
    json.dumps([network.as_dict() for network in NETWORKS.values()])


def test_all_networks_together_are_small() -> None:
    files = [file for file in FOLDER.iterdir() if file.is_file()]
    assert len(files) == 4 * len(NETWORKS)
    assert sum(file.stat().st_size for file in files) < LARGEST


def test_an_unknown_name_gets_the_closest_one() -> None:
    name = next(iter(NETWORKS))
    for load in (ir.load_trained, named_candidate):
        with pytest.raises(CandidateError, match=f"no .*network '{name}x'; did you mean '{name}'"):
            load(f"{name}x")
