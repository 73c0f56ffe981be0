"""What a notebook shows of runs, studies and networks."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

import ir2search as ir
from ir2search.errors import CandidateError
from ir2search.export import device_memory, layer_summary
from ir2search.notebook import MOST_ROWS, html_table
from ir2search.space import Candidate, Choice, Range


class Cells(HTMLParser):
    """The texts of a table's cells; fails at an element that is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_table_shows_markup_as_text_and_says_how_many_rows_are_left_out() -> None:
    page = html_table("a <b>", ("x",), [("<script>",)] * (MOST_ROWS + 2))
    assert Cells(page).texts.count("<script>") == MOST_ROWS
    assert "<script>" not in page
    assert "and 2 more rows" in page


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate(),
        Candidate(depth=14, width=0.5, taps=("stem",), fusion="dense", recipe=(("lr", 0.1),)),
        Candidate(stem_kernel=5, widths=(1.0, 2.0, 1.0)),
    ],
)
def test_the_text_of_a_candidate_makes_it_again(candidate: Candidate) -> None:
    assert eval(repr(candidate), {"Candidate": Candidate}) == candidate
    assert repr(Candidate()) == "Candidate()"
    assert candidate.id in "".join(Cells(candidate._repr_html_()).texts)


def test_a_cost_shows_its_total_and_its_layers() -> None:
    cost = ir.cost(Candidate())
    assert f"bops={cost.bops:,}" in repr(cost)
    assert len(repr(cost)) < 150
    texts = Cells(cost._repr_html_()).texts
    assert f"{cost.bops:,}" in texts
    assert "stage1.0.conv" in texts


def test_a_study_and_a_run_show_what_was_asked_and_found(finished_run: Path) -> None:
    run = ir.Run.open(finished_run)
    assert repr(run.study).startswith("Study('quick', 5 trials")
    assert len(repr(run.study)) < 120
    shown = Cells(run.study._repr_html_()).texts
    for name, domain in run.study.space.searched.items():
        assert shown[shown.index(name) + 1] == str(domain)
    assert str(Choice((8, 14))) == "8, 14"
    assert str(Range(0.0, 1.0, step=0.1)) == "0.0 to 1.0 in steps of 0.1"
    texts = Cells(run._repr_html_()).texts
    front = run.front()
    assert [f"trial {number}" for number in front["number"]] == [
        each for each in texts if each.startswith("trial ")
    ]


def test_a_run_without_trials_says_so(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes((finished_run / "study.toml").read_bytes())
    assert "no trials" in ir.Run.open(tmp_path)._repr_html_()


def test_a_packed_network_shows_its_image_and_its_layers(
    finished_run: Path, tmp_path: Path
) -> None:
    done = ir.export_trial(finished_run, "best", "packed", file=tmp_path / "a.packed")
    network = ir.load_packed(done.file)
    assert f"image={network.image}, classes=10" in repr(network)
    assert {unit.name for unit in network.units} <= set(Cells(network._repr_html_()).texts)


def test_a_summary_adds_up_to_the_cost_and_knows_shapes_and_ram() -> None:
    candidate = Candidate(depth=8, width=0.25, image=(1, 16, 16))
    found, cost, memory = ir.summary(candidate), ir.cost(candidate), device_memory(candidate)
    assert {name: found.total[name] for name in ("flops", "bops", "ops", "parameters")} == {
        name: getattr(cost, name) for name in ("flops", "bops", "ops", "parameters")
    }
    for name in ("flops", "bops", "ops", "parameters"):
        assert found.layers[name].sum() == found.total[name]
    layers = found.layers.set_index("layer")
    network = ir.build(candidate)
    assert layers.loc["stage1.0.conv", "bits"] == 1
    for name, shape in layers["shape"].dropna().items():
        weight = getattr(network.get_submodule(str(name)), "weight", None)
        if weight is not None and weight.ndim == 4:
            assert shape[0] == len(weight), name
    assert layers.loc["stage2.0.conv", "shape"][1:] == (8, 8)
    assert found.total["ram_bytes"] == memory.ram_bytes
    assert layers["ram_bytes"].max() == max(step.ram_bytes for step in memory.steps)
    assert "total" in Cells(found._repr_html_()).texts
    assert str(found).count("\n") == len(layers) + 2


def test_a_network_that_cannot_be_exported_has_no_ram(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(candidate: Candidate) -> None:
        raise CandidateError("too large")

    monkeypatch.setattr(layer_summary, "device_memory", refuse)
    found = ir.summary(Candidate(depth=8, width=0.25))
    assert found.total["ram_bytes"] is None
    assert found.layers["ram_bytes"].isna().all()
    assert "total" in str(found)
