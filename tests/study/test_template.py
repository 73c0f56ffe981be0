from __future__ import annotations

import re
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from ir2search.data import DataConfig
from ir2search.errors import InputError
from ir2search.space import Candidate
from ir2search.study.loading import load_study, parse_study
from ir2search.study.schema import Study
from ir2search.study.sections import (
    Board,
    Confirm,
    LatencySettings,
    Resources,
    Rungs,
    Stop,
    SupernetSection,
    WarmStart,
)
from ir2search.study.shipped import TEMPLATE
from ir2search.study.template import write_template
from ir2search.training import Distillation, Recipe

SECTIONS: dict[str, Any] = {
    "data": DataConfig,
    "space": Candidate,
    "latency": LatencySettings,
    "latency.board": Board,
    "recipe": Recipe,
    "recipe.distillation": Distillation,
    "supernet": SupernetSection,
    "warm_start": WarmStart,
    "rungs": Rungs,
    "stop": Stop,
    "confirm": Confirm,
    "resources": Resources,
}
FROM_ELSEWHERE = {"image", "classes", "recipe", "int8_layers", "real_layers"}  # no key of [space]


def sections() -> dict[str, set[str]]:
    """The keys of each section of the template, in use or not; the top of the file is ""."""
    found: dict[str, set[str]] = {"": set()}
    name = ""
    for line in TEMPLATE.read_text().splitlines():
        if head := re.match(r"(?:# )?\[([a-z_.]+)\]", line):
            name = head[1]
            found[name] = set()
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found[name].add(key[1])
    return found


def test_the_template_shows_every_key() -> None:
    shown = sections()
    tables = {name.split(".")[0] for name in shown if name}
    assert set(Study.model_fields) == shown[""] | tables
    for name, section in SECTIONS.items():
        assert is_dataclass(section)
        tables = {inner.split(".")[1] for inner in shown if inner.startswith(f"{name}.")}
        expected = {field.name for field in fields(section)}
        expected -= FROM_ELSEWHERE if name == "space" else set()
        expected |= {"fusion_ratio", "binary"} if name == "space" else set()
        assert shown[name] | tables == expected, name
    assert shown["budget"] == {"ops", "flops", "bops", "memory", "ram", "flash", "latency"}


def test_the_template_is_valid_with_every_key_in_use() -> None:
    """Without keys that exclude another key, or that need a file."""
    load_study(TEMPLATE)
    lines = TEMPLATE.read_text().splitlines()
    used = [re.sub(r"^# (?=[a-z_]+ = |\[)", "", line) for line in lines]
    apart = r"^(fusion_channels|stream|modules|image|label) = .*$"
    text = re.sub(apart, "", "\n".join(used), flags=re.M)
    values = tomllib.loads(text)
    del values["recipe"]["distillation"], values["recipe"]["pretraining"]
    supernet = values.pop("supernet")
    study = parse_study(values, "all.toml")
    assert study.confirm is not None
    assert study.rungs is not None
    for name in ("warm_start", "rungs", "confirm"):
        values.pop(name)
    for name in ("weights", "activations", "groups"):
        values["space"].pop(name)
    assert parse_study(values | {"supernet": supernet}, "all.toml").supernet is not None


def test_a_folder_of_images_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'a "b" \\ c'
    folder.mkdir()
    write_template(tmp_path / "study.toml", folder)
    assert load_study(tmp_path / "study.toml").data.path == str(folder)


def test_a_missing_data_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data .*nowhere: there is no such folder"):
        write_template(tmp_path / "study.toml", tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
