"""The page of a run's folder that somebody else made runs no script but its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from browsers import needs_chromium
from playwright.sync_api import Browser, Page

import ir2search as ir
from ir2search.errors import RunError
from ir2search.files import protect
from ir2search.information.figures import FIGURES, OPTIONAL
from ir2search.report.analyses import read_analyses

TAKEN = "document.documentElement.dataset.taken = 'yes'; alert(1)"
HOSTILE = (
    f'x"\'><script>{TAKEN}</script></script><img src=x onerror="{TAKEN}">'
    f'<svg onload="{TAKEN}"></svg>'
    f'<a href="javascript:{TAKEN}">link</a><a href="https://evil.example">link</a>'
    "<b>bold</b>{{ 7 * 7 }}%{x}\x1b\x00"
)
SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
 width="100" height="50" onload="{TAKEN}"><script>{TAKEN}</script>
<image href="https://evil.example/x.png"/><a xlink:href="javascript:{TAKEN}"><rect width="100"
 height="50" fill="red"/></a><foreignObject><body xmlns="http://www.w3.org/1999/xhtml"><iframe
 src="javascript:{TAKEN}"/></body></foreignObject></svg>"""


def write_analysis(folder: Path, name: str = HOSTILE) -> None:
    """An analysis with a layer and a method of a name, and with hostile figures."""
    folder.mkdir(parents=True)
    rows = [("attention", "effective support"), (name, "faithfulness beyond chance")]
    rows.append((name, "similarity after randomisation"))
    table = pd.DataFrame(rows, columns=["method", "measure"])
    table = table.assign(network="binary", layer=name, value=0.5, low=0.4, high=0.6)
    table.to_parquet(folder / "information.parquet")
    for figure in FIGURES:
        (folder / f"{figure}.svg").write_text(SVG)
    (folder / "layers.csv").touch()


@pytest.fixture
def hostile_run(
    finished_run: Path, fail_trial: Callable[[Path, int, str], None], tmp_path: Path
) -> Path:
    """A run of which every text that its files can change is hostile."""
    folder = shutil.copytree(finished_run, tmp_path / "quick")
    fail_trial(folder, 0, HOSTILE)
    write_analysis(folder / "trials" / "1" / "information")
    write_analysis(folder / "trials" / "1 onload=alert(1)" / "information")
    write_analysis(folder / "trials" / '"><script>alert(1)<' / "information")
    for file in folder.glob("trials/*/cost.json"):
        cost = json.loads(file.read_text())
        for at, row in enumerate(cost["layers"]):
            row["name"] = HOSTILE + str(at)
        file.write_text(json.dumps(cost))
    environment = folder / "environment.json"
    known = json.loads(environment.read_text())
    for session in known["sessions"]:
        for key in ("started", "python", "platform", "cpu", "gpu", "device"):
            session[key] = HOSTILE
        session["command"] = ["ir2search", HOSTILE]
        session["versions"] = {HOSTILE: HOSTILE}
    environment.write_text(json.dumps(known))
    return folder


def opened(browser: Browser, file: Path) -> tuple[Page, list[str]]:
    """A page, and what it did that it must not do."""
    page, deeds = browser.new_context(offline=True).new_page(), []
    page.on("pageerror", lambda error: deeds.append(str(error)))
    page.on("dialog", lambda dialog: (deeds.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda said: said.type == "error" and deeds.append(said.text))

    def note(url: str) -> None:
        if url != file.as_uri() and not url.startswith("data:"):
            deeds.append(url)

    page.on("request", lambda request: note(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-whole=yes]")
    return page, deeds


@needs_chromium
@pytest.mark.xdist_group("browser")
@pytest.mark.usefixtures("figures_once")
def test_hostile_names_and_figures_run_nothing_and_the_page_works(
    browser: Browser, hostile_run: Path
) -> None:
    page, deeds = opened(browser, ir.write_report(hostile_run))
    page.fill("#trial", "0")  # the failed one
    page.dispatch_event("#trial", "change")
    for button in page.locator("button.pick").all():
        button.click()
    page.evaluate("Plotly.Fx.hover('card-layers', [{ curveNumber: 0, pointNumber: 0 }])")
    assert "<script>" in page.inner_text("#card-layers"), "names of layers are text"
    images = page.locator("figure:not(.print) img")
    wanted = len(FIGURES.keys() - OPTIONAL)  # this analysis changed no precision
    assert images.count() == wanted, "the folder that is no trial is left out"
    assert images.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
    for image in images.all():
        image.click()
    assert page.locator("iframe").count() == 0
    links = page.locator("a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert not [link for link in links if ":" in link or link[0] == "x"], "only parts and files"
    assert page.evaluate("document.documentElement.dataset.taken") is None
    assert deeds == []
    assert "49" not in page.inner_text("pre + p")


@needs_chromium
@pytest.mark.xdist_group("browser")
@pytest.mark.usefixtures("figures_once")
def test_the_policy_stops_a_script_that_is_written_into_the_page(
    browser: Browser, finished_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(finished_run, tmp_path / "quick")
    file = ir.write_report(folder)
    text = file.read_text()
    injected = f"<script>{TAKEN}</script><img src='https://evil.example/x.png'>"
    injected += "<p onclick=alert(1)>x</p>"
    file.write_text(text.replace("<main>", f"<main>{injected}"))
    page, deeds = opened(browser, file)
    page.locator("p").first.click()
    assert page.evaluate("document.documentElement.dataset.taken") is None
    refused = [deed for deed in deeds if "Content Security Policy" in deed]
    assert len(refused) == 3, "script, image and handler"
    assert len(deeds) == len(refused) + 1, "the image's address, which is not fetched"


def big(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1 << 30)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def other_columns(file: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(file)


def other_types(file: Path) -> None:
    pd.read_parquet(file).assign(value="x").to_parquet(file)


def link_out(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("information.parquet", big),
        ("information.parquet", fifo),
        ("information.parquet", other_columns),
        ("information.parquet", other_types),
        ("information.parquet", Path.unlink),
        ("information.parquet", link_out),
        ("information.parquet", lambda file: file.write_bytes(b"PAR1 no table PAR1")),
        ("flow.svg", big),
        ("flow.svg", fifo),
        ("flow.svg", Path.unlink),
        ("flow.svg", link_out),
    ],
)
def test_a_damaged_analysis_is_named_in_one_sentence(
    tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    analysis = tmp_path / "trials" / "1" / "information"
    protect(tmp_path)
    write_analysis(analysis, "stem")
    assert [each.number for each in read_analyses(tmp_path)] == [1]
    damage(analysis / name)
    with pytest.raises(RunError, match=name):
        read_analyses(tmp_path)
