from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

import ir2search as ir
from ir2search.errors import SpaceError, StudyError
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.ledger import Ledger
from ir2search.search.problem import Problem
from ir2search.search.samplers.base import Point, Sampler
from ir2search.search.samplers.registry import FACTORIES, make_sampler
from ir2search.study.samplers import SAMPLERS
from ir2search.study.schema import parse_study


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the registries as they were."""
    registries: list[Any] = [SAMPLERS, FACTORIES]
    for registry in registries:
        for name in ("_entries", "_owners"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


class Always(Sampler):
    """Proposes one point over and over."""

    point: Point | None = None

    def propose(self, number: int) -> Point | None:
        return self.point


def sampler_of(values: dict[str, Any], folder: Path, name: str) -> Sampler:
    study = parse_study({**values, "sampler": name}, "a.toml")
    space = study.space.with_data((1, 8, 8), 10)
    problem = Problem(study, space, LatencyTimer(study, folder))
    return make_sampler(problem, Ledger(study, space))


def test_each_sampler_that_a_study_may_name_can_be_made() -> None:
    assert list(SAMPLERS) == list(FACTORIES)


def test_a_registered_sampler_proposes_for_a_study(quick: dict[str, Any], tmp_path: Path) -> None:
    @ir.register_sampler("narrow")
    class Narrow(Always):
        point: Point = {"width": 0.125}  # noqa: RUF012

    sampler = sampler_of(quick, tmp_path, "narrow")
    assert sampler.propose(0) == {"width": 0.125}
    assert isinstance(sampler.optuna_sampler(0), optuna.samplers.RandomSampler)


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
        sampler_of(quick, tmp_path, "odd").propose(0)
    assert str(caught.value) == message


def test_an_error_in_a_registered_sampler_is_named(quick: dict[str, Any], tmp_path: Path) -> None:
    @ir.register_sampler("fails")
    class Fails(Always):
        def propose(self, number: int) -> Point | None:
            raise KeyError("width")

    with pytest.raises(StudyError, match="sampler 'fails' fails: KeyError"):
        sampler_of(quick, tmp_path, "fails").propose(0)


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
    reasons: list[str] = []

    class Observer(ir.RunObserver):
        def on_search_end(self, reason: str) -> None:
            reasons.append(reason)

    study = parse_study({**quick, "sampler": "nothing"}, "a.toml")
    status = ir.run(study, tmp_path / "run", device="cpu", observer=Observer())
    assert sum(status.counts.values()) == 0
    assert len(reasons) == 1
