from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from replay import ReplayExecutor

import ir2search as ir
from ir2search.errors import SpaceError, StudyError
from ir2search.search.ledger import RungResult
from ir2search.search.pruners.base import Promotion, Pruner
from ir2search.search.samplers.base import Point, Sampler
from ir2search.search.samplers.registry import FACTORIES
from ir2search.study.loading import parse_study
from ir2search.study.samplers import SAMPLERS


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the registries as they were."""
    registries: list[Any] = [SAMPLERS, FACTORIES]
    for registry in registries:
        for name in ("_entries", "_owners"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


class Always(Sampler):
    """Proposes the same point each time."""

    point: Point | None = None

    def propose(self, number: int) -> Point | None:
        return self.point


def start(values: dict[str, Any], folder: Path, sampler: str) -> ir.Run:
    study = parse_study({**values, "sampler": sampler}, "a.toml")
    ir.run(study, folder, device="cpu", executor=ReplayExecutor)
    return ir.Run.open(folder)


def test_each_sampler_that_a_study_may_name_can_be_made() -> None:
    assert list(SAMPLERS) == list(FACTORIES)


def test_optuna_draws_what_a_registered_sampler_leaves_out(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    @ir.register_sampler("narrow")
    class Narrow(Always):
        point: Point = {"width": 0.125}  # noqa: RUF012

    trials = start({**quick, "trials": 3}, tmp_path / "run", "narrow").trials()
    trained = trials[trials["state"] == "trained"]
    assert len(trained) == 3
    assert (trained["width"] == 0.125).all()


def test_a_registered_sampler_learns_from_all_results_also_after_an_interruption(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    learned: list[tuple[int, int]] = []

    @ir.register_sampler("listening")
    class Listening(Sampler):
        def propose(self, number: int) -> Point | None:
            return {}

        def learn(self, result: RungResult) -> None:
            learned.append((result.number, result.level))

    quick["recipe"]["epochs"] = 4
    values = {**quick, "rungs": {"minimum": 1, "factor": 2}}
    start({**values, "trials": 2}, tmp_path / "run", "listening")
    first = sorted(learned)
    assert {level for _, level in first} == {0, 1, 2}
    learned.clear()
    start({**values, "trials": 3}, tmp_path / "run", "listening")
    assert first == sorted(learned[: len(first)]), "read from the storage"
    assert len(learned) > len(first)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"hight": 1}, "sampler 'odd': proposed 'hight', which the study does not search"),
        ({"width": 3.0}, "sampler 'odd': proposed width = 3.0, which is not in the space"),
    ],
)
def test_a_point_outside_the_space_is_named(
    quick: dict[str, Any], tmp_path: Path, point: Point, message: str
) -> None:
    class Odd(Always):
        pass

    Odd.point = point
    ir.register_sampler("odd")(Odd)
    with pytest.raises(StudyError) as caught:
        start(quick, tmp_path / "run", "odd")
    assert str(caught.value) == message


def test_an_error_in_a_registered_sampler_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    @ir.register_sampler("fails")
    class Fails(Always):
        def propose(self, number: int) -> Point | None:
            raise KeyError("width")

    with pytest.raises(StudyError, match="sampler 'fails' fails: KeyError"):
        start(quick, tmp_path / "run", "fails")


def test_what_a_registered_sampler_needs_is_checked(quick: dict[str, Any]) -> None:
    ir.register_sampler("strict", needs_accuracy=True, needs_finite_space=True)(Always)
    with pytest.raises(StudyError, match='"strict" needs accuracy'):
        parse_study({**quick, "sampler": "strict", "objectives": ["ops", "memory"]}, "a.toml")
    quick["space"]["threshold"] = {"low": 0.0, "high": 1.0}
    with pytest.raises((SpaceError, StudyError), match="threshold"):
        parse_study({**quick, "sampler": "strict"}, "a.toml")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(StudyError, match="sampler 'ehvi': the name is taken"):
        ir.register_sampler("ehvi")(Always)


def test_a_search_ends_where_a_sampler_proposes_nothing(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    ir.register_sampler("nothing")(Always)
    run = start(quick, tmp_path / "run", "nothing")
    assert run.trials().empty
    assert ir.status(run).ended == "the space holds no further candidate within the budget"


@pytest.mark.parametrize("chosen", [(7, 1), (0, 0), (0, 2), (0, -1)])
def test_a_pruner_that_chooses_what_cannot_be_trained_is_named(
    quick: dict[str, Any], tmp_path: Path, chosen: tuple[int, int]
) -> None:
    class Odd:
        def next(self, running: Collection[int]) -> Promotion | None:
            return Promotion(*chosen) if is_first_trained else None

    is_first_trained: list[int] = []

    @ir.register_sampler("odd")
    class Odder(Always):
        point: Point = {}  # noqa: RUF012

        def learn(self, result: RungResult) -> None:
            is_first_trained.append(result.number)

        def pruner(self) -> Pruner:
            return Odd()

    quick |= {"rungs": {"minimum": 1, "factor": 2}}
    message = r"^sampler 'odd': its pruner Odd chose (trial 7, which does not wait|rung -?\d for)"
    with pytest.raises(StudyError, match=message):
        start(quick, tmp_path / "run", "odd")


def test_a_pruner_that_fails_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    class Broken:
        def next(self, running: Collection[int]) -> Promotion | None:
            raise ZeroDivisionError

    @ir.register_sampler("broken")
    class Breaking(Always):
        def pruner(self) -> Pruner:
            return Broken()

    with pytest.raises(StudyError, match="sampler 'broken'"):
        start({**quick, "rungs": {"minimum": 1, "factor": 2}}, tmp_path / "run", "broken")
