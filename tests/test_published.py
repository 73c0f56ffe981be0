"""Recipes of analysis/ run on a real run; costs in reports/ are those that this code counts."""

from __future__ import annotations

import functools
import importlib
import runpy
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import write_figures_once
from PIL import Image

import ir2search as ir
from ir2search.space import Candidate, candidate_from_dict

REPOSITORY = Path(__file__).parents[1]
RECIPES = sorted(REPOSITORY.glob("analysis/*.py"))
REPORTS = sorted(path.parent for path in REPOSITORY.glob("reports/*/front.csv"))

# options of recipes as their usage shows them, and values that take less time
FEWER = {
    "--seeds 3": "--seeds 2",
    "--epochs 1,3": "--epochs 1",
    "--thresholds 0.5,0.9,1": "--thresholds 0.9",
    "--images 256": "--images 64",
    "--random 3": "--random 1",
}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_on_a_real_run(
    recipe: Path,
    finished_run: Path,
    tmp_path: Path,
    forked: Callable[..., subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.import_module("ir2search.latency.timing"), "SECONDS", 0.05)
    write_figures_once(monkeypatch, ".png")
    run, out = shutil.copytree(finished_run, tmp_path / "quick"), tmp_path / "out"
    usage = " ".join(recipe.read_text().split())
    writes = "[--out FOLDER]" in usage
    given = [str(run), *(["--out", str(out)] if writes else [])]
    for shown, fewer in FEWER.items():
        given += fewer.split() if f"[{shown}]" in usage else []
    work = functools.partial(runpy.run_path, str(recipe), run_name="__main__")
    done = forked(work, [str(recipe), *given])
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > len(ir.front(run)), "at least one row for each network"
    if writes:
        (table,) = [file for file in out.glob("*.csv") if file.stem != "curves"]
        assert pd.read_csv(table).select_dtypes("number").notna().any().all()
        (picture,) = out.glob("*.png")
        with Image.open(picture) as image:
            assert np.asarray(image.convert("L")).std() > 5
        assert picture.with_suffix(".svg").exists()


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_a_published_report_has_the_costs_that_this_code_counts(report: Path) -> None:
    study = ir.load_study(report / "study.toml")
    front = pd.read_csv(report / "front.csv")
    costs = pd.read_csv(report / "trials.csv")["ops"].nunique()
    assert len(front) >= min(3, costs), "a study of recipes has networks of one cost"
    for row in front.itertuples():
        candidate = published(row._asdict())
        assert candidate.id == row.candidate_id
        price = ir.cost(candidate)
        for name in ("ops", "flops", "bops", "memory_bytes", "parameters"):
            assert getattr(price, name) == getattr(row, name)
    for name in ("index.html", "trials.parquet", "environment.json", "figures/front.png"):
        assert (report / name).exists()
    assert study.name == report.name


def published(row: dict[str, object]) -> Candidate:
    """The candidate of a row of front.csv; fields newer than the report have their defaults."""
    values = {each.name: row[each.name] for each in fields(Candidate) if each.name in row}
    lists = {name: tuple(literal(str(values[name]))) for name in ("taps", "image")}
    channels = values["fusion_channels"]
    width = None if channels != channels else int(float(str(channels)))
    searched = {name: value for name, value in row.items() if name.startswith("recipe_")}
    recipe = {name.removeprefix("recipe_"): value for name, value in searched.items()}
    return candidate_from_dict({**values, **lists, "fusion_channels": width, "recipe": recipe})


def literal(text: str) -> list[object]:
    import ast

    return list(ast.literal_eval(text))
