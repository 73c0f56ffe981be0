"""Tables and equations of the pages agree with the package."""

from __future__ import annotations

import importlib
import re
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

import ir2search as ir
from ir2search.choices import StemKind
from ir2search.cli.app import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(table: str) -> list[list[str]]:
    """The cells of a table's rows, without the header."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_the_papers_networks_is_right() -> None:
    section = page("explanation/counting.md").partition("## The paper's networks")[2]
    shown = rows(section.partition("\n## ")[0])
    assert len(shown) == 7
    for name, *millions in shown:
        candidate = ir.preset(name)
        price = ir.cost(candidate)
        without = ir.cost(replace(candidate, fusion="none"))
        counted = (price.flops, price.bops, price.ops, without.ops)
        for text, count in zip(millions, counted, strict=True):
            places = len(text.partition(".")[2])
            assert text == f"{count / 1e6:.{places}f}", name


def test_the_table_of_other_ways_to_count_is_right() -> None:
    section = page("explanation/counting.md").partition("## Why papers' numbers differ")[2]
    price = ir.cost(ir.preset("imagenet-resnet18-A"))
    layers = price.layers
    ops = layers["flops"] + layers["bops"] / 64
    shortcuts = layers.loc[layers["name"].str.contains("shortcut"), "flops"].sum()
    counted = [
        price.ops,
        price.ops - shortcuts * 63 / 64,
        ops[~layers["name"].str.startswith("stem")].sum(),
        2 * price.ops,
        price.ops + sum(price.others.values()),
    ]
    assert [cells[1] for cells in rows(section)] == [f"{count / 1e6:.1f}" for count in counted]


def test_the_table_of_stems_is_right() -> None:
    section = page("explanation/space.md").partition("## The stem")[2].partition("\n## ")[0]
    shown = rows(section)
    assert [cells[0].strip("`") for cells in shown] == list(get_args(StemKind))
    for cells in shown:
        layers = ir.cost(ir.Candidate(stem=cells[0].strip("`"))).layers
        stem = layers[layers["name"].str.startswith("stem")]
        ops = (stem["flops"] + stem["bops"] / 64).sum()
        assert cells[-1] == f"{ops:,.0f}"


def test_fusion_costs_the_flops_of_the_equations() -> None:
    base = ir.preset("cifar-resnet20")
    k, n, h, w, s = 16 + 16 + 32 + 64, 64, 8, 8, 4
    m = n // s
    without = ir.cost(replace(base, fusion="none")).flops
    assert ir.cost(replace(base, fusion="dense")).flops - without == k * n * h * w
    assert ir.cost(base).flops - without == (k * m + 9 * m * (s - 1)) * h * w


def test_the_page_names_the_function_of_every_command() -> None:
    section = page("reference/python.md").partition("## Commands")[2].partition("\n## ")[0]
    shown = rows(section)
    assert {name.strip("`") for name, _ in shown} == {command.__name__ for command in COMMANDS}
    for _, call in shown:
        for dotted in re.findall(r"(ir2search[\w.]+)\(", call):
            package, _, function = dotted.rpartition(".")
            assert callable(getattr(importlib.import_module(package), function)), dotted


def test_the_gallery_names_functions_that_exist_and_shows_every_figure_of_its_script() -> None:
    shown = page("gallery.md")
    calls = re.findall(r"ir\.(plots(?:\.\w+)+)\(", shown)
    assert len(calls) > 15
    for call in calls:
        found: Any = ir
        for name in call.split("."):
            found = getattr(found, name)
        assert callable(found), call
    pictures = {Path(name).stem for name in re.findall(r"\(figures/gallery/(\S+)\)", shown)}
    assert pictures == {file.stem for file in (DOCS / "figures" / "gallery").iterdir()}
    assert pictures <= set(dir(ir.plots))


EQUATIONS = [
    pytest.param(tex, id=f"{path.name} {number}")
    for path in sorted(DOCS.rglob("*.md"))
    for number, tex in enumerate(
        re.findall(r"^\$\$\n(.+?)\n\$\$$", path.read_text(encoding="utf-8"), re.M | re.S)
    )
]


@pytest.mark.parametrize("tex", EQUATIONS)
def test_an_equation_fills_its_drawing(tex: str) -> None:
    hook: dict[str, Any] = runpy.run_path(str(DOCS / "equations.py"))
    drawn = hook["on_page_markdown"](f"Before\n\n$$\n{tex}\n$$\n\nafter")
    drawings = re.findall(r'viewBox="([^"]+)".*?<path d="([^"]+)"', drawn)
    assert len(drawings) == len(tex.splitlines())
    for box, outline in drawings:
        left, top, width, height = map(float, box.split())
        numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", outline)]
        for first, extent, along in ((left, width, numbers[::2]), (top, height, numbers[1::2])):
            assert first <= min(along) <= max(along) <= first + extent
            assert max(along) - min(along) > extent / 2


def test_only_blocks_between_lines_of_dollars_are_equations() -> None:
    hook: dict[str, Any] = runpy.run_path(str(DOCS / "equations.py"))
    plain = "costs $5\n\n```console\necho $$\n```\n"
    assert hook["on_page_markdown"](plain) == plain
    assert len(EQUATIONS) > 4
