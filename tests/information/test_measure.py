from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from ir2search.data import Split
from ir2search.information.images import Images
from ir2search.information.measure import measure, steps
from ir2search.information.settings import Settings
from ir2search.measures.names import BINARY, PLAIN, TWIN
from ir2search.models.network import TappedNetwork
from ir2search.space import Candidate

Make = Callable[[Candidate], TappedNetwork]
Small = Callable[..., Candidate]
QUICK = Settings(methods=("gradient_x_activation", "deeplift"), steps=4)


pytestmark = pytest.mark.xdist_group("measure")  # its fixtures are made once


def images(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    pixels = torch.randn(count, 1, 8, 8, generator=generator)
    return Images(Split(pixels, labels), lambda normalised: normalised)


@pytest.fixture(scope="module")
def networks(small: Small, untrained: Make) -> dict[str, TappedNetwork]:
    """The networks of a measurement; tests do not change them."""
    candidate = small()
    plain = candidate.without_recovery()
    every = {BINARY: candidate, TWIN: candidate.twin(), PLAIN: plain}
    return {name: untrained(each) for name, each in every.items()}


def measured(networks: dict[str, TappedNetwork], settings: Settings = QUICK) -> pd.DataFrame:
    return measure(networks, images(20, 1), images(60, 2), settings)


@pytest.fixture(scope="module")
def table(networks: dict[str, TappedNetwork]) -> pd.DataFrame:
    return measured(networks)


def test_measures_are_within_their_ranges_and_their_intervals(table: pd.DataFrame) -> None:
    sides = {"input": 8, "stem": 8, "stage1": 8, "stage2": 4, "stage3": 2, "recovery": 2}
    shares = {
        "kept share", "effective support", "bypass share", "cosine with the twin",
        "linear CKA with the twin", "dead channels", "saturated channels", "flipped signs",
        "quantisation error", "quantisation error after", "sign entropy", "channel entropy",
        "deletion AUC", "insertion AUC",
    }  # fmt: skip
    assert shares < set(table["measure"])
    for row in table.itertuples():
        value = row.value
        if row.measure in shares:
            assert -1e-9 <= value <= 1 + 1e-9, row
        if row.measure == "attribution entropy":
            assert -1e-9 <= value <= 2 * math.log2(sides[row.layer.split(".")[0]]) + 1e-9
        if row.measure in ("Spearman with the twin", "SSIM with the twin") and value == value:
            assert -1 - 1e-9 <= value <= 1 + 1e-9
        if row.measure == "usable information":
            assert value <= math.log2(10) + 1e-6
        if row.low == row.low and "CKA" not in row.measure and "entropy" not in row.measure:
            assert row.low - 1e-9 <= value <= row.high + 1e-9, row
    assert set(table["unit"]) == {"share", "bits", "logit²", "ratio", "points", "dB"}


def test_information_loss_is_the_drop_from_the_layer_before(
    networks: dict[str, TappedNetwork], table: pd.DataFrame
) -> None:
    table = table.set_index(["network", "layer"])
    usable = table[table["measure"] == "usable information"]["value"]
    lost = table[table["measure"] == "information loss"]["value"]
    for name in networks:
        differences = -usable[name].diff().iloc[1:]
        pd.testing.assert_series_equal(differences, lost[name], check_names=False)
    by_seed = table[table["measure"] == "usable information by seed"]["value"]
    means = by_seed.groupby(level=[0, 1]).mean()
    pd.testing.assert_series_equal(means.loc[usable.index], usable, check_names=False)


def test_a_network_compared_with_itself_has_similarity_one(
    networks: dict[str, TappedNetwork],
) -> None:
    same = {BINARY: networks[BINARY], TWIN: networks[BINARY]}
    table = measured(same)
    for name in ("cosine", "Spearman", "SSIM", "linear CKA"):
        alike = table[table["measure"] == f"{name} with the twin"]["value"].dropna()
        assert len(alike)
        assert alike.to_numpy() == pytest.approx(1)
    assert (table[table["measure"] == "attribution loss"]["value"] == 0).all()


def test_measures_are_reproducible(networks: dict[str, TappedNetwork], table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(table, measured(networks), rtol=1e-6)


def test_a_network_without_a_twin_has_no_comparisons(
    networks: dict[str, TappedNetwork],
) -> None:
    table = measured({BINARY: networks[BINARY]})
    assert set(table["network"]) == {BINARY}
    assert not table["measure"].str.contains("twin").any()


def test_the_memory_limit_changes_no_measure(networks: dict[str, TappedNetwork]) -> None:
    many, given = images(60, 1), images(60, 2)
    little, told = replace(QUICK, memory=1), list[str]()
    one = measure(networks, many, given, QUICK)
    other = measure(networks, many, given, little, told.append)
    assert len(told) == steps(networks, many, given, little) > steps(networks, many, given, QUICK)
    columns = ["network", "layer", "method", "measure"]
    both = [table.sort_values(columns, kind="stable")["value"].to_numpy() for table in (one, other)]
    np.testing.assert_allclose(*both, rtol=1e-3, atol=1e-4)


def test_only_chosen_layers_are_measured_and_each_step_is_reported(
    networks: dict[str, TappedNetwork],
) -> None:
    settings = replace(QUICK, layers=("stem", "stage2.1", "recovery"))
    told: list[str] = []
    table = measure(networks, images(12, 1), images(40, 2), settings, told.append)
    assert len(told) == steps(networks, images(12, 1), images(40, 2), settings)
    layers = set(table[table["method"] != "random order"]["layer"])
    assert layers == {"stem", "stage2.1", "recovery", "stage2.1.conv", "input", "network"}
    of_input = table[table["layer"] == "input"]["measure"]
    assert of_input.str.contains("AUC|curve|chance|fidelity|sensitivity|similarity").all()
