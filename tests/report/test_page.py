from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from replay import replaying

import ir2search as ir
from ir2search.errors import MissingExtraError, RunError
from ir2search.study.loading import parse_study
from ir2search.trust import trusts_page

pytestmark = pytest.mark.xdist_group("page")  # its fixtures are made once


@pytest.fixture(scope="module")
def reported_run(
    finished_run: Path,
    tmp_path_factory: pytest.TempPathFactory,
    fail_trial: Callable[[Path, int, str], None],
) -> Path:
    """A copy of the finished run with a failed trial, whose reason has markup, and its report."""
    folder = tmp_path_factory.mktemp("copy") / "quick"
    shutil.copytree(finished_run, folder)
    trained = ir.trials(folder).dropna(subset="accuracy")["number"]
    dominated = sorted(set(trained) - set(ir.front(folder)["number"]))
    fail_trial(folder, dominated[0], "<script>alert(1)</script>")
    ir.write_report(folder)
    return folder


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def values(self, *names: str) -> list[str]:
        return [value for name, value in self.attributes if name in names]


@pytest.fixture
def page(reported_run: Path) -> Page:
    return Page((reported_run / "report" / "index.html").read_text())


def test_the_page_loads_no_other_file_and_links_those_beside_it(
    page: Page, reported_run: Path
) -> None:
    assert page.tags["script"] == 3, "values, plotly.js and the page's script"
    assert not page.tags["link"]
    loaded = page.values("src", "xlink:href", "action")
    assert loaded, "the figures"
    assert all(value.startswith("data:image/svg+xml;base64,") for value in loaded)
    beside = [value for value in page.values("href") if not value.startswith("#")]
    assert {"front.csv", "front.tex", "trials.parquet"} <= set(beside)
    assert [name for name in beside if not (reported_run / "report" / name).is_file()] == []
    assert not page.tags["svg"], "figures are images, which cannot run script"


def test_ids_are_unique_and_references_find_them(page: Page) -> None:
    ids = Counter(page.values("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = {v[1:] for v in page.values("href", "xlink:href") if v.startswith("#")}
    wanted |= {
        name for _, value in page.attributes for name in re.findall(r"url\(#([^)]+)\)", value)
    }
    assert wanted <= set(ids)


def test_the_page_shows_every_front_member_and_every_failure(reported_run: Path) -> None:
    text = (reported_run / "report" / "index.html").read_text()
    for row in ir.front(reported_run).itertuples():
        number = rf'<button class="pick" data-trial="{row.number}">{row.number}</button>'
        interval = rf"{100 * row.accuracy_low:.1f} to {100 * row.accuracy_high:.1f}%"
        accuracy = rf"<span>{row.accuracy:.1%} \({interval}\)</span>"
        cells = rf'<div>{number}( \(knee\))?</div></td>\s*<td data-head="validation">'
        assert re.search(rf"{cells}\s*<div>\s*{accuracy}\s*</div>", text)
    for sentence in ir.status(reported_run).advice:
        assert sentence in text
    assert "1 trial failed." in text


def test_a_section_with_too_little_to_say_is_left_out(reported_run: Path, page: Page) -> None:
    sections = [value for value in page.values("href") if value.startswith("#")]
    assert "#pareto" in sections
    assert "#parameters" not in sections, "a few trials show no importances"
    text = (reported_run / "report" / "index.html").read_text()
    assert "Which parameters matter" not in text
    assert "sample of the other candidates" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_tables_have_the_values_of_the_run(reported_run: Path) -> None:
    report = reported_run / "report"
    trials = pd.read_parquet(report / "trials.parquet")
    expected = ir.trials(reported_run)
    assert list(trials["number"]) == list(expected["number"])
    np.testing.assert_array_equal(trials["accuracy"], expected["accuracy"])
    front = pd.read_csv(report / "front.csv")
    assert list(front["number"]) == list(ir.front(reported_run)["number"])
    wanted = {"accuracy", "test_accuracy", "ops", "flops", "bops", "memory_bytes", "is_knee"}
    assert wanted <= set(front.columns)
    assert front["test_accuracy"].notna().all()


@pytest.mark.parametrize("name", ["front", "hypervolume", "curves"])
def test_every_figure_is_written_as_png_svg_and_pdf(reported_run: Path, name: str) -> None:
    figures = reported_run / "report" / "figures"
    with Image.open(figures / f"{name}.png") as image:
        assert min(image.size) > 400
        assert np.asarray(image.convert("L")).std() > 5, "something is drawn"
    assert ElementTree.parse(figures / f"{name}.svg").getroot().tag.endswith("svg")
    for suffix, inches in (("", 7.0), ("-column", 3.4)):
        pdf = (figures / f"{name}{suffix}.pdf").read_bytes()
        box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf)
        assert box is not None
        assert float(box[1]) / 72 == pytest.approx(inches, rel=0.06), "as wide as a paper's columns"


def test_a_second_report_has_the_same_bytes(reported_run: Path) -> None:
    def files() -> dict[str, bytes]:
        report = reported_run / "report"
        return {str(p.relative_to(report)): p.read_bytes() for p in report.rglob("*.*")}

    before = files()
    ir.write_report(reported_run)
    assert files() == before


def failing(candidate: ir.Candidate, seed: int, epochs: int) -> list[float]:
    raise ValueError("no weights")


@pytest.mark.usefixtures("figures_once")
def test_a_run_in_which_every_trial_failed_has_a_report_that_names_the_tracebacks(
    quick: dict[str, Any], tmp_path: Path
) -> None:
    study = parse_study({**quick, "trials": 1}, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", executor=replaying(curve=failing))
    page = ir.write_report(tmp_path / "run")
    assert trusts_page(page)
    text = page.read_text()
    assert "No candidate has finished training yet" in text
    assert "ValueError: no weights; see trials/0/error.txt" in text


@pytest.mark.usefixtures("figures_once")
def test_three_objectives_have_a_panel_each(quick: dict[str, Any], tmp_path: Path) -> None:
    values = {**quick, "trials": 2, "objectives": ["memory", "accuracy", "ops"]}
    study = parse_study(values, "a.toml")
    ir.run(study, tmp_path / "run", device="cpu", executor=replaying())
    ir.write_report(tmp_path / "run")
    figure = ElementTree.parse(tmp_path / "run" / "report" / "figures" / "front.svg").getroot()
    assert float(figure.get("width", "")[:-2]) > 2 * float(figure.get("height", "")[:-2])


def test_without_plotly_a_report_names_the_extra_to_install(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(MissingExtraError, match=r"plotly is not .* 'ir2search\[report\]'"):
        ir.write_report(finished_run)
    assert not (finished_run / "report").exists()


def test_the_error_for_a_folder_without_a_run_names_runs_beside_it(finished_run: Path) -> None:
    with pytest.raises(RunError, match=r"quik: no run in this folder; did you mean 'quick'\?"):
        ir.write_report(finished_run.parent / "quik")


def test_the_error_for_a_name_without_a_run_names_runs(
    finished_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR2SEARCH_RUNS", str(finished_run.parent))
    with pytest.raises(RunError, match=r"^quik: no run in this folder; did you mean 'quick'\?"):
        ir.Run.open("quik")


def test_a_run_without_a_trial_has_no_report(quick: dict[str, Any], tmp_path: Path) -> None:
    class Stop(ir.RunObserver):
        def on_start(self, *_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ir.run(parse_study(quick, "a.toml"), tmp_path / "run", device="cpu", observer=Stop())
    with pytest.raises(RunError, match="has not started any trial yet; run it first"):
        ir.write_report(tmp_path / "run")
