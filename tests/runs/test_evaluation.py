from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import ir2search as ir
from ir2search.data import DataConfig, StreamedSplit, load_data
from ir2search.errors import DataError, InputError, WeightsError
from ir2search.runs import Run, evaluate
from ir2search.runs.trained_networks import images_of, network_and_images
from ir2search.training.checkpoint import load_network

SMALL = ir.Candidate(depth=8, width=0.125, image=(1, 8, 8))


@pytest.fixture
def best(finished_run: Path) -> Path:
    """The folder of a trial on the front."""
    run = Run.open(finished_run)
    return run.folder_of(run.pick("best"))


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """The folder of a short training of one network on the digits."""
    (tmp_path / "small.json").write_text(json.dumps(SMALL.as_dict()))
    recipe = ir.Recipe(epochs=1, batch_size=256, optimizer="adamw", lr=0.01)
    ir.train_network(str(tmp_path / "small.json"), tmp_path / "own", recipe=recipe, seed=3)
    return tmp_path / "own"


def recorded(folder: Path) -> float:
    return json.loads((folder / "test.json").read_text())["test_accuracy"]


def test_a_trial_and_its_exported_files_have_the_trials_test_accuracy(
    best: Path, finished_run: Path, tmp_path: Path
) -> None:
    found = evaluate(best)
    assert (found.top1, found.images) == (recorded(best), 360)
    assert found.top5 > found.top1
    assert evaluate(best / "best.safetensors") == found
    for format in ("packed", "safetensors"):  # noqa: A001
        file = ir.export_trial(finished_run, "best", format, file=tmp_path / f"a.{format}").file
        assert evaluate(file, cache=tmp_path / "cache") == found


def test_a_training_has_the_test_accuracy_that_it_recorded(training: Path, tmp_path: Path) -> None:
    found = evaluate(training)
    assert found.top1 == recorded(training)
    shutil.copy(training / "best.safetensors", tmp_path / "weights.bin")
    given = {"weights": tmp_path / "weights.bin", "cache": tmp_path / "cache"}
    assert evaluate(training / "candidate.json", **given).images == 360


def test_weights_that_are_given_apart_get_the_images_of_their_training(
    training: Path, best: Path, finished_run: Path, tmp_path: Path
) -> None:
    """The seed of a training chooses its validation images, and so their mean and deviation."""
    settings = json.loads((training / "training.json").read_text())
    for what in (training, training / "candidate.json"):
        found = images_of(str(what), SMALL, None, tmp_path)
        assert found.fingerprint == settings["data"]
    candidate = ir.Run.open(finished_run).candidate(int(best.name))
    found = images_of(str(best), candidate, None, tmp_path)
    assert found.fingerprint == ir.run_data(finished_run).fingerprint
    shipped = ir.load_trained("digits-63k")
    assert images_of("digits-63k", shipped.candidate, None, tmp_path).mean == shipped.images.mean


@pytest.fixture
def shades(tmp_path: Path) -> dict[str, Path]:
    """Dark and light images: as parquet with the order of its classes, and as folders."""
    rows = []
    for number in range(40):
        name = ("light", "dark")[number % 2]
        picture = Image.new(
            "RGB", (20, 10), (10 + 2 * number,) * 3 if name == "dark" else (200,) * 3
        )
        file = tmp_path / "folders" / ("test" if number < 8 else "train") / name / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.save(file)
        rows.append({"image": {"bytes": file.read_bytes(), "path": None}, "label": number % 2})
    features = {"label": {"names": ["light", "dark"], "_type": "ClassLabel"}}
    hub = {"huggingface": json.dumps({"info": {"features": features}})}
    (tmp_path / "parquet").mkdir()
    for split, part in (("test", rows[:8]), ("train", rows[8:])):
        table = pa.Table.from_pylist(part).replace_schema_metadata(hub)
        pq.write_table(table, tmp_path / "parquet" / f"{split}.parquet")
    return {name: tmp_path / name for name in ("parquet", "folders")}


def test_an_exported_network_knows_the_order_of_its_classes_and_its_crop(
    shades: dict[str, Path], tmp_path: Path
) -> None:
    config = DataConfig(source="folder", size=8, stream=True, validation=0.2)
    data = load_data(config, shades["parquet"], tmp_path / "cache", 0)
    assert data.class_names == ("light", "dark")
    candidate = replace(SMALL, image=(3, 8, 8), classes=2)
    recipe = ir.Recipe(epochs=4, batch_size=8, optimizer="adamw", lr=0.02, crop_padding=0)
    ir.train(candidate, recipe, data, tmp_path / "own", seed=0)
    network = load_network(candidate, tmp_path / "own" / "best.safetensors")
    file = ir.export(network, candidate, data, tmp_path / "a.packed").file
    assert evaluate(file, shades["parquet"], cache=tmp_path / "cache").top1 == 1
    assert evaluate(file, shades["folders"], cache=tmp_path / "cache").top1 == 1
    _, images = network_and_images(str(file), shades["folders"], None, tmp_path / "cache")
    assert isinstance(images.validation, StreamedSplit), "central squares, as in training"


def test_classes_of_other_names_are_compared_by_their_order(
    shades: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = load_data(DataConfig(source="folder", size=8), shades["folders"], tmp_path / "cache", 0)
    assert data.with_classes(("noir", "clair")) is data
    assert "classes dark, light, and the network noir, clair" in caplog.text
    turned = data.with_classes(("light", "dark"))
    assert torch.equal(turned.train.labels, 1 - data.train.labels)
    assert torch.equal(turned.read_test().labels, 1 - data.read_test().labels)


def test_decoded_images_are_kept_in_the_folder_of_all_runs(
    training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR2SEARCH_RUNS", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    evaluate(training / "candidate.json", weights=training / "best.safetensors")
    assert list((tmp_path / "scratch" / ".cache").iterdir())
    assert not (tmp_path / "runs").exists()


def test_released_weights_are_distinguished_from_own_weights(tmp_path: Path) -> None:
    """The first class is always right for weights that give a logit to it alone."""
    for split, label in (("train", 0), ("train", 1), ("test", 0), ("test", 1)):
        folder = tmp_path / "images" / split / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(2 + label):
            pixels = np.full((32, 32, 3), 50 * number + label, np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    for label in range(2, 10):
        for split in ("train", "test"):
            shutil.copytree(
                tmp_path / "images/train/class0", tmp_path / f"images/{split}/class{label}"
            )
    names = json.loads(
        (Path(__file__).parents[1] / "zoo" / "released" / "cifar-resnet20.json").read_text()
    )
    released = {key: torch.ones(shape) for key, shape in names.items()}
    own = ir.build_preset("cifar-resnet20").state_dict()
    released["linear.bias"] = own["head.linear.bias"] = torch.tensor([1e6, *[0.0] * 9])
    save_file(released, tmp_path / "released.safetensors")
    torch.save({"state_dict": own}, tmp_path / "own.pth")
    for file in ("released.safetensors", "own.pth"):
        found = evaluate(
            "cifar-resnet20", tmp_path / "images", weights=tmp_path / file, cache=tmp_path
        )
        assert (found.images, found.top1) == (21, pytest.approx(2 / 21))
    with pytest.raises(WeightsError, match="the weights are not those of cifar-resnet18: missing"):
        evaluate("cifar-resnet18", tmp_path / "images", weights=tmp_path / "released.safetensors")


def test_a_network_without_weights_or_images_is_named(best: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "a.pth")
    for what, message in {
        "cifar-resnet20": "cifar-resnet20: has no trained weights; give the file of its weights",
        "cifar-resnet21": "no network 'cifar-resnet21'; did you mean 'cifar-resnet20'?",
        str(tmp_path / "empty"): "empty: is neither a trial's folder nor that of a training",
        str(tmp_path / "a.pth"): r"a\.pth: does not name its network; give the network, and this",
        str(tmp_path / "none.safetensors"): r"none\.safetensors: no such file",
    }.items():
        with pytest.raises(InputError, match=message):
            evaluate(what)
    weights = tmp_path / "own.pth"
    torch.save(ir.build_preset("cifar-resnet20").state_dict(), weights)
    with pytest.raises(DataError, match=r"3 x 32 x 32 in 10 .* digits are images of 1 .*: --data"):
        evaluate("cifar-resnet20", weights=weights, cache=tmp_path / "cache")


def test_the_interval_is_in_the_values_for_json(best: Path) -> None:
    found = evaluate(best).as_dict()
    assert 0 < found["low"] < found["top1"] < found["high"] < 1
