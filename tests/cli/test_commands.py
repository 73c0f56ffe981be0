from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import ir2search as ir
from ir2search.export import device_memory
from ir2search.space import read_candidate

Command = Callable[..., "subprocess.CompletedProcess[str]"]
ONE_WORKER = ("--workers", "1", "--device", "cpu")


@pytest.mark.usefixtures("no_figures")
def test_a_study_is_run_reported_and_analysed(
    ir2search: Command,
    write_study: Callable[[dict[str, Any]], Path],
    quick: dict[str, Any],
    tmp_path: Path,
    finished_run: Path,
) -> None:
    done = ir2search("run", write_study(quick), "--runs", "somewhere", *ONE_WORKER)
    assert done.returncode == 0, done.stderr
    assert "5 of 5 candidates trained" in done.stdout
    assert re.search(r"^trial 0: \d+\.\d%, .* OPs$", done.stderr, re.MULTILINE)
    assert {path.name for path in tmp_path.iterdir()} == {"quick.toml", "somewhere"}
    pd.testing.assert_frame_equal(
        ir.trials(tmp_path / "somewhere" / "quick").drop(columns="seconds"),
        ir.trials(finished_run).drop(columns="seconds"),
    )
    page = ir2search("report", "somewhere/quick", "--verbose")
    assert page.returncode == 0, page.stderr
    assert "INFO ir2search.report.page: wrote somewhere/quick" in page.stderr
    assert (tmp_path / page.stdout.strip()).read_text().startswith("<!doctype html>")
    asked = ("somewhere/quick", "--trial", "knee", "--images", "8", "--methods", "grad_cam")
    analysis = ir2search("analyze", *asked, "--json")
    assert analysis.returncode == 0, analysis.stderr
    found = json.loads(analysis.stdout)
    (found,) = found["analyses"]
    assert [row["layer"] for row in found["layers"]][:2] == ["input", "stem"]
    assert {row["trusted"] for row in found["methods"]} <= {True, False}
    assert (tmp_path / found["folder"] / "information.parquet").exists()
    assert "trusted attribution methods" in ir2search("analyze", *asked).stdout


def test_a_run_continues_with_more_trials(
    ir2search: Command,
    write_study: Callable[[dict[str, Any]], Path],
    quick: dict[str, Any],
) -> None:
    file = write_study(quick)
    asked = ("run", file, *ONE_WORKER, "--json")
    first = ir2search(*asked, "--trials", "1")
    second = ir2search(*asked, "--trials", "2")
    assert json.loads(first.stdout)["counts"]["trained"] == 1
    assert json.loads(second.stdout)["counts"]["trained"] == 2
    assert "continuing after 1 of 2 trials" in second.stderr
    quiet = ir2search(*asked, "--trials", "3", "--quiet")
    assert (json.loads(quiet.stdout)["counts"]["trained"], quiet.stderr) == (3, "")


def test_a_run_is_run_again_from_what_it_recorded(
    ir2search: Command, finished_run: Path, tmp_path: Path
) -> None:
    done = ir2search("rerun", finished_run, "--out", "again", *ONE_WORKER)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("quick in again: 5 of 5 candidates trained")
    pd.testing.assert_frame_equal(
        ir.trials(tmp_path / "again").drop(columns="seconds"),
        ir.trials(finished_run).drop(columns="seconds"),
    )
    same = ir2search("rerun", finished_run, "--out", finished_run)
    assert (same.returncode, "is the run itself" in same.stderr) == (2, True)


def test_runs_are_compared(ir2search: Command, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(finished_run)
    shown = ir2search("compare", "mine", finished_run)
    assert (shown.returncode, shown.stderr) == (0, "")
    found = json.loads(ir2search("compare", "mine", finished_run, "--json").stdout)
    volume, front = found["runs"][0]["hypervolume"], ir.front(finished_run)
    assert re.search(rf"^runs/mine +{len(front)} +{volume:.4f} ", shown.stdout, re.MULTILINE)
    assert f" {100 * front['accuracy'].max():.1f}%" in shown.stdout
    assert "the best validation accuracy of a network with at most" in shown.stdout
    assert ir2search("compare", "mine").returncode == 2


def test_status_as_json_is_the_status(ir2search: Command, finished_run: Path) -> None:
    printed = json.loads(ir2search("status", finished_run, "--json").stdout)
    assert printed == ir.status(finished_run).as_dict()
    table = ir2search("status", finished_run).stdout
    for number in ir.front(finished_run)["number"]:
        assert re.search(rf"^ +{number} ", table, re.MULTILINE)


def test_trials_are_shown_all_or_one(ir2search: Command, finished_run: Path) -> None:
    trials = ir.trials(finished_run)
    rows = json.loads(ir2search("show", finished_run, "--json").stdout)
    assert [row["number"] for row in rows] == list(trials["number"])
    best = json.loads(ir2search("show", finished_run, "best", "--json").stdout)
    assert best["accuracy"] == pytest.approx(trials["accuracy"].max(), abs=1e-12)
    shown = ir2search("show", finished_run).stdout
    for row in trials[trials["state"] == "trained"].itertuples():
        assert re.search(rf"^ *{row.number} +trained +{100 * row.accuracy:.1f}%", shown, re.M)
    assert "depth 8" in shown
    one = ir2search("show", finished_run, "best").stdout
    assert re.search(rf"^candidate id +{best['candidate_id']}", one, re.M)
    assert re.search(rf"^accuracy +{100 * best['accuracy']:.1f}%", one, re.M)
    assert not re.search(r"\.\d{5}", one), "three digits are enough, such as 0.0123"
    wrong = ir2search("show", finished_run, "99")
    assert (wrong.returncode, "no trained trial '99'" in wrong.stderr) == (2, True)


def test_runs_are_listed_and_named_without_their_folder(
    ir2search: Command, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ir2search("runs").stdout.startswith("runs: no runs yet")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine").symlink_to(finished_run)
    (row,) = json.loads(ir2search("runs", "--json").stdout)
    assert (row["folder"], row["study"], row["trained"]) == ("runs/mine", "quick", 5)
    assert re.search(r"^mine +quick +5 of 5 +\d", ir2search("runs").stdout, re.MULTILINE)
    named = json.loads(ir2search("status", "mine", "--json").stdout)
    assert named == json.loads(ir2search("status", "runs/mine", "--json").stdout)
    assert ir2search("status", "nine").returncode == 2
    monkeypatch.setenv("IR2SEARCH_RUNS", str(finished_run.parent))
    assert finished_run.name in ir2search("runs").stdout
    assert json.loads(ir2search("export", finished_run.name, "--out", "a.packed", "--json").stdout)


def test_cost_prints_one_object_with_the_keys_of_cost(ir2search: Command) -> None:
    printed = json.loads(ir2search("cost", "cifar-resnet20", "--json").stdout)
    price = ir.cost(ir.Candidate())
    for name in ("flops", "bops", "ops", "parameters", "binary_parameters", "memory_bytes"):
        assert printed[name] == getattr(price, name)
    assert [row["name"] for row in printed["layers"]] == list(price.layers["name"])


def test_the_table_of_costs_names_operations_that_are_not_counted(ir2search: Command) -> None:
    printed = ir2search("cost", "cifar-resnet20").stdout
    assert re.search(r"total +601,728 +40,108,032 +272,458 +267,264 +60.8 kB", printed)
    assert "1,228,416" in printed
    assert re.search(r"not counted in FLOPs, BOPs or OPs: .*batch norm .*pooling", printed)


def test_cost_reads_a_trials_folder_and_its_candidate(
    ir2search: Command, finished_run: Path, tmp_path: Path
) -> None:
    trial = finished_run / "trials" / "0"
    expected = json.loads((trial / "cost.json").read_text())
    memory = device_memory(read_candidate(trial / "candidate.json"))
    expected |= json.loads(json.dumps(memory.as_dict()))
    shutil.copy(trial / "candidate.json", tmp_path / "mine.json")
    for what in (trial, trial / "candidate.json", "mine.json"):
        assert json.loads(ir2search("cost", what, "--json").stdout) == expected


def test_cost_as_csv_is_the_table_of_layers(ir2search: Command) -> None:
    printed = pd.read_csv(io.StringIO(ir2search("cost", "imagenet-resnet18-C", "--csv").stdout))
    assert printed["bops"].sum() == 1_676_279_808
    assert printed["flops"].sum() == 146_925_568
    assert printed["parameters"].sum() == 11_882_344


def test_train_trains_one_network_and_continues_it(
    ir2search: Command, finished_run: Path, tmp_path: Path
) -> None:
    command = ("train", finished_run / "trials" / "0", "--epochs", "2", "--out", "own")
    done = ir2search(*command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^epoch 2 · \d+\.\d% · loss", done.stderr, re.MULTILINE)
    assert re.search(r"^\d+\.\d% of the validation images at epoch [12], ", done.stdout)
    again = ir2search(*command, "--json")
    assert json.loads(again.stdout)["test_images"] == 360
    assert "epoch" not in again.stderr, "no epoch is trained again"
    other = ir2search(*command[:2], "--epochs", "3", "--out", "own")
    assert other.returncode == 2
    assert other.stderr == (
        "ir2search: own: was trained with other settings: epochs was 2 and is now 3; "
        "choose another folder\n"
    )


def test_a_trial_is_trained_longer_and_evaluated(ir2search: Command, finished_run: Path) -> None:
    command = ("train", finished_run, "--trial", "best", "--epochs", "3", "--out", "longer")
    done = ir2search(*command)
    assert done.returncode == 0, done.stderr
    best = ir.front(finished_run).iloc[0]
    assert done.stderr.startswith(f"trial {best['number']} continues after epoch 2 of 3; its sched")
    assert re.findall(r"^epoch (\d)", done.stderr, re.MULTILINE) == ["3"]
    test = re.search(r", (\d+\.\d%) of 360 test images", done.stdout)
    assert test is not None
    assert ir2search("evaluate", "longer").stdout.startswith(f"top-1 {test[1]} (")
    own = ir2search("evaluate", finished_run, "--trial", "best").stdout
    assert own.startswith(f"top-1 {100 * best['test_accuracy']:.1f}% (")
    wrong = ir2search("train", finished_run, "--trial", "best")
    assert (wrong.returncode, "needs --epochs" in wrong.stderr) == (2, True)


def test_exported_files_and_their_folder_are_evaluated(
    ir2search: Command, finished_run: Path, tmp_path: Path
) -> None:
    best = ir.front(finished_run).iloc[0]
    expected = f"top-1 {100 * best['test_accuracy']:.1f}% ("
    for format_, name in (
        ("packed", "a.packed"),
        ("onnx", "b.onnx"),
        ("safetensors", "c.safetensors"),
    ):
        out = Path("files") / name
        assert ir2search("export", finished_run, "--format", format_, "--out", out).returncode == 0
        assert ir2search("evaluate", out).stdout.startswith(expected), format_
    several = ir2search("evaluate", "files")
    assert (
        several.returncode,
        "give one of a.packed, b.onnx, c.safetensors" in several.stderr,
    ) == (2, True)
    (tmp_path / "files" / "b.onnx").unlink()
    (tmp_path / "files" / "c.safetensors").unlink()
    assert ir2search("evaluate", "files").stdout.startswith(expected)


def test_the_zoo_is_listed(ir2search: Command) -> None:
    listed = json.loads(ir2search("zoo", "--json").stdout)
    assert listed == ir.zoo().to_dict("records")
    shown = ir2search("zoo").stdout
    for network in listed:
        percent = f"{100 * network['test_accuracy']:.1f}%"
        assert re.search(rf"^ *{network['name']} .* {re.escape(percent)} \(", shown, re.MULTILINE)


def test_images_are_classified_with_a_network_of_the_zoo(
    ir2search: Command, tmp_path: Path
) -> None:
    digits = load_digits()
    for number in range(3):
        pixels = (digits.images[number] * (255 / 16)).round().astype("uint8")
        Image.fromarray(pixels).save(tmp_path / f"{digits.target[number]}.png")
    done = ir2search("predict", "digits-63k", "0.png", "1.png", "2.png", "--top", "1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(each["image"], each["classes"][0]["name"]) for each in found] == [
        ("0.png", "0"), ("1.png", "1"), ("2.png", "2"),
    ]  # fmt: skip
    shown = ir2search("predict", "digits-63k", "1.png").stdout
    assert re.fullmatch(r"1\.png +1 \d+\.\d%, \d \d+\.\d%, \d \d+\.\d%\n", shown)
    bad = ir2search("predict", "digits-63k", "0.png", ".")
    assert (bad.returncode, bad.stderr) == (2, "ir2search: .: is a folder; give image files\n")


def test_evaluate_measures_a_network_of_the_zoo_and_a_trial(
    ir2search: Command, finished_run: Path
) -> None:
    done = ir2search("evaluate", "digits-63k", "--json")
    assert done.returncode == 0, done.stderr
    row = ir.zoo().set_index("name").loc["digits-63k"]
    found = json.loads(done.stdout)
    assert found["images"] == row["test_images"]
    one = 1.01 / found["images"]  # rounding differs between CPUs
    assert found["top1"] == pytest.approx(row["test_accuracy"], abs=one)
    best = ir.front(finished_run).iloc[0]
    cost = json.loads(ir2search("cost", finished_run, "--trial", "best", "--json").stdout)
    assert cost["ops"] == best["ops"]
    shown = ir2search("evaluate", finished_run / "trials" / str(best["number"])).stdout
    assert shown.startswith(f"top-1 {100 * best['test_accuracy']:.1f}% (")
    assert shown.endswith("of 360 test images\n")


def test_a_trial_is_exported(ir2search: Command, finished_run: Path, tmp_path: Path) -> None:
    shown = ir2search("export", finished_run, "--trial", "knee", "--out", "a.packed")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"a\.packed: [\d,]+ bytes; all [\d,]+ predictions agree", shown.stdout)
    assert (tmp_path / "a.packed.md").exists()
    number = ir.front(finished_run)["number"].iloc[0]
    folder = finished_run / "trials" / str(number)
    weights = ("--weights", folder / "best.safetensors")
    again = ir2search("export", folder, *weights, "--format", "onnx", "--out", "b.onnx", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["bytes"] == (tmp_path / "b.onnx").stat().st_size
    once_more = ir2search("export", "a.packed")
    assert once_more.returncode == 2
    assert "a.packed: is a file, and one that `ir2search export` wrote" in once_more.stderr
    other = ir2search("analyze", "a.packed")
    assert other.returncode == 2
    assert "is a file, but a run is a folder such as runs/digits" in other.stderr
    trial = ir2search("export", folder, *weights, "--trial", "3")
    assert trial.returncode == 2
    assert "only a run has trials" in trial.stderr


def test_a_network_of_the_package_is_exported_by_name(ir2search: Command, tmp_path: Path) -> None:
    shown = ir2search("export", "digits-27k", "--format", "c", "--out", "c")
    assert shown.returncode == 0, shown.stderr
    assert "on a microcontroller: RAM 3.86 kB, flash 16.6 kB" in shown.stdout
    assert (tmp_path / "c" / "network.c").exists()
