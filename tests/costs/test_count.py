from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import ir2search as ir
from ir2search.costs import count as counting
from ir2search.costs.count import _backbone_rows, _feature_shapes
from ir2search.errors import CandidateError
from ir2search.models.families import FAMILIES
from ir2search.space import Candidate, build

CANDIDATES = [
    Candidate(),
    Candidate(fusion="none"),
    Candidate(fusion="dense"),
    Candidate(depth=8, width=0.25, taps=("stage1",), fusion_channels=5, image=(1, 16, 16)),
    Candidate(depth=14, width=1.5, fusion_ratio=2.0, fusion_group_size=4, classes=100),
    Candidate(depth=8, weights="real", activations="real", image=(2, 33, 17)),
    Candidate(depth=8, activations="real"),
]
over_candidates = pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda c: c.id)


def test_resnet20_costs_what_the_released_network_costs() -> None:
    price = ir.cost(Candidate())
    assert price.parameters == 272_458
    assert price.binary_parameters == 267_264
    assert price.bops == 40_108_032
    assert price.flops == 601_728
    assert price.ops == 601_728 + 40_108_032 / 64 == 1_228_416
    assert {"batch_norm", "pooling", "activation", "sign", "add"} <= set(price.others)


@over_candidates
def test_multiply_accumulates_equal_those_of_torchs_counter(candidate: Candidate) -> None:
    network = build(candidate).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *candidate.image))
    price = ir.cost(candidate)
    assert 2 * (price.flops + price.bops) == counter.get_total_flops()


@over_candidates
def test_parameters_and_memory_equal_those_of_the_built_network(candidate: Candidate) -> None:
    network = build(candidate)
    price = ir.cost(candidate)
    binary = sum(
        part.weight.numel()
        for name, part in network.named_modules()
        if isinstance(part, nn.Conv2d) and name.endswith(".conv") and candidate.weights == "binary"
    )
    total = sum(parameter.numel() for parameter in network.parameters())
    buffers = sum(buffer.numel() for buffer in network.buffers())
    assert price.parameters == total
    assert price.binary_parameters == binary
    assert price.memory_bytes == binary / 8 + 4 * (total - binary + buffers)


@over_candidates
def test_layers_add_up_to_the_totals_and_are_modules_of_the_network(candidate: Candidate) -> None:
    price = ir.cost(candidate)
    table = price.layers
    columns = ["flops", "bops", "parameters", "binary_parameters", "memory_bytes"]
    for name in columns:
        assert table[name].sum() == getattr(price, name)
    for kind, count in price.others.items():
        assert table[kind].sum() == count
    modules = dict(build(candidate).named_modules())
    assert set(table["name"]) <= set(modules)
    for row in table.itertuples():
        assert row.type == type(modules[str(row.name)]).__name__


def test_the_costs_of_a_binary_and_a_real_layer_by_hand() -> None:
    table = ir.cost(Candidate()).layers.set_index("name")
    first = table.loc["stage2.0.conv"]  # 16 to 32 channels, 3 x 3, 16 x 16 places after stride 2
    assert first["bops"] == 16 * 32 * 9 * 16 * 16
    assert first["flops"] == 0
    assert first["memory_bytes"] == 16 * 32 * 9 / 8
    stem = table.loc["stem.0"]
    assert (stem["flops"], stem["bops"]) == (3 * 16 * 9 * 32 * 32, 0)
    assert stem["memory_bytes"] == 3 * 16 * 9 * 4


def test_layers_with_real_activations_or_weights_have_no_bops() -> None:
    price, twin = ir.cost(Candidate()), ir.cost(Candidate().twin())
    assert twin.bops == twin.binary_parameters == 0
    assert twin.flops == price.flops + price.bops
    half = ir.cost(Candidate(activations="real"))
    assert half.bops == 0
    assert half.binary_parameters == price.binary_parameters, "its weights are stored in 1 bit"


def test_the_precision_of_a_layer_changes_the_costs_of_this_layer_alone() -> None:
    price = ir.cost(Candidate()).layers.set_index("name")
    mixed = Candidate(int8_layers=("stage2",), real_layers=("stage3.1",))
    changed = ir.cost(mixed).layers.set_index("name").loc[price.index]
    columns = ["flops", "bops", "binary_parameters", "memory_bytes"]
    same = (changed[columns] == price[columns]).all(axis=1)
    released = [f"stage2.{unit}.conv" for unit in range(6)]
    assert set(changed.index[~same]) == {*released, "stage3.1.conv"}
    assert (changed["bops"][released] == 8 * price["bops"][released]).all(), "eight bit planes"
    assert (changed["memory_bytes"][released] == price["memory_bytes"][released]).all()
    real = changed.loc["stage3.1.conv"]
    assert (real["flops"], real["bops"]) == (price["bops"]["stage3.1.conv"], 0)
    assert real["memory_bytes"] == 4 * 64 * 64 * 9


def test_compact_fusion_saves_what_the_paper_says() -> None:
    dense, compact = (
        ir.cost(Candidate(fusion=fusion)).layers.set_index("name")["flops"]
        for fusion in ("dense", "compact")
    )
    ratio = dense.filter(like="recovery").sum() / compact.filter(like="recovery").sum()
    # n (16 + 16 + 32 + 64) against m (the same) + 9 m (s - 1), with n = 64, m = 16, s = 4
    assert ratio == pytest.approx(64 * 128 / (16 * 128 + 9 * 16 * 3))


@pytest.mark.parametrize("normalization", ["map", "column"])
def test_restriction_costs_nothing_at_inference(normalization: Any) -> None:
    without = ir.cost(Candidate(threshold=0.0))
    assert ir.cost(Candidate(threshold=0.9, normalization=normalization)) == without


def test_options_beyond_the_paper_add_parameters_and_element_operations() -> None:
    price, more = (
        ir.cost(Candidate(depth=8, **fields))
        for fields in ({}, {"shift": True, "activation": "rprelu", "standardise": True})
    )
    assert (more.flops, more.bops) == (price.flops, price.bops)
    assert more.binary_parameters == price.binary_parameters
    assert more.others["add"] > price.others["add"]
    assert more.others["sign"] == price.others["sign"]
    # 6 convolutions' thresholds; 7 activations and the fusion's two with 3 numbers a channel
    thresholds = 16 + 16 + 16 + 32 + 32 + 64
    channels = 16 + (16 + 16) + (32 + 32) + (64 + 64) + 16 + 48
    assert more.parameters - price.parameters == thresholds + 3 * channels


def test_a_second_candidate_with_the_same_backbone_traces_only_the_recovery() -> None:
    ir.cost(Candidate(depth=8, width=0.5, fusion_channels=4))
    traced = _backbone_rows.cache_info().misses, _feature_shapes.cache_info().misses
    ir.cost(Candidate(depth=8, width=0.5, fusion_channels=5, taps=("stem",), threshold=0.9))
    assert (_backbone_rows.cache_info().misses, _feature_shapes.cache_info().misses) == traced


def test_another_threshold_needs_no_counting() -> None:
    assert ir.cost(Candidate(depth=8, threshold=0.9)) is ir.cost(Candidate(depth=8, threshold=0.15))


@pytest.mark.parametrize("size", [2**50, 2**62, 2**70])
def test_a_network_larger_than_the_memory_raises_a_memory_error(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "build", lambda candidate: torch.empty(size, device="cpu"))
    with pytest.raises(MemoryError):
        ir.cost(Candidate(depth=8, width=0.375))


def test_counting_does_not_change_the_random_state() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    ir.cost(Candidate(depth=26))
    assert torch.equal(torch.rand(1), expected)


def test_a_cost_as_json_has_the_names_of_its_attributes() -> None:
    price = ir.cost(Candidate(depth=8))
    values = json.loads(json.dumps(price.as_dict()))
    for name in ("flops", "bops", "ops", "parameters", "binary_parameters", "memory_bytes"):
        assert values[name] == getattr(price, name)
    assert [row["name"] for row in values["layers"]] == list(price.layers["name"])
    assert "layers" not in price.totals()


@st.composite
def shapes(draw: st.DrawFn) -> Candidate:
    """Small candidates of each backbone with random shapes of the stem and of each stage."""
    backbone, depth = draw(
        st.sampled_from([("cifar-resnet", 8), ("cifar-basic-resnet", 18), ("cifar-vgg", 7)])
    )
    stages = FAMILIES[backbone].stages
    kernel, stride = draw(st.sampled_from([(3, 1), (1, 1), (5, 2), (2, 2), (4, 4)]))
    inner = st.sampled_from([0.5, 1.0, 1.7])
    try:
        return Candidate(
            backbone=backbone,
            depth=depth,
            width=draw(st.sampled_from([0.02, 0.06])),
            taps=("stem",),
            stem=draw(st.sampled_from(["real", "int8", "thermometer"])),
            stem_levels=draw(st.integers(1, 5)),
            stem_width=draw(inner),
            stem_kernel=kernel,
            stem_stride=stride,
            widths=(1.0, *(draw(inner) for _ in stages[1:])),
            kernels=tuple(draw(st.sampled_from([1, 3, 5])) for _ in stages),
            groups=(1, *(draw(st.sampled_from([1, 1, 2])) for _ in stages[1:])),
            image=(draw(st.integers(1, 3)), draw(st.sampled_from([32, 41])), 32),
        )
    except CandidateError:
        assume(False)  # groups that do not divide the channels
        raise


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(shapes())
def test_counts_equal_those_of_the_shapes_that_a_forward_pass_shows(candidate: Candidate) -> None:
    network, seen = build(candidate).eval(), []

    def see(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        is_stem, window = not seen, math.prod(module.weight.shape[1:])
        planes = 8 if is_stem and candidate.stem == "int8" else 1
        seen.append((isinstance(module, ir.BinaryConv2d), planes * output.numel() * window))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(see)
    with torch.no_grad():
        maps, last = network.feature_maps(torch.zeros(1, *candidate.image))
        network.head(network.recovery(last, *(maps[name] for name in candidate.taps)))
    price = ir.cost(candidate)
    assert price.bops == sum(count for is_binary, count in seen if is_binary)
    assert price.flops == sum(count for is_binary, count in seen if not is_binary)
    found = [each.shape[1] for each in (*maps.values(), last)]
    assert tuple(found) == candidate.channels
