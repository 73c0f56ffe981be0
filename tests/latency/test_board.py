from __future__ import annotations

import tomllib
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay import ReplayExecutor
from scipy.optimize import minimize

import ir2search as ir
from ir2search.costs import cost
from ir2search.errors import InputError, SpaceError, StudyError
from ir2search.export import candidate_graph
from ir2search.files import write_json
from ir2search.latency import BoardFit, board_milliseconds, fit_board
from ir2search.latency.board import COUNTED, fit_prices, held_out_times, operation_counts
from ir2search.search.budget import check_budget
from ir2search.search.latency_timer import LatencyTimer
from ir2search.search.problem import Problem
from ir2search.study import Board, parse_study

SMALL = ir.Candidate(image=(1, 8, 8))
CORTEX = Board(flop_ns=50.0, bop_ns=1.5, sweep_ns=20_000.0, element_ns=9.0)
CANDIDATES = [
    replace(SMALL, depth=depth, width=width, fusion=fusion, activation=activation)
    for depth, width, (fusion, activation) in product(
        (8, 14), (0.25, 0.5, 1.0), (("none", "hardtanh"), ("compact", "prelu"))
    )
]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("networks")
    for number, candidate in enumerate(CANDIDATES):
        write_json(folder / f"{number}.json", candidate.as_dict())
    return [str(folder / f"{number}.json") for number in range(len(CANDIDATES))]


@pytest.fixture
def measured(names: list[str], tmp_path: Path) -> Path:
    """Times on a device whose operations take exactly what CORTEX says; a spike in one time."""
    rows = [
        f"{name},{board_milliseconds(CORTEX, each)!r}"
        for name, each in zip(names, CANDIDATES, strict=True)
    ]
    rows += [rows[0], f"{names[0]},99"]
    file = tmp_path / "board.csv"
    file.write_text("\n".join(["network, milliseconds", *rows]))
    return file


@pytest.fixture
def fit(measured: Path) -> BoardFit:
    return fit_board(measured)


def test_the_prices_of_a_device_are_found(fit: BoardFit) -> None:
    assert asdict(fit.board) == pytest.approx(asdict(CORTEX), rel=1e-4)
    assert fit.networks == len(CANDIDATES)
    assert fit.high_error < 1e-4
    assert fit.rank == pytest.approx(1)
    assert fit.rank_of_ops < 1


def test_a_time_is_the_sum_of_its_operations() -> None:
    price, board = cost(SMALL), Board(flop_ns=1.0, bop_ns=0.0, sweep_ns=0.0, element_ns=0.0)
    assert board_milliseconds(board, SMALL) == pytest.approx(price.flops / 1e6)
    counts = operation_counts(SMALL)
    assert counts["sweeps"] == len(ir.PackedNetwork(candidate_graph(SMALL)).units)
    assert tuple(counts) == COUNTED


def test_prices_are_the_least_squares_of_relative_errors() -> None:
    generator = np.random.default_rng(0)
    counts = generator.uniform(1, 100, (30, 3))
    times = counts @ [2.0, 0.0, 5.0] * generator.uniform(0.7, 1.3, 30)
    prices = fit_prices(counts, times)

    def error(prices: np.ndarray) -> float:
        return float((((counts @ prices) / times - 1) ** 2).sum())

    best = minimize(error, np.ones(3), bounds=[(0, None)] * 3)
    assert error(prices) <= best.fun * (1 + 1e-6)
    assert (prices >= 0).all()
    alone = held_out_times(counts[:5], times[:5])
    assert alone[2] == pytest.approx(counts[2] @ fit_prices(*_without(2, counts[:5], times[:5])))


def _without(row: int, counts: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.delete(counts, row, axis=0), np.delete(times, row)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"a\.csv: no such file"),
        (b"", r"a\.csv: has no column `network`"),
        (b"network,seconds\nx,1", r"a\.csv: has no column `milliseconds`; its first line must"),
        (b"network,milliseconds\ndigits-63,1", "line 2: no network 'digits-63'; did you mean 'dig"),
        (b"network,milliseconds\ndigits-63k,fast", "line 2: milliseconds must be a number above 0"),
        (b"network,milliseconds\ndigits-63k,-1", "line 2: milliseconds must be a number above 0"),
        (b"network,milliseconds\ndigits-63k,nan", "line 2: milliseconds must be a number above 0"),
        (b"network,milliseconds\ndigits-63k", "line 2: milliseconds must be a number above 0"),
        (b"network,milliseconds\ndigits-63k,1", "has times of 1 networks, .* at least 8; measure"),
        (b"\xff\xfe\x00", r"a\.csv: is not a CSV file in UTF-8"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        fit_board(tmp_path / "a.csv")
    assert "\n" not in str(error.value)


def test_the_section_makes_latency_an_objective_for_the_device(
    fit: BoardFit, quick: dict[str, Any], tmp_path: Path
) -> None:
    section = tomllib.loads(fit.section)
    values = quick | section | {"objectives": ["accuracy", "latency"]}
    study = parse_study(values | {"space": {"width": [0.25, 1.0]}}, "a.toml")
    assert study.latency.board == fit.board
    assert not study.is_timed, "nothing is timed here"
    space = study.space.with_data((1, 8, 8), 10)
    problem = Problem(study, space, LatencyTimer(study, tmp_path))
    small, large = (problem.priced({"width": width}) for width in (0.25, 1.0))
    for each in (small, large):
        expected = board_milliseconds(fit.board, each.candidate)
        assert each.costs["latency_ms"] == each.costs["latency_median_ms"] == expected
    limit = (small.costs["latency_ms"] + large.costs["latency_ms"]) / 2
    limited = parse_study(values | {"budget": {"latency": limit}}, "a.toml")
    problem = Problem(limited, space, LatencyTimer(limited, tmp_path))
    check_budget(problem)
    assert problem.is_affordable(small.candidate)
    assert not problem.is_affordable(large.candidate)
    never = parse_study(values | {"budget": {"latency": 1e-6}}, "a.toml")
    with pytest.raises(
        SpaceError, match=r"\[budget\] latency: no candidate of the space is within"
    ):
        check_budget(Problem(never, space, LatencyTimer(never, tmp_path)))


@pytest.mark.usefixtures("figures_once")
def test_a_run_ranks_its_trials_by_the_latency_on_the_device(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    values = quick | {"objectives": ["accuracy", "latency"], "latency": {"board": asdict(CORTEX)}}
    ir.run(parse_study(values, "a.toml"), tmp_path / "runs" / "a", executor=ReplayExecutor)
    run = ir.Run.open(tmp_path / "runs" / "a")
    table = run.trials().query("state == 'trained'")
    assert len(table) > 1
    for number, latency in zip(table["number"], table["latency_ms"], strict=True):
        assert latency == pytest.approx(board_milliseconds(CORTEX, run.candidate(number)))
        assert not (run.folder_of(number) / "latency.json").exists()
    ir.write_report(run)
    assert "Latency is the time on another device" in (run.folder / "report/index.html").read_text()


@pytest.mark.parametrize(
    ("latency", "message"),
    [
        ({"board": {"flop_ns": 1}}, "[latency] board.bop_ns: is missing; add it"),
        ({"board": asdict(CORTEX) | {"bop_ns": -1}}, "[latency] board.bop_ns: must be at least 0"),
        ({"board": asdict(CORTEX), "threads": 2}, "threads and batch have no effect with"),
        ({"board": asdict(CORTEX) | {"flops": 1}}, "did you mean 'flop_ns'?"),
    ],
)
def test_a_wrong_section_is_named(
    latency: dict[str, Any], message: str, quick: dict[str, Any]
) -> None:
    values = quick | {"objectives": ["accuracy", "latency"], "latency": latency}
    with pytest.raises(StudyError) as error:
        parse_study(values, "a.toml")
    assert message in str(error.value)
