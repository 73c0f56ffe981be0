"""The pages of a report in a real browser, offline."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import Opened, needs_chromium, one_browser
from conftest import write_figures_once
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import Browser
from replay import replaying

import ir2search as ir
from ir2search.plots import save
from ir2search.report.html import image
from ir2search.study.sections import Confirm

CONTRAST = Path(__file__).with_name("contrast.js")
READY = "html[data-drawn=yes]"
MARKUP = "</script><script>document.title = 'taken'</script><img src=x onerror=alert(1)>"

pytestmark = [needs_chromium, one_browser]  # and one report


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory,
    finished_run: Path,
    fail_trial: Callable[[Path, int, str], None],
) -> Path:
    """The report of a run with further seeds and a failed trial with markup in its reason."""
    study = ir.load_study(finished_run / "study.toml")
    study = study.model_copy(update={"trials": 30, "confirm": Confirm(seeds=1)})
    folder = tmp_path_factory.mktemp("browser") / "quick"
    ir.run(study, folder, device="cpu", executor=replaying())
    fail_trial(folder, 0, MARKUP)
    with pytest.MonkeyPatch.context() as patch:
        write_figures_once(patch)
        ir.write_report(folder)
        ir.write_comparison(folder, finished_run, folder=folder / "report" / "compared")
    return folder / "report"


@pytest.fixture(scope="module")
def opened(browser: Browser, report: Path) -> Opened:
    found = Opened(browser, report / "index.html", READY)
    found.page.wait_for_selector("html[data-whole=yes]")
    return found


def test_the_page_works_offline_without_errors(opened: Opened) -> None:
    plots = opened.page.locator(".js-plotly-plot")
    drawn = {plots.nth(at).get_attribute("id") for at in range(plots.count())}
    assert drawn >= {
        "front", "card-curve", "card-layers", "progress", "curves",
        "importances", "dependence-accuracy", "dependence-ops", "parallel",
    }  # fmt: skip
    assert opened.complaints == []


def test_markup_in_a_reason_is_shown_as_text(opened: Opened) -> None:
    assert opened.page.title() == "quick - ir2search"
    assert opened.page.get_by_text(MARKUP).count() == 1, "it is shown as text"
    opened.page.fill("#trial", "0")
    opened.page.dispatch_event("#trial", "change")
    assert MARKUP in opened.page.inner_text("#card-name")
    assert opened.complaints == []


def test_hovering_shows_a_candidate_and_a_click_opens_its_card(
    opened: Opened, report: Path
) -> None:
    page = opened.page
    page.locator("button.pick").last.click()
    page.locator("#front").scroll_into_view_if_needed()
    knee = (
        page.locator("#front .scatterlayer .trace")
        .nth(4)
        .locator("path.point")
        .first.bounding_box()
    )
    assert knee is not None
    where = knee["x"] + knee["width"] / 2, knee["y"] + knee["height"] / 2
    page.mouse.move(*where)
    page.wait_for_selector("#front .hovertext")
    shown = page.text_content("#front .hovertext") or ""
    page.mouse.click(*where)
    page.wait_for_function("document.getElementById('card-title').textContent.includes('knee')")
    number = page.inner_text("#card-title").split(":")[0].removeprefix("Trial ")
    assert f"trial {number}" in shown
    row = ir.trials(report.parent).set_index("number").loc[int(number)]
    assert f"{row['accuracy']:.1%}" in page.inner_text("#card-values")


def test_the_front_has_test_points_and_intervals(opened: Opened, report: Path) -> None:
    page, front = opened.page, ir.front(report.parent)
    crosses = page.locator("#front .scatterlayer .trace").nth(3).locator("path.point")
    assert crosses.count() == front["test_accuracy"].notna().sum() > 1
    bars = page.locator("#front .scatterlayer .trace").nth(2).locator(".yerror")
    assert bars.count() == len(front)
    page.select_option("#front-y", "test_accuracy")
    assert page.text_content("#front .ytitle") == "test accuracy"
    page.select_option("#front-y", "accuracy")
    assert page.text_content("#front .ytitle") == "accuracy"


def test_axes_switch_between_costs_and_scales(opened: Opened) -> None:
    page = opened.page
    for column, label in (("memory_bytes", "memory (bytes)"), ("bops", "BOPs"), ("ops", "OPs")):
        page.select_option("#front-x", column)
        assert page.text_content("#front .xtitle") == label
    kinds = []
    for _ in range(2):
        page.locator("#front-log-x").click()
        kinds.append(page.evaluate("document.getElementById('front').layout.xaxis.type"))
    assert kinds == ["linear", "log"]
    page.check("#front-references")
    assert page.locator("#front .annotation").count() >= 2
    page.uncheck("#front-references")
    page.select_option("#progress-x", "epochs")
    assert page.text_content("#progress .xtitle") == "trained epochs"


def test_every_control_works_with_the_keyboard(opened: Opened) -> None:
    page = opened.page
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    controls = page.locator("button, select, input")
    expected = controls.evaluate_all("all => all.filter(one => one.checkVisibility()).length")
    page.evaluate("window.met = new Set()")
    for _ in range(expected + 150):
        page.keyboard.press("Tab")
        page.evaluate("window.met.add(document.activeElement)")
    reached = page.evaluate(
        "[...window.met].filter(one => one.matches('button, select, input')).length"
    )
    assert reached == expected
    page.focus("#dependence")
    before = page.text_content("#dependence-ops .xtitle")
    page.keyboard.press("ArrowDown")
    assert page.text_content("#dependence-ops .xtitle") != before
    page.locator("#members button.pick").last.focus()
    page.keyboard.press("Enter")
    last = page.locator("#members button.pick").last.inner_text()
    assert page.inner_text("#card-title").startswith(f"Trial {last}:")


@pytest.mark.parametrize("name", ["index.html", "compared/index.html"])
def test_axe_finds_no_accessibility_fault(browser: Browser, report: Path, name: str) -> None:
    looks = (("light", 1300), ("dark", 400))
    for scheme, width in looks:
        size = {"width": width, "height": 900}
        found = Opened(browser, report / name, READY, color_scheme=scheme, viewport=size)
        if name == "index.html":
            found.page.wait_for_selector("html[data-whole=yes]")
        results = Axe().run(found.page).response
        faults = [
            (fault["id"], [node["target"] for node in fault["nodes"]])
            for fault in results["violations"]
        ]
        assert faults == [], scheme
        wide = (
            "[...document.querySelectorAll('body *')]"
            ".filter(one => !one.closest('.scroll, figure, pre'))"
            ".filter(one => one.getBoundingClientRect().right > innerWidth)"
            ".map(one => one.id || one.className)"
        )
        assert not found.is_too_wide(), (scheme, found.page.evaluate(wide))
        assert found.complaints == []
        found.page.context.close()


def test_the_address_opens_a_trial(browser: Browser, report: Path) -> None:
    members = [str(number) for number in ir.front(report.parent)["number"]]
    file = report / "index.html"
    page = browser.new_context(offline=True).new_page()
    page.goto(f"{file.as_uri()}#trial-{members[-1]}")
    page.wait_for_selector("html[data-drawn=yes]")
    assert page.inner_text("#card-title").startswith(f"Trial {members[-1]}:")
    page.locator(f"#members button.pick[data-trial='{members[0]}']").click()
    assert page.evaluate("location.hash") == f"#trial-{members[0]}"
    page.evaluate(f"location.hash = '#trial-{members[-1]}'")
    page.wait_for_function(
        f"document.getElementById('card-title').textContent.startsWith('Trial {members[-1]}:')"
    )
    page.context.close()


def test_commands_can_be_copied(opened: Opened) -> None:
    page = opened.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.locator("#card-commands button").first
    command = page.locator("#card-commands code").first.inner_text()
    number = page.inner_text("#card-title").split(":")[0].removeprefix("Trial ")
    assert command == f"ir2search export quick --trial {number}"
    button.click()
    page.wait_for_function("getSelection().toString().startsWith('ir2search export')")
    assert page.locator(".picks li button").count() >= 3, "each pick has its commands"


def test_a_trial_has_one_colour_in_all_figures(opened: Opened) -> None:
    looks = """() => {
      const traces = (id) => document.getElementById(id).data;
      const { customdata, marker } = traces("front").find((each) => each.name === "front");
      const found = Object.fromEntries(customdata.map((n, at) => [n, [marker.color[at]]]));
      for (const each of document.getElementById("curves").layout.annotations) {
        found[each.text.replace("trial ", "")].push(each.font.color);
      }
      return found;
    }"""
    found = opened.page.evaluate(looks)
    assert len(found) > 2
    assert all(len(colours) == 2 and len(set(colours)) == 1 for colours in found.values())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_and_line_has_contrast(browser: Browser, report: Path, scheme: str) -> None:
    found = Opened(browser, report / "index.html", READY, color_scheme=scheme)
    found.page.wait_for_selector("html[data-whole=yes]")
    found.page.check("#front-references")
    weak = found.page.evaluate(CONTRAST.read_text())
    assert weak["checked"] > 300
    assert weak["below"] == []
    found.page.context.close()


def test_the_table_of_the_front_fits_a_window_of_a_laptop(browser: Browser, report: Path) -> None:
    size = {"width": 1400, "height": 900}
    found = Opened(browser, report / "index.html", READY, viewport=size)
    scroll = found.page.locator("[aria-label='Members of the front']")
    assert scroll.evaluate("one => one.scrollWidth - one.clientWidth") <= 1
    found.page.context.close()


def test_a_narrow_window_cuts_nothing_without_a_cue(browser: Browser, report: Path) -> None:
    size = {"width": 400, "height": 900}
    found = Opened(browser, report / "index.html", READY, viewport=size)
    cut = """() => [...document.querySelectorAll(".scroll")]
      .filter((one) => one.scrollWidth > one.clientWidth + 1)
      .map((one) => [one.getAttribute("aria-label"), getComputedStyle(one).backgroundImage])"""
    shown = dict(found.page.evaluate(cut))
    assert "Contents" in shown
    assert all("gradient" in shadow for shadow in shown.values())
    assert not {"Best network for each budget", "Members of the front"} & set(shown), "they fold"
    heads = "getComputedStyle(document.querySelector('#answers td'), '::before').content"
    assert found.page.evaluate(heads) != "none"
    nav = found.page.locator(".contents")
    found.page.evaluate("window.scrollTo(0, 3000)")
    box = nav.bounding_box()
    assert box is not None
    assert box["y"] == 0, "the contents stay in view"
    back = nav.evaluate("one => getComputedStyle(one).backgroundColor")
    assert back != "rgba(0, 0, 0, 0)", "text does not shine through the contents"
    found.page.context.close()


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_a_figure_has_the_colours_of_the_page(
    browser: Browser, tmp_path: Path, scheme: str, is_dark: bool
) -> None:
    save(drawn, tmp_path / "line")
    file = tmp_path / "page.html"
    style = "<style>:root { color-scheme: light dark; } body { margin: 0; }</style>"
    file.write_text(f"{style}<img src='{image(tmp_path / 'line.svg')}'>")
    page = browser.new_context(offline=True, color_scheme=scheme).new_page()  # type: ignore[arg-type]
    page.goto(file.as_uri())
    shot = page.locator("img").screenshot()
    with Image.open(io.BytesIO(shot)) as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (np.median(pixels) < 60) == is_dark, "the ground"
    assert pixels.max() > 200
    assert pixels.min() < 100, "the text differs from the ground"
    page.context.close()


def drawn() -> Figure:
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set_title("a title")
    return figure


def test_the_printed_page_has_figures_and_no_controls(opened: Opened) -> None:
    page = opened.page
    page.emulate_media(media="print")
    assert page.locator("figure.print").first.is_visible()
    assert not page.locator("#front").is_visible()
    assert not page.locator("#front-x").is_visible()
    page.emulate_media(media="screen")
    assert page.locator("#front").is_visible()
