from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import ir2search as ir
from ir2search.report.about import about, commands
from ir2search.report.data import ReportData, report_data
from ir2search.runs import Run
from ir2search.study.sections import SupernetSection


@pytest.fixture(scope="module")
def data(finished_run: Path) -> ReportData:
    return report_data(Run.open(finished_run))


def test_a_report_says_what_was_measured_on_what(data: ReportData, finished_run: Path) -> None:
    images = ir.run_data(finished_run)
    text = " · ".join(about(data))
    assert data.best is not None
    _, height, width = data.best.image
    assert text.startswith(
        f"scikit-learn's handwritten digits · {height} x {width} pixels, 10 classes · "
    )
    counts = len(images.train), len(images.validation), len(images.read_test())
    assert "{:,} training, {:,} validation, {:,} test images".format(*counts) in text
    assert f"{data.study.recipe.epochs} epochs a trial" in text
    assert text.endswith(f"ir2search {ir.__version__}")


def test_a_report_says_how_long_shared_weights_were_trained(data: ReportData) -> None:
    for members, said in (("inherited", ""), ("fine-tuned", ", 3 more for the front")):
        section = SupernetSection(epochs=40, members=members, finetune=3)  # type: ignore[arg-type]
        study = data.study.model_copy(update={"supernet": section})
        assert f"shared weights of 40 epochs{said}" in about(replace(data, study=study))


def test_what_an_older_run_did_not_record_is_left_out(data: ReportData) -> None:
    trials = data.trials.assign(test_images=pd.NA)
    older = replace(data, train_images=None, validation_images=None, trials=trials, sessions=[])
    assert not [part for part in about(older) if "images" in part or "ir2search" in part]


def test_commands_name_the_run_and_the_trial() -> None:
    assert commands(Path("anywhere/digits"), 4) == [
        "ir2search export digits --trial 4",
        "ir2search analyze digits --trial 4",
        "ir2search predict runs/digits/trials/4 IMAGE",
    ]
