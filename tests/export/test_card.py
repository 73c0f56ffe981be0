from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image, ImageOps

import ir2search as ir
from ir2search.data import normalised, read_image
from ir2search.export import Format, Origin
from ir2search.export.card import _use, model_card
from ir2search.runtime import ImageSpec, Machine, RuntimeTime, Setting, Timing

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


@pytest.mark.parametrize("format", ["packed", "onnx", "safetensors"])
def test_the_lines_on_a_card_classify_an_image(
    format: Format,  # noqa: A002
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = ir.export_trial(finished_run, "best", format, file=tmp_path / f"a.{format}")
    pixels = np.random.default_rng(0).integers(0, 256, (21, 13, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    monkeypatch.chdir(tmp_path)
    command, lines = (
        re.findall(rf"```{language}\n(.+?)```", done.card.read_text(), re.DOTALL)[0]
        for language in ("console", "python")
    )
    assert command == f"ir2search predict a.{format} image.png\n"
    steps = [line for line in lines.splitlines() if line and not re.match("import|from", line)]
    assert len(steps) == 6
    exec(compile(lines, "card", "exec"), {})
    (best,) = ir.predict(done.file, ["image.png"], top=1)[0].classes
    assert best.name in capsys.readouterr().out.split()


@pytest.mark.parametrize(("crop", "channels"), [("whole", 3), ("centre", 3), ("whole", 1)])
def test_the_onnx_lines_prepare_an_image_as_predict_does(
    crop: Literal["whole", "centre"], channels: int, data: ir.ImageData, tmp_path: Path
) -> None:
    spec = ImageSpec("x", (channels, 12, 16), (0.4,) * channels, (0.3,) * channels, ("a", "b"))
    spec = replace(spec, crop=crop, image=(channels, 12, 12) if crop == "centre" else spec.image)
    rows, columns = np.mgrid[:48, :64]  # smooth, so that filters differ little
    pixels = np.stack([columns + 2 * rows, columns + rows, columns], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    lines = _use(EXPORTED | {"format": "onnx"}, spec).splitlines()
    code = "\n".join(line for line in lines if line.startswith(("image =", "pixels =")))
    names: dict[str, Any] = {
        "np": np,
        "Image": Image,
        "ImageOps": ImageOps,
        "about": spec.as_dict(),
    }
    exec(code.replace("image.png", str(tmp_path / "image.png")), names)
    expected = normalised(read_image(tmp_path / "image.png", spec)[None], spec.mean, spec.std)[0]
    found = names["pixels"].transpose(2, 0, 1)
    np.testing.assert_allclose(found, expected, atol=2.01 / 255 / 0.3)


def test_a_card_has_no_values_as_python_writes_them(data: ir.ImageData) -> None:
    for fusion in ("dense", "compact", "none"):
        candidate = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8), fusion=fusion)
        card = model_card(candidate, data, EXPORTED, Origin())
        for word in ("None", "True", "False", "['", "("):
            assert word not in card.partition("The network:")[2]
