from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_figures_once
from PIL import Image
from safetensors.torch import load_file, save_file

import ir2search as ir
from ir2search.errors import InputError, WeightsError
from ir2search.information.analysis import analyze_trials


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "quick")


def test_an_analysis_writes_its_tables_and_figures(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_figures_once(monkeypatch, ".png")
    steps: list[tuple[str, int, int]] = []
    found = ir.analyze(
        run_copy, images=16, suggest=True, device="cpu", on_step=lambda *step: steps.append(step)
    )
    best = ir.front(run_copy)["number"].iloc[0]
    assert found.name == f"trial {best}"
    assert found.folder == run_copy / "trials" / str(best) / "information"
    pd.testing.assert_frame_equal(
        pd.read_parquet(found.folder / "information.parquet")["value"].to_frame(),
        found.table["value"].to_frame(),
    )
    layers = pd.read_csv(found.folder / "layers.csv")
    units = [f"stage{stage}.{unit}" for stage in (1, 2, 3) for unit in (0, 1)]
    assert list(layers["layer"]) == ["input", "stem", *units, "recovery"]
    wanted = ["information", "twin_information", "loss", "attention_similarity", "cka"]
    assert layers.loc[1:, wanted].notna().all(axis=None)
    assert layers.loc[layers["layer"].isin(units), "sign_entropy"].notna().all()
    swept = pd.read_csv(found.folder / "sensitivity.csv")
    assert list(swept["layer"].drop_duplicates()) == [
        *units, "stage1", "stage2", "stage3", "network",
    ]  # fmt: skip
    assert swept.drop(columns=["layer", "kind", "part"]).notna().all(axis=None)
    said = [each.sentence for each in found.findings]
    assert json.loads((found.folder / "findings.json").read_text())[0]["sentence"] == said[0]
    assert len(said) == 6
    suggested = next(each for each in found.findings if each.topic == "suggested")
    if found.study is None:
        assert not suggested.values
    else:
        searched = ir.load_study(found.study).space.searched
        assert list(searched) == [f"binary_{each.layer}" for each in suggested.values]
    for name in ("information", "channels", "flow", "faithfulness", "attention", "sensitivity"):
        with Image.open(found.folder / f"{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 5
        assert (found.folder / f"{name}.svg").exists()
    assert steps[:2] == [("training the twin", 1, 2), ("training the twin", 2, 2)]
    assert steps[2][0] == "training the network without recovery"
    assert steps[-1][1] == steps[-1][2]
    page = ir.write_report(run_copy).read_text()
    assert "Information by layer" in page
    assert "Sensitivity by layer" in page
    assert said[0] in page
    assert found.trust["method"].iloc[0].replace("_", " ") in page


@pytest.mark.usefixtures("no_figures")
def test_the_same_analysis_is_read_from_the_cache(run_copy: Path) -> None:
    asked = {"images": 8, "layers": ["stem", "stage3"], "methods": ["deeplift"], "device": "cpu"}
    asked |= {"sweep": False}
    first = ir.analyze(run_copy, **asked)
    told: list[str] = []
    again = ir.analyze(run_copy, **asked, on_step=lambda *step: told.append(step[0]))
    assert not any("binary" in what for what in told)
    pd.testing.assert_frame_equal(first.layers, again.layers)
    assert set(first.layers["layer"]) == {"stem", "stage3.0", "stage3.1"}
    ir.analyze(run_copy, **asked | {"images": 9}, on_step=lambda *step: told.append(step[0]))
    assert any("binary" in what for what in told), "another number of images is measured"
    told.clear()
    for file in (run_copy.parent / ".cache").glob("information-*.parquet"):
        file.write_bytes(b"PAR1 damaged")
    again = ir.analyze(run_copy, **asked, on_step=lambda *step: told.append(step[0]))
    assert any("binary" in what for what in told), "a damaged file is measured again"
    pd.testing.assert_frame_equal(first.layers, again.layers)


@pytest.mark.usefixtures("no_figures")
def test_every_member_of_the_front_is_analysed(run_copy: Path) -> None:
    asked = {"images": 4, "layers": ["stem"], "methods": ["grad_cam"], "device": "cpu"}
    found = analyze_trials(run_copy, "front", **asked)
    assert [one.name for one in found] == [f"trial {n}" for n in ir.front(run_copy)["number"]]


@pytest.mark.usefixtures("figures_once")
def test_a_file_of_weights_is_analysed_without_a_run(run_copy: Path, tmp_path: Path) -> None:
    trial = run_copy / "trials" / "0"
    asked = {"weights": trial / "best.safetensors", "out": tmp_path / "out", "device": "cpu"}
    found = ir.analyze(trial, **asked, images=8, methods=["deeplift"])
    assert (tmp_path / "out" / "information.svg").exists()
    assert found.layers["twin_information"].isna().all()
    assert found.layers["information"].notna().all()
    assert repr(found) == f"Analysis('0', 9 layers, {str(tmp_path / 'out')!r})"
    assert found.findings[0].sentence in found._repr_html_()
    with pytest.raises(WeightsError, match="not the weights of the candidate"):
        ir.analyze("cifar-resnet20", **asked, data=cifar_like(tmp_path))
    with pytest.raises(InputError, match="suggest: a study needs the recipe of a run"):
        ir.analyze("digits-27k", suggest=True)


@pytest.mark.usefixtures("no_figures")
def test_a_network_of_the_zoo_is_analysed_by_its_name(tmp_path: Path) -> None:
    asked = {"images": 4, "layers": ["stem"], "methods": ["grad_cam"], "sweep": False}
    found = ir.analyze("digits-27k", out=tmp_path / "out", device="cpu", **asked)
    assert found.layers["information"].notna().all()


def cifar_like(folder: Path) -> Path:
    for split in ("train", "test"):
        for label in range(10):
            place = folder / "images" / split / f"class{label}"
            place.mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (32, 32), (25 * label, 100, 80 * number)).save(
                    place / f"{number}.png"
                )
    return folder / "images"


def test_a_wrong_argument_is_named(run_copy: Path) -> None:
    for name in ("twin_weights", "out"):
        with pytest.raises(InputError, match="twin_weights and out: are for a network that is not"):
            ir.analyze(run_copy, **{name: run_copy / "a"}, device="cpu")
    with pytest.raises(InputError, match="layers: no layer 'stage9'; did you mean"):
        ir.analyze(run_copy, layers=["stage9"], device="cpu")


@pytest.mark.usefixtures("no_figures")
def test_an_interrupted_training_of_the_twin_continues(run_copy: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ir.analyze(run_copy, "knee", images=4, device="cpu", on_step=interrupt)
    twins: list[int] = []

    def count(what: str, done: int, total: int) -> None:
        twins.extend([done] * (what == "training the twin"))

    ir.analyze(run_copy, "knee", images=4, device="cpu", on_step=count)
    assert twins == [2], "the first epoch was kept"


@pytest.mark.parametrize("images", [0, -1, 100_000])
def test_a_number_of_images_out_of_range_is_an_error(run_copy: Path, images: int) -> None:
    with pytest.raises(InputError, match=r"images: must be from 1 to 287, .* but got"):
        ir.analyze(run_copy, images=images, device="cpu")


def test_a_network_whose_logits_are_not_finite_is_refused(run_copy: Path) -> None:
    number = ir.front(run_copy)["number"].iloc[0]
    file = run_copy / "trials" / str(number) / "best.safetensors"
    weights = load_file(file)
    weights["head.linear.weight"].fill_(3e38)
    save_file(weights, file)
    with pytest.raises(WeightsError, match=rf"trial {number}: .* NaN or infinite"):
        ir.analyze(run_copy, images=8, device="cpu")
    assert not (file.parent / "information").exists()
