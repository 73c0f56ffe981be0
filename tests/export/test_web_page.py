"""Exported pages in a real browser, offline."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from browsers import Opened, needs_chromium, one_browser
from PIL import Image
from playwright.sync_api import Browser, expect

import ir2search as ir
from ir2search.data import normalised, read_image
from ir2search.data.digits import read_digits
from ir2search.errors import InputError
from ir2search.export import Origin, candidate_graph, describe
from ir2search.export.web_page import TEMPLATES, Drawing, drawing, write_web_page
from ir2search.kernels import web
from ir2search.kernels.inference import portable
from ir2search.models.network import TappedNetwork
from ir2search.runtime import Graph, ImageSpec, PackedNetwork, read_image_spec, read_packed
from ir2search.zoo.shipped import shipped_network

READY, ANSWERED = "html[data-ready=yes]", "html[data-answered=yes]"
PUBLISHED = Path(__file__).parents[2] / "docs" / "demo" / "digits-63k.html"
MARKUP = "</script><img src=x onerror=alert(1)><b>$title {0}\x00"
COLOUR = ir.Candidate(depth=8, width=0.25, image=(3, 9, 8))
GREY = ir.Candidate(depth=8, width=0.25, image=(1, 8, 8))

pytestmark = one_browser


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return read_digits(16).test_images[:12].numpy()


@pytest.fixture(scope="module")
def page_of_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("web") / "digits.html"
    return ir.export_shipped("digits-63k", file, "web").file


@pytest.fixture
def opened(browser: Browser, page_of_digits: Path) -> Opened:
    return Opened(browser, page_of_digits, READY, viewport={"width": 1400, "height": 900})


def png(pixels: np.ndarray, **options: Any) -> bytes:
    """Encode (C, H, W) pixels."""
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)).squeeze())
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def choose(opened: Opened, encoded: bytes, name: str = "image.png") -> dict[str, list[float]]:
    """Choose an image file; returns the pixels that the network got, and its logits."""
    opened.page.evaluate("delete document.documentElement.dataset.answered")
    opened.page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": encoded})
    opened.page.wait_for_selector(ANSWERED)
    return opened.page.evaluate("lastResult")


def expected_logits(graph: Graph, spec: ImageSpec, images: np.ndarray) -> np.ndarray:
    pixels = normalised(torch.from_numpy(images), spec.mean, spec.std)
    return PackedNetwork(graph, variant=portable()).logits(pixels.numpy())


def spec_of(candidate: ir.Candidate, **changes: Any) -> ImageSpec:
    channels = candidate.image[0]
    values = {"data": "some images", "mean": (0.4, 0.5, 0.6)[:channels], "std": (0.2,) * channels}
    names = tuple(f"class {label}" for label in range(candidate.classes))
    return ImageSpec(**{**values, "image": candidate.image, "class_names": names, **changes})


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@needs_chromium
def test_real_digits_have_the_logits_of_the_runtime_bit_for_bit(
    opened: Opened, digits: np.ndarray
) -> None:
    file = shipped_network("digits-63k").packed
    wanted = expected_logits(read_packed(file), read_image_spec(file), digits)
    for image, logits in zip(digits, wanted, strict=True):
        found = choose(opened, png(image))
        np.testing.assert_array_equal(found["pixels"], image.ravel())
        np.testing.assert_array_equal(np.float32(found["logits"]), logits)
        assert opened.page.inner_text("#answer").startswith(f"{logits.argmax()} (")
        assert opened.page.inner_text("tr.best th") == str(logits.argmax())
    assert "of image.png" in opened.page.inner_text("figcaption")
    assert opened.page.inner_text("#time").endswith(" ms for an image, in this browser")
    assert opened.complaints == []


@needs_chromium
@pytest.mark.parametrize(
    ("candidate", "crop"), [(COLOUR, "whole"), (GREY, "whole"), (GREY, "centre")]
)
def test_an_image_is_resized_as_predict_resizes_it(
    browser: Browser,
    trained: Callable[[ir.Candidate], TappedNetwork],
    tmp_path: Path,
    candidate: ir.Candidate,
    crop: Any,
) -> None:
    spec = spec_of(candidate, crop=crop)
    graph = describe(trained(candidate), candidate.image)
    page, image = tmp_path / "page.html", tmp_path / "image.png"
    write_web_page(page, graph, spec, Origin(), noise(5, *candidate.image))
    opened = Opened(browser, page, READY)
    assert not opened.page.locator("#sheet").is_visible()
    shapes = [(3, *candidate.image[1:]), (3, 20, 15), (1, 5, 31)]
    if crop == "whole":  # predict halves large images first if it crops them
        shapes += [(3, 200, 301)]
    for shape in shapes:
        image.write_bytes(png(noise(*shape)))
        wanted = read_image(image, spec)
        found = choose(opened, image.read_bytes())
        pixels = np.uint8(found["pixels"]).reshape(*candidate.image[1:], -1).transpose(2, 0, 1)
        own_size = crop == "whole" and shape[1:] == candidate.image[1:]
        np.testing.assert_allclose(pixels, wanted, atol=0 if own_size else 1)
        logits = expected_logits(graph, spec, pixels[None])[0]
        np.testing.assert_array_equal(np.float32(found["logits"]), logits)
    assert opened.complaints == []


@needs_chromium
def test_a_digit_is_drawn_with_the_mouse_or_with_the_keyboard(opened: Opened) -> None:
    page = opened.page
    assert page.inner_text("#answer") == "Draw a digit, or choose an image."
    box = page.locator("#sheet").bounding_box()
    assert box is not None
    for step in range(41):  # a circle
        angle = 2 * math.pi * step / 40
        x = box["x"] + box["width"] * (0.5 + 0.2 * math.sin(angle))
        y = box["y"] + box["height"] * (0.4 + 0.3 * math.cos(angle))
        page.mouse.move(x, y)
        if step == 0:
            page.mouse.down()
    page.mouse.up()
    expect(page.locator("#answer")).to_have_text(re.compile(r"0 \("))
    page.click("#clear")
    page.wait_for_selector("#result", state="hidden")
    page.focus("#sheet")
    for key in [*["ArrowUp"] * 6, "Space", *["ArrowDown"] * 12, "Space", "ArrowLeft"]:
        page.keyboard.press(key)
    expect(page.locator("#answer")).to_have_text(re.compile(r"1 \("))
    seen = np.reshape(page.evaluate("lastResult.pixels"), (16, 16))
    assert seen[:, 7:9].min() > 100, "a line from top to bottom"
    assert seen[:, [0, -1]].max() == 0
    page.focus("#undo")
    page.keyboard.press("Enter")
    page.wait_for_selector("#result", state="hidden")
    assert opened.complaints == []


@needs_chromium
def test_an_image_is_dropped_or_pasted_and_other_files_are_refused(
    opened: Opened, digits: np.ndarray
) -> None:
    page = opened.page
    for event in ("drop", "paste"):
        page.evaluate(
            """([event, bytes]) => {
              delete document.documentElement.dataset.answered;
              const files = new DataTransfer();
              files.items.add(new File([new Uint8Array(bytes)], "digit.png"));
              document.dispatchEvent(event === "drop"
                ? new DragEvent("drop", { dataTransfer: files })
                : new ClipboardEvent("paste", { clipboardData: files }));
            }""",
            [event, list(png(digits[0]))],
        )
        page.wait_for_selector(ANSWERED)
        assert page.evaluate("lastResult.pixels") == digits[0].ravel().tolist()
    page.set_input_files(
        "#file", {"name": "<b>.png", "mimeType": "image/png", "buffer": b"no image"}
    )
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("<b>.png: this browser cannot read it")
    choose(opened, png(digits[0]))
    assert not page.locator("#problem").is_visible()
    assert opened.complaints == []


@needs_chromium
def test_hostile_names_are_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    candidate = ir.Candidate(depth=8, width=0.25, image=(3, 8, 8), classes=30)
    spec = spec_of(candidate, data=MARKUP, class_names=(MARKUP,) * 30)
    file = tmp_path / "page.html"
    write_web_page(file, candidate_graph(candidate), spec, Origin(title=MARKUP), noise(2, 3, 8, 8))
    opened = Opened(browser, file, READY)
    choose(opened, png(noise(3, 8, 8)), MARKUP)
    shown = MARKUP.replace("\x00", r"\x00")
    assert opened.page.title() == shown
    assert opened.page.inner_text("h1") == shown
    assert shown in opened.page.inner_text("main > p")
    names = opened.page.locator("#classes th")
    assert set(names.all_inner_texts()) == {shown}
    assert names.count() == 10, "only the most probable of many classes"
    assert opened.page.locator("img, main b").count() == 0
    assert opened.complaints == []


@needs_chromium
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_axe_finds_no_accessibility_fault(
    browser: Browser, page_of_digits: Path, digits: np.ndarray, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    opened = Opened(browser, page_of_digits, READY, color_scheme=scheme, viewport=size)
    choose(opened, png(digits[0]))
    assert Axe().run(opened.page).response["violations"] == []
    assert not opened.is_too_wide()


def test_the_published_page_has_the_current_script_and_runtime() -> None:
    page = PUBLISHED.read_text()
    assert base64.b64encode(web.module()).decode() in page, "run `make wasm`"
    for name in ("page.js", "page.css"):
        assert (TEMPLATES / name).read_text() in page, "run `make wasm`"


def test_a_network_whose_images_no_browser_shows_is_refused(tmp_path: Path) -> None:
    candidate = ir.Candidate(depth=8, width=0.25, image=(2, 8, 8))
    with pytest.raises(InputError, match="images of 2 channels, but browsers show 1 or 3"):
        write_web_page(
            tmp_path / "a.html", candidate_graph(candidate), spec_of(candidate), Origin(),
            noise(2, 2, 8, 8),
        )  # fmt: skip
    assert not (tmp_path / "a.html").exists()


def test_digits_in_grey_are_drawn_like_those_of_the_training() -> None:
    names = tuple("0123456789")
    spec = spec_of(ir.Candidate(image=(3, 20, 20)), class_names=names)
    images = np.zeros((4, 3, 20, 20), np.uint8)
    images[:, :, 5:15, 8:12] = 200  # 10 pixels high
    found = drawing(images, spec)
    assert found == Drawing(20, 0.5, found.pen if found else 0, False)
    assert found.pen == pytest.approx(40 * 200 / 255 / 400 / (1.85 * 0.5), abs=1e-3)
    assert drawing(255 - images, spec) == Drawing(20, 0.5, found.pen, True)
    assert drawing(images, spec_of(GREY)) is None, "other classes"
    images[0, 0, 0, 0] = 1
    assert drawing(images, spec) is None, "a colour"
    assert drawing(np.zeros_like(images), spec) is None, "empty images"
    real = drawing(read_digits(16).train_images[:500].numpy(), spec_of(GREY, class_names=names))
    assert real is not None
    assert real.extent == pytest.approx(1, abs=0.01)
    assert 0.1 < real.pen < 0.2
