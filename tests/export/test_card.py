from __future__ import annotations

import re

import numpy as np
import pytest
from markdown_it import MarkdownIt

import ir2search as ir
from ir2search.export import Origin
from ir2search.export.card import model_card
from ir2search.runtime import Machine, RuntimeTime, Setting, Timing

CANDIDATE = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))
EXPORTED = {
    "file": "a.packed",
    "format": "packed",
    "bytes": 12345,
    "images": 287,
    "largest_difference": 1e-6,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ir.ImageData:
    config = ir.DataConfig(source="digits", size=8)
    return ir.load_data(config, None, tmp_path_factory.mktemp("cache"), 0)


def test_a_card_says_what_is_not_known(data: ir.ImageData) -> None:
    card = model_card(CANDIDATE, data, EXPORTED, Origin())
    assert card.startswith("# A binary network\n")
    assert "License: not stated; state one before you share the file" in card
    assert "- test images: not measured" in card
    assert "## Latency\n\nnot measured; see `ir2search latency`" in card


def test_a_card_has_costs_and_how_to_normalise(data: ir.ImageData) -> None:
    card = model_card(CANDIDATE, data, EXPORTED, Origin(license="MIT"))
    price = ir.cost(CANDIDATE)
    assert "License: MIT" in card
    assert f"{price.flops:,} FLOPs, {price.bops:,} BOPs" in card
    assert f"with mean ({data.mean[0]:.4f})" in card
    assert "`packed`, 12,345 bytes" in card
    assert "on 287 validation images" in card


def test_accuracies_of_several_seeds_are_a_mean_with_its_deviation(data: ir.ImageData) -> None:
    accuracies = [0.9, 0.92, 0.97]
    card = model_card(CANDIDATE, data, EXPORTED, Origin(validation=accuracies, test=[0.5]))
    mean, deviation = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
    assert f"{mean:.1f} ± {deviation:.1f}% (mean and standard deviation of 3 seeds)" in card
    assert "- test images: 50.0% (one seed)" in card


def test_a_latency_is_for_one_image_and_corrected_by_the_pace(data: ir.ImageData) -> None:
    timing, setting = Timing(8e-3, 7.6e-3, 8.8e-3, 1234), Setting(threads=2, batch=4)
    time = RuntimeTime(timing, 2.0, setting, Machine("Z80", "abc"), 1)
    card = model_card(CANDIDATE, data, EXPORTED, Origin(latency=time))
    assert "1 ms per image (quartiles 0.95 ms to 1.1 ms, 1,234 calls)" in card
    assert "threads: 2; images per call: 4; processor: Z80." in card


def test_texts_of_others_bring_no_markup_into_a_card(data: ir.ImageData) -> None:
    hostile = "# [x](http://evil.example)\n\n<script>alert(1)</script> | `x` \x1b[31m"
    timing, setting = Timing(8e-3, 7.6e-3, 8.8e-3, 1234), Setting(threads=2, batch=4)
    kinds = []
    for value in (hostile, "x"):
        time = RuntimeTime(timing, 2.0, setting, Machine(value, "abc"), 1)
        origin = Origin(title=value, data=value, made=value, license=value, latency=time)
        card = model_card(CANDIDATE, data, EXPORTED, origin)
        assert card.replace("\n", "").isprintable()
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(card)
        inline = {child.type for token in tokens for child in token.children or ()}
        assert inline <= {"text", "code_inline", "softbreak"}
        kinds.append([token.type for token in tokens])
    assert kinds[0] == kinds[1], "the same headings, paragraphs and tables"


def test_a_card_says_how_to_use_the_file_and_how_to_train_the_network_again(
    data: ir.ImageData,
) -> None:
    origin = Origin(test=[0.925], test_images=360, first_hundred=94, command="ir2search train x")
    card = model_card(CANDIDATE, data, EXPORTED, origin)
    assert "92.5% (one seed), of 360 images; the 95% interval" in card
    assert "is 89.3 to 94.8%" in card
    assert "- the first 100 test images: 94 are right" in card
    assert "```console\nir2search train x\n```" in card
    for format in ("packed", "onnx", "safetensors"):  # noqa: A001
        use = model_card(CANDIDATE, data, EXPORTED | {"format": format}, origin)
        (block,) = re.findall(r"```python\n(.+?)```", use, re.DOTALL)
        compile(block, "card", "exec")
        assert '"a.packed"' in block


def test_a_card_has_no_values_as_python_writes_them(data: ir.ImageData) -> None:
    for fusion in ("dense", "compact", "none"):
        candidate = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8), fusion=fusion)
        card = model_card(candidate, data, EXPORTED, Origin())
        assert "None" not in card
        assert "['" not in card
