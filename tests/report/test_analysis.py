from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import ir2search as ir
from ir2search.data import load_data
from ir2search.errors import RunError
from ir2search.report.analysis import attention_pictures
from ir2search.space import Candidate, build


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished_run, tmp_path / "quick")


def test_an_analysis_writes_a_table_by_layer_and_two_figures(run_copy: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = ir.analyze(run_copy, images=16, device="cpu", on_step=lambda *step: steps.append(step))
    best = ir.front(run_copy)["number"].iloc[0]
    assert found.folder == run_copy / "trials" / str(best) / "information"
    table = pd.read_csv(found.folder / "information.csv")
    pd.testing.assert_frame_equal(table, found.table.astype(table.dtypes))
    units = [f"stage{stage}.{unit}" for stage in (1, 2, 3) for unit in (0, 1)]
    assert list(table["layer"]) == ["input", "stem", *units, "recovery"]
    wanted = ["kept_share", "information_loss", "entropy_bits", "twin_similarity"]
    assert table.loc[1:, [*wanted, "completeness_gap"]].notna().all(axis=None)
    for name in ("information", "attention"):
        with Image.open(found.folder / f"{name}.png") as image:
            assert np.asarray(image.convert("L")).std() > 5
        assert (found.folder / f"{name}.svg").exists()
    assert steps[:2] == [("training the twin", 1, 2), ("training the twin", 2, 2)]
    assert steps[-1][1] == steps[-1][2] == 2 * len(table)
    assert "Information by layer" in ir.write_report(run_copy).read_text()


def test_the_twins_training_is_kept_over_an_interruption(run_copy: Path) -> None:
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
def test_more_images_than_there_are_is_an_error(run_copy: Path, images: int) -> None:
    with pytest.raises(RunError, match=r"--images: must be from 1 to 287, .* but got"):
        ir.analyze(run_copy, images=images, device="cpu")


def test_the_grid_shows_what_the_network_was_shown(tmp_path: Path, finished_run: Path) -> None:
    study = ir.load_study(finished_run / "study.toml")
    data = load_data(study.data, None, tmp_path, study.seed)
    candidate = Candidate(depth=8, width=0.25, image=data.image, threshold=1.0)
    torch.manual_seed(0)
    network, twin = build(candidate).eval(), build(candidate.twin()).eval()
    columns, rows, names = attention_pictures(network, twin, candidate, data)
    assert names == ["0", "1", "2", "3", "4"]
    assert columns[0] == "image"
    assert columns[2:] == ["stem", "stage1", "stage2", "stage3", "stage3\nof the twin"]
    first = data.validation.images[(data.validation.labels == 0).nonzero()[0, 0]]
    image, restricted, *maps = rows[0]
    np.testing.assert_allclose(image[:, :, 0], first[0].numpy() / 255, atol=1e-6)
    changed = (image != restricted).any(axis=2)
    with torch.no_grad():
        normalised = data.normalise(first[None])
        kept = ir.restrict(normalised, network.forward_features(normalised), 1.0)[0, 0] != 0
    assert 0 < changed.sum() < changed.size
    np.testing.assert_array_equal(changed, ~kept.numpy())
    assert all(picture.shape == (8, 8) for picture in maps)
