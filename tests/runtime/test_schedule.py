from __future__ import annotations

from dataclasses import replace

import ir2search as ir
from ir2search.export import candidate_graph
from ir2search.runtime import Graph
from ir2search.runtime.schedule import Unit, make_schedule

VGG = ir.Candidate(
    backbone="cifar-vgg", depth=7, image=(3, 16, 16), width=0.1, taps=(), fusion="none"
)
RESNET = ir.Candidate(depth=8, image=(3, 8, 8), taps=(), fusion="none")


def units_of(candidate: ir.Candidate) -> tuple[Graph, tuple[Unit, ...]]:
    graph = candidate_graph(candidate)
    return graph, make_schedule(graph)


def test_every_value_is_made_before_it_is_read() -> None:
    for candidate in (
        RESNET,
        replace(RESNET, fusion="dense", taps=("stem", "stage1"), activation="rprelu"),
        ir.Candidate(backbone="cifar-basic-resnet", depth=18, image=(3, 8, 8), width=0.1),
        VGG,
    ):
        graph, units = units_of(candidate)
        made = {0}
        for unit in units:
            read = {unit.source} if unit.head is None else set(unit.head.inputs)
            assert made.issuperset(read if unit.shortcut is None else read | {unit.shortcut})
            made |= {value for value in (unit.real, unit.signs) if value is not None}
        assert len(graph.nodes) in made


def test_a_residual_unit_is_one_pass_with_its_norm_shortcut_activation_and_sign() -> None:
    _, units = units_of(RESNET)
    binary = [unit for unit in units if unit.kind == "binary_conv"]
    assert len(binary) == 6
    for unit in binary:
        assert unit.norm is not None
        assert unit.shortcut is not None
        assert unit.activation is not None
        assert unit.real is not None, "the next shortcut reads the numbers"
    assert all(unit.signs is not None for unit in binary[:-1])


def test_a_map_that_only_a_sign_reads_is_not_stored_as_numbers() -> None:
    _, units = units_of(
        ir.Candidate(backbone="cifar-basic-resnet", depth=18, image=(3, 8, 8), width=0.1)
    )
    alone = [unit for unit in units if unit.kind == "binary_conv" and unit.real is None]
    assert len(alone) == 8, "the first convolution of each block"


def test_a_sign_that_a_full_precision_convolution_reads_makes_numbers() -> None:
    _, units = units_of(replace(RESNET, weights="real"))
    signs = [unit for unit in units if unit.sign is not None]
    assert signs
    assert all(unit.signs is None and unit.real is not None for unit in signs)


def test_a_pooled_convolution_is_pooled_as_signs() -> None:
    _, units = units_of(VGG)
    pools = [unit for unit in units if unit.kind == "max_pool"]
    assert [unit.signs is not None for unit in pools] == [True, True, False]
