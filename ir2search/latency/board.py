"""The time of networks on a device of the user, fitted to times that were measured there.

The time is the sum of FLOPs, BOPs, sweeps over feature maps and element operations, each multiplied
by a price. OPs, FLOPs + BOPs / 64, leave the last two out and fix the ratio of the first two.
"""

from __future__ import annotations

import csv
import functools
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import nnls

from ir2search.costs import cost
from ir2search.errors import InputError
from ir2search.export import candidate_graph
from ir2search.files import read_bytes
from ir2search.runtime import make_schedule
from ir2search.space import Candidate
from ir2search.study import Board
from ir2search.zoo import named_candidate

COUNTED = ("flops", "bops", "sweeps", "elements")
COLUMNS = ("network", "milliseconds")
FOLDS = 10
FEWEST = 2 * len(COUNTED)  # networks
LARGEST_FILE = 1 << 20  # bytes
NS_PER_MS = 1e6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BoardFit:
    """Prices that were fitted to measured times, and how well they predict.

    Errors are those for networks that were left out of the fit, see `held_out_times`.

    Attributes:
        board: the prices.
        networks: number of networks.
        median_error: median of the relative errors.
        high_error: nine in ten relative errors are at most this.
        rank: Spearman's rho between predicted and measured times.
        rank_of_ops: the same for OPs.
    """

    board: Board
    networks: int
    median_error: float
    high_error: float
    rank: float
    rank_of_ops: float

    def as_dict(self) -> dict[str, Any]:
        """All fields as values for JSON."""
        return asdict(self)

    @property
    def section(self) -> str:
        """The section of a study file that makes ``latency`` the time on this device."""
        prices = (f"{name} = {value!r}" for name, value in asdict(self.board).items())
        return "\n".join(["[latency.board]", *prices])


def fit_board(file: str | Path) -> BoardFit:
    """Fit prices to the times of networks that were measured on a device.

    Args:
        file: a CSV file with the columns ``network`` (a preset, a trained network of `zoo`, a
            ``candidate.json``, a trial's folder or a packed file) and ``milliseconds`` (of one
            image). If a network has several times, their median is
            used.

    Raises:
        InputError: the file cannot be read, a network is unknown, a time is not a number above 0,
            or there are fewer than eight networks.
    """
    times: dict[str, list[float]] = {}
    candidates: dict[str, Candidate] = {}
    for place, name, milliseconds in _rows(Path(file)):
        times.setdefault(name, []).append(_time(place, milliseconds))
        if name not in candidates:
            candidates[name] = _candidate(place, name)
    if len(candidates) < FEWEST:
        raise InputError(
            f"{file}: has times of {len(candidates)} networks, but the fit needs at least "
            f"{FEWEST}; measure more, of different depths and widths"
        )
    measured = np.array([np.median(times[name]) for name in candidates])
    rows = [operation_counts(each) for each in candidates.values()]
    counts = np.array([[row[name] for name in COUNTED] for row in rows])
    ops = np.array([cost(each).ops for each in candidates.values()])
    predicted = held_out_times(counts, measured)
    errors = np.abs(predicted / measured - 1)
    prices = NS_PER_MS * fit_prices(counts, measured)
    return BoardFit(
        Board(**{_key(name): float(price) for name, price in zip(COUNTED, prices, strict=True)}),
        networks=len(candidates),
        median_error=float(np.median(errors)),
        high_error=float(np.quantile(errors, 0.9)),
        rank=float(stats.spearmanr(predicted, measured).statistic),
        rank_of_ops=float(stats.spearmanr(ops, measured).statistic),
    )


def board_milliseconds(board: Board, candidate: Candidate) -> float:
    """The expected time of one image on a device.

    Raises:
        CandidateError: the network has a layer that the runtime does not have.
    """
    prices = asdict(board)
    counts = operation_counts(candidate)
    return sum(prices[_key(name)] * counts[name] for name in COUNTED) / NS_PER_MS


def operation_counts(candidate: Candidate) -> dict[str, float]:
    """What the time of a network is made of, for one image: a number for each of `COUNTED`.

    Raises:
        CandidateError: the network has a layer that the runtime does not have.
    """
    price = cost(candidate)
    return {
        "flops": price.flops,
        "bops": price.bops,
        "sweeps": _sweeps(replace(candidate.without_recipe(), threshold=0.0)),
        "elements": sum(price.others.values()),
    }


@functools.lru_cache(maxsize=4096)
def _sweeps(network: Candidate) -> int:
    return len(make_schedule(candidate_graph(network)))


def fit_prices(counts: Floats, times: Floats) -> Floats:
    """Time for one of each count, at least 0, by least squares on the relative error.

    Args:
        counts: (networks, counts).
        times: (networks).

    Returns:
        (counts), in the unit of the times.
    """
    shares = counts / times[:, None]
    scale = np.maximum(shares.max(axis=0), 1e-300)
    prices: Floats = nnls(shares / scale, np.ones(len(times)))[0] / scale
    return prices


def held_out_times(counts: Floats, times: Floats) -> Floats:
    """The time of each network by a fit to other networks: ten folds, or each network alone.

    Arguments and result are as for `fit_prices`; (networks).
    """
    folds = np.random.default_rng(0).permutation(len(times)) % min(FOLDS, len(times))
    found = np.zeros(len(times))
    for fold in np.unique(folds):
        held_out = folds == fold
        found[held_out] = counts[held_out] @ fit_prices(counts[~held_out], times[~held_out])
    return found


def _key(name: str) -> str:
    """The field of `Board` with the price of a count."""
    return f"{name.removesuffix('s')}_ns"


def _rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """For each row: its place in the file, the network, and the milliseconds as text."""
    try:
        content = read_bytes(file, LARGEST_FILE).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(content), skipinitialspace=True)
        _check_columns(file, reader.fieldnames or ())
        for row in reader:
            name, milliseconds = ((row[column] or "").strip() for column in COLUMNS)
            yield f"{file}, line {reader.line_num}", name, milliseconds
    except FileNotFoundError:
        raise InputError(f"{file}: no such file") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file}: is not a CSV file in UTF-8: {error}; write one") from None


def _check_columns(file: Path, names: Sequence[str]) -> None:
    for column in COLUMNS:
        if column not in names:
            raise InputError(
                f"{file}: has no column `{column}`; its first line must name "
                f"{' and '.join(COLUMNS)}"
            )


def _candidate(place: str, name: str) -> Candidate:
    try:
        return named_candidate(name)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _time(place: str, milliseconds: str) -> float:
    try:
        value = float(milliseconds)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(
            f"{place}: milliseconds must be a number above 0, but got {milliseconds!r:.40}"
        )
    return value
