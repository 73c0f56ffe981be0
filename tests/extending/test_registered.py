"""Registered code and studies in one process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ir2search as ir
from ir2search import extensions
from ir2search.data.sources import SOURCES
from ir2search.errors import CountError, DataError, SpaceError, StudyError
from ir2search.information.registered import MEASURES, measured
from ir2search.models.build import BUILDERS
from ir2search.models.families import FAMILIES
from ir2search.search.budget import check_budget
from ir2search.search.executors.job import TrainingContext, TrainingJob, run_job
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.search.samplers.registry import FACTORIES
from ir2search.study.loading import load_study, parse_study
from ir2search.study.objectives import OBJECTIVES, costs_of
from ir2search.study.samplers import SAMPLERS
from ir2search.study.schema import Study
from ir2search.study.survey import survey_studies

NARROW = """
import ir2search as ir
from ir2search.models.resnet import cifar_resnet
from ir2search.models.families import FAMILIES
import dataclasses

family = dataclasses.replace(FAMILIES["cifar-resnet"], min_side=8)

@ir.register_backbone("mine", family)
def build(spec):
    network = cifar_resnet(spec)
    {change}
    return network
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Restore the registries after each test."""
    registries: list[Any] = [
        *(MEASURES, BUILDERS, FAMILIES, OBJECTIVES, SOURCES),
        *(SAMPLERS, FACTORIES),
    ]
    before = [(dict(each._entries), dict(each._owners)) for each in registries]
    yield
    for each, (things, owners) in zip(registries, before, strict=True):
        each._entries, each._owners = things, owners
    extensions._loaded.clear()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a study with a module."""

    def write(folder: str, module: str) -> Path:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(module)
        file = tmp_path / folder / "own.toml"
        file.write_text('modules = ["mine.py"]\n[space]\nbackbone = "mine"\ndepth = [8, 14]\n')
        return file

    return write


def test_one_process_can_load_two_versions_of_a_module(write: Callable[[str, str], Path]) -> None:
    """When two runs are compared, each study has the networks of its own module."""
    plain = write("old", NARROW.format(change="pass"))
    more = "network.head.extra = __import__('torch').nn.Parameter(__import__('torch').ones(7))"
    wider = write("new", NARROW.format(change=more))

    def memory(file: Path) -> float:
        load_study(file)
        return ir.cost(ir.Candidate(backbone="mine", depth=8)).memory_bytes

    first, second, third = memory(plain), memory(wider), memory(plain)
    assert second == first + 4 * 7
    assert third == first


def test_an_operation_that_cannot_be_counted_is_named_before_anything_is_trained(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    sine = "network.head.pool.forward = lambda x: __import__('torch').sin(x).mean((2, 3))"
    asked = load_study(write("own", NARROW.format(change=sine)))
    with pytest.raises(CountError, match=r"backbone 'mine': .* no counter for aten::.*sin"):
        ir.cost(ir.Candidate(backbone="mine", depth=8))
    with pytest.raises(CountError, match="aten::sin"):
        check_budget(Problem(asked, asked.space, LatencyTimer(asked, tmp_path)))


def test_a_matrix_product_cannot_be_counted_either(write: Callable[[str, str], Path]) -> None:
    product = "network.head.pool.forward = lambda x: (x @ x)[:, :, :1, :1]"
    load_study(write("own", NARROW.format(change=product)))
    with pytest.raises(CountError, match=r"backbone 'mine': .* no counter for matmul"):
        ir.cost(ir.Candidate(backbone="mine", depth=8))


def test_registering_does_not_change_the_ids_of_candidates(
    write: Callable[[str, str], Path],
) -> None:
    before = ir.Candidate().id
    study = load_study(write("own", NARROW.format(change="pass")))
    assert ir.Candidate().id == before
    assert next(study.space.corners()).id != before


def test_listing_studies_runs_no_module(
    write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("listed", "raise SystemError('run')")
    monkeypatch.chdir(file.parent)
    assert survey_studies(ops=True)
    with pytest.raises(StudyError, match="SystemError: run"):
        load_study(file)


def test_a_network_that_fails_fails_only_its_own_trial(finished_run: Path, tmp_path: Path) -> None:
    data = ir.run_data(finished_run)

    @ir.register_backbone("fails", FAMILIES["cifar-resnet"])
    def fails(spec: ir.NetworkSpec) -> ir.TappedNetwork:
        raise ValueError(f"no depth {spec.depth}\nat all")

    candidate = ir.Candidate(backbone="fails", depth=8, image=data.image, classes=data.classes)
    job = TrainingJob(0, candidate, tmp_path, seed=0)
    context = TrainingContext(ir.Recipe(), data, None)
    outcome = run_job(job, context, torch.device("cpu"), ir.RunObserver(), lambda: False)
    assert outcome.failure == "backbone 'fails' fails: ValueError: no depth 8"


def study(**changes: Any) -> Study:
    values = {"space": {"depth": [8, 14, 20]}, "objectives": ["accuracy", "odd"]}
    return parse_study(values | changes, "own.toml")


def test_a_cost_with_its_minimum_inside_the_space_can_have_a_budget(tmp_path: Path) -> None:
    @ir.register_objective("odd")
    def odd(candidate: ir.Candidate) -> int:
        return abs(candidate.depth - 14)

    asked = study(budget={"odd": 1})
    check_budget(Problem(asked, asked.space, LatencyTimer(asked, tmp_path)))
    never = study(budget={"odd": 1}, space={"depth": [8, 20]})
    with pytest.raises(SpaceError, match=r"\[budget\] odd: .* the nearest has 6 odd"):
        check_budget(Problem(never, never.space, LatencyTimer(never, tmp_path)))


@pytest.mark.parametrize("value", [np.int64(3), np.float32(3), 3])
def test_any_real_number_is_a_cost(value: Any) -> None:
    ir.register_objective("odd")(lambda candidate: value)
    candidate = ir.Candidate(depth=8)
    assert costs_of(candidate, ir.cost(candidate), ["odd"])["odd"] == 3.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda maps: maps.mean(), r"a value for each of 4 images, \(4,\), but returned \(\)"),
        (lambda maps: [1.0] * 4, "but returned list"),
        (lambda maps: 1 / 0, "measure 'odd' fails: ZeroDivisionError: division by zero"),
    ],
)
def test_a_measure_must_return_one_value_for_each_image(function: Any, message: str) -> None:
    ir.register_measure("odd", unit="share")(function)
    with pytest.raises(StudyError, match=message):
        list(measured(torch.zeros(4, 2, 3, 3)))


def test_a_class_of_one_image_is_named() -> None:
    @ir.register_dataset("one of each")
    def read(folder: Path | None, size: int | None) -> ir.LabelledImages:
        images, labels = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2)
        return ir.LabelledImages(images, labels, images, labels, ("a", "b"))

    with pytest.raises(DataError, match="class 0 has 1 training image"):
        ir.load_data(ir.DataConfig(source="one of each"), None, Path("unused"), 0)


def test_a_node_of_a_cluster_needs_no_file_of_the_study(
    write: Callable[[str, str], Path], finished_run: Path, tmp_path: Path
) -> None:
    """A job that is sent to a node contains the modules."""
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    data = ir.run_data(finished_run)
    file = write("own", NARROW.format(change="pass"))
    modules = load_study(file).modules
    (file.parent / "mine.py").unlink()
    candidate = ir.Candidate(backbone="mine", depth=8, image=data.image, classes=data.classes)
    job = TrainingJob(0, candidate, tmp_path / "trial", seed=0)
    sent = tmp_path / "sent"
    recipe = ir.Recipe(epochs=1, warmup_epochs=0, batch_size=512)
    sent.write_bytes(cloudpickle.dumps((job, TrainingContext(recipe, data, None, modules))))
    code = (
        "import pickle, sys, torch\n"
        "from ir2search import RunObserver\n"
        "from ir2search.search.executors.job import run_job\n"
        "job, context = pickle.load(open(sys.argv[1], 'rb'))\n"
        "done = run_job(job, context, torch.device('cpu'), RunObserver(), lambda: False)\n"
        "print(done.failure, done.result.best.epoch)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, sent],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.stdout == "None 1\n", shown.stderr
