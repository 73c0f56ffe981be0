"""Wrong input: one sentence with file, field and fix, exit code 2, and no file is changed."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Write = Callable[[dict[str, Any]], Path]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check for one sentence on stderr with these parts, exit code 2, and an empty stdout."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("ir2search: ")
    for part in parts:
        assert part in done.stderr


def png(value: int = 0, side: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write_parquet(folder: Path, images: list[bytes]) -> None:
    folder.mkdir()
    for split in ("train", "test"):
        labels = [row % 2 for row in range(len(images))]
        table = pa.table({"img": [{"bytes": b, "path": ""} for b in images], "label": labels})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def folder_study(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "data": {"source": "folder", "validation": 0.5}, "trials": 1}


def test_an_unknown_study(ir2search: Command, tmp_path: Path) -> None:
    check(ir2search("run", "digit"), "no study 'digit'", "did you mean 'digits'?")
    assert not list(tmp_path.iterdir())


def test_a_folder_given_as_a_study(ir2search: Command, tmp_path: Path) -> None:
    check(ir2search("run", tmp_path), "neither a file nor a shipped one")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"trails": 3}, ("trails", "did you mean 'trials'")),
        ({"recipe": {"epochs": "many"}}, ("[recipe] epochs", "whole number", "'many'")),
        ({"recipe": {"lr": -1.0}}, ("[recipe] lr", "above 0", "-1.0")),
        ({"space": {"depth": 9}}, ("[space] depth", "6 n + 2", "9")),
        ({"latency": {"threads": 0}}, ("[latency] threads", "at least 1", "0")),
        ({"latency": {"threads": 2}}, ("[latency] needs latency among the objectives",)),
    ],
    ids=["unknown key", "wrong type", "out of range", "no network", "no thread", "not asked for"],
)
def test_a_wrong_study_file(
    ir2search: Command,
    write_study: Write,
    quick: dict[str, Any],
    tmp_path: Path,
    change: dict[str, Any],
    parts: tuple[str, ...],
) -> None:
    check(ir2search("run", write_study({**quick, **change})), "quick.toml: ", *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["quick.toml"]


def test_a_space_with_no_candidate_within_the_budget(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    file = write_study({**quick, "budget": {"memory": "10"}})
    check(ir2search("run", file), "quick.toml: [budget] memory", "the nearest has", "raise it")
    assert not (tmp_path / "runs" / "quick").exists()


def test_no_data_folder_given(
    ir2search: Command, write_study: Write, quick: dict[str, Any]
) -> None:
    check(ir2search("run", write_study(folder_study(quick))), "no data folder is given")


def test_a_missing_data_folder(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    file = write_study(folder_study(quick))
    check(ir2search("run", file, "--data", "nowhere"), "nowhere: no such folder", "data folder")
    assert not (tmp_path / "runs").exists()


def test_an_empty_data_folder(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    file = write_study(folder_study(quick))
    check(ir2search("run", file, "--data", "images"), "images: the folder is empty", "data folder")


def test_a_corrupt_parquet(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    write_parquet(tmp_path / "images", [png(n) for n in range(8)])
    file = tmp_path / "images" / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-50])
    done = ir2search("run", write_study(folder_study(quick)), "--data", "images")
    check(done, str(Path("images") / file.name), "cannot be read as a parquet file")
    assert not (tmp_path / "runs" / "quick").exists()


def test_a_corrupt_image_in_a_parquet(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    write_parquet(tmp_path / "images", [*(png(n) for n in range(5)), png()[:40], png(1)])
    done = ir2search("run", write_study(folder_study(quick)), "--data", "images")
    check(done, "train-00000-of-00001.parquet: row 5: cannot be decoded", "replace or remove")


def test_a_corrupt_image_in_an_image_folder(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / "images" / split / label).mkdir(parents=True)
            for n in range(3):
                (tmp_path / "images" / split / label / f"{n}.png").write_bytes(png(n))
    (tmp_path / "images" / "train" / "dog" / "1.png").write_bytes(b"not a picture")
    done = ir2search("run", write_study(folder_study(quick)), "--data", "images")
    check(done, str(Path("dog") / "1.png"), "cannot be decoded", "replace or remove")


def test_a_run_folder_of_another_study_file(
    ir2search: Command,
    write_study: Write,
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "runs" / "quick")
    before = contents(folder)
    done = ir2search("run", write_study({**quick, "seed": 9}))
    check(done, str(Path("runs") / "quick"), "another study file", "seed was 0 and now is 9")
    assert contents(folder) == before


def test_data_that_differs_from_the_data_of_the_run(
    ir2search: Command, write_study: Write, quick: dict[str, Any], tmp_path: Path
) -> None:
    file = write_study(folder_study(quick))
    for name, shift in (("one", 0), ("other", 100)):
        write_parquet(tmp_path / name, [png(shift + n) for n in range(40)])
    done = ir2search("run", file, "--data", "one")
    assert done.returncode == 0, done.stderr
    check(ir2search("run", file, "--data", "other"), "other images", "give it the same data")


def test_an_unknown_device(ir2search: Command) -> None:
    check(ir2search("run", "digits", "--device", "toaster"), "device 'toaster'", "try cpu")
    check(ir2search("run", "digits", "--device", "cdua:1"), "no such device", "mean 'cuda'?")


@pytest.mark.parametrize("command", ["status", "report", "analyze"])
def test_a_folder_without_a_run(ir2search: Command, command: str) -> None:
    check(ir2search(command, "runs/nothing"), "nothing: no run in this folder", "ir2search run")


def test_an_unknown_trial(ir2search: Command, finished_run: Path) -> None:
    done = ir2search("analyze", finished_run, "--trial", "77")
    check(done, "no trained trial '77'", "give best, knee, or one of 0")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("{", ("not a candidate in JSON",)),
        ("[1]", ("one JSON object",)),
        (json.dumps({"dept": 8}), ("no field 'dept'", "did you mean 'depth'?")),
        (json.dumps({"depth": 9}), ("depth", "6 n + 2")),
        (json.dumps({"width": "wide"}), ("width", "number", "'wide'")),
        (json.dumps({"image": [3, 2, 2]}), ("image", "4 pixels")),
    ],
)
def test_a_wrong_candidate(
    ir2search: Command, tmp_path: Path, content: str, parts: tuple[str, ...]
) -> None:
    (tmp_path / "candidate.json").write_text(content)
    check(ir2search("cost", "candidate.json"), "candidate.json: ", *parts)


def test_an_unknown_network(ir2search: Command) -> None:
    check(ir2search("cost", "cifar-resnet2"), "no network", "did you mean 'cifar-resnet20'")


def test_a_missing_candidate(ir2search: Command, tmp_path: Path) -> None:
    check(ir2search("cost", "mine.json"), "mine.json: no such file")
    (tmp_path / "empty").mkdir()
    check(ir2search("cost", "empty"), str(Path("empty") / "candidate.json"), "no such file")


def test_a_corrupt_checkpoint(ir2search: Command, finished_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "runs" / "quick")
    for file in folder.glob("trials/*/best.safetensors"):
        file.write_bytes(file.read_bytes()[:100])
    done = ir2search("analyze", folder, "--images", "4")
    check(done, "best.safetensors: cannot be read as a checkpoint", "remove it")


def test_a_file_given_as_the_folder_of_runs(ir2search: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check(ir2search("run", "digits", "--runs", "file"), "file: is not a folder; choose")


def test_a_data_folder_for_a_study_with_included_data(ir2search: Command, tmp_path: Path) -> None:
    check(ir2search("run", "digits", "--data", tmp_path), "data folder", "included digits")


@pytest.mark.parametrize(
    "damaged", ["environment.json", "trials/0/curve.jsonl", "study.toml", "study.journal"]
)
def test_a_damaged_file_of_a_run_is_named_and_not_changed(
    ir2search: Command, finished_run: Path, tmp_path: Path, damaged: str
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "runs" / "quick")
    (folder / damaged).write_text('{"cut": \n{}\n')
    before = contents(folder)
    check(ir2search("report", folder), f"{Path('quick') / damaged}: ")
    assert contents(folder) == before
