"""A user's own backbone, data set, objective, measure and sampler, as in docs/extending.md."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
MODULE = "\n".join(code for language, code in BLOCKS if language == "python")
STUDY = next(code for language, code in BLOCKS if language == "toml")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Write the module and the study of the page, with changes."""

    def write(*, module: str = "", study: tuple[str, str] = ("", "")) -> Path:
        (tmp_path / "mine.py").write_text(MODULE + module)
        file = tmp_path / "own.toml"
        file.write_text(STUDY.replace(*study) if study[0] else STUDY)
        return file

    return write


@pytest.mark.usefixtures("figures_once")
def test_all_extensions_work_from_search_to_analysis(
    ir2search: Command, written: Callable[..., Path], tmp_path: Path
) -> None:
    done = ir2search("run", written(), "--device", "cpu", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 candidates trained" in done.stdout
    folder = tmp_path / "runs" / "own"
    (tmp_path / "mine.py").unlink()  # the run has its own copy
    assert ir2search("cost", folder / "trials" / "0").returncode == 0
    report = ir2search("report", folder)
    assert report.returncode == 0, report.stderr
    trials = pd.read_parquet(folder / "report" / "trials.parquet")
    assert set(trials["backbone"]) == {"two-stage"}
    assert (trials.loc[trials["state"] == "trained", "wires"] > 0).all()
    assert trials["ops"].iloc[0] == trials["ops"].min(), "the sampler prefers few operations"
    assert "wires between layers" in (folder / "report" / "index.html").read_text()
    analysis = ir2search("analyze", folder, "--images", "8", "--methods", "gradient_x_activation")
    assert analysis.returncode == 0, analysis.stderr
    (file,) = folder.glob("trials/*/information/information.parquet")
    table = pd.read_parquet(file)
    own = table[table["measure"] == "share of negative values"]
    assert set(own["layer"]) >= {"input", "stem", "inner"}
    assert set(own["network"]) >= {"binary", "twin"}
    assert own["value"].between(0, 1).all()
    assert (own["low"] <= own["value"]).all()
    assert set(own["unit"]) == {"share"}
    _check_that_a_changed_copy_is_not_run(ir2search, folder)


def _check_that_a_changed_copy_is_not_run(ir2search: Command, folder: Path) -> None:
    copy = folder / "modules" / "mine.py"
    copy.write_text(f"open({str(folder / 'ran')!r}, 'w')\n" + copy.read_text())
    for command in (("status", folder), ("report", folder), ("cost", folder / "trials" / "0")):
        done = ir2search(*command)
        assert done.returncode == 2
        assert re.fullmatch(
            r"ir2search: \S+/modules/mine\.py: has changed since the run was created[^\n]+\n",
            done.stderr,
        )
    assert not (folder / "ran").exists()


def test_a_changed_module_is_refused(
    ir2search: Command, written: Callable[..., Path], tmp_path: Path
) -> None:
    assert ir2search("run", written(), "--trials", "1").returncode == 0
    changed = ir2search("run", written(module="\nNEW = 1\n"))
    assert changed.returncode == 2
    assert re.fullmatch(
        r"ir2search: runs/own: made by another study file: modules was \['mine\.py \w+'\] and now "
        r"is \['mine\.py \w+'\]; choose another [^\n]*\n",
        changed.stderr,
    )


WRONG = {
    "no such file": (("mine.py", "other.py"), "", "modules: other.py: cannot be read from"),
    "no such module": (
        ('"mine.py"', '"no_such_package.networks"'), "",
        "no module 'no_such_package'; install it",
    ),
    "not a list": (('["mine.py"]', '"mine.py"'), "", "modules: must be a list"),
    "syntax": (("", ""), "\ndef wrong(:\n", "its code fails in line"),
    "raises": (("", ""), "\nraise ValueError('no')\n", "ValueError: no"),
    "taken": (
        ("", ""), "\nir.register_backbone('cifar-resnet', two_stage)(build_two_stage)\n",
        "backbone 'cifar-resnet': the name is taken",
    ),
    "near backbone": (('"two-stage"', '"two-stages"'), "", "did you mean 'two-stage'?"),
    "same name twice": (('["mine.py"]', '["mine.py", "./mine.py"]'), "", "two are called mine.py"),
    "exits": (("", ""), "\nraise SystemExit(0)\n", "its code fails in line"),
    "near source": (('"stripes"', '"stripe"'), "", "did you mean 'stripes'?"),
    "near objective": (('"ops", "wires"', '"ops", "wire"'), "", "did you mean 'wires'?"),
    "not a network": (
        ("", ""), "\nir.register_backbone('two-stage', two_stage)(lambda spec: nn.Identity())\n",
        "must build a TappedNetwork, but built Identity",
    ),
    "failing builder": (
        ("", ""), "\nir.register_backbone('two-stage', two_stage)(lambda spec: spec.depht)\n",
        "backbone 'two-stage' fails: AttributeError",
    ),
    "failing reader": (
        ("", ""), "\nir.register_dataset('stripes')(lambda folder, size: open('no.npy'))\n",
        "data source 'stripes' fails: FileNotFoundError",
    ),
    "streamed": (
        ('source = "stripes"', 'source = "stripes"\nstream = true\nsize = 8'), "",
        "`stream` needs",
    ),
    "no images": (
        ("", ""), "\nir.register_dataset('stripes')(lambda folder, size: 3)\n",
        "must return LabelledImages, but returned int",
    ),
    "near sampler": (('"frugal"', '"frugl"'), "", "did you mean 'frugal'?"),
    "no number": (
        ("", ""), "\nir.register_objective('wires')(lambda candidate: float('nan'))\n",
        "objective 'wires': must give a finite number, but gave nan",
    ),
    "failing objective": (
        ("", ""), "\nir.register_objective('wires')(lambda candidate: 1 / 0)\n",
        "ZeroDivisionError",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_each_mistake_is_one_sentence(
    ir2search: Command, written: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    study, module, expected = WRONG[name]
    done = ir2search("run", written(module=module, study=study))
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(r"ir2search: [^\n]+\n", done.stderr)
    assert expected in done.stderr
    assert not (tmp_path / "runs" / "own").exists()


def test_installed_packages_extend_every_study(tmp_path: Path) -> None:
    import sys

    package = tmp_path / "site"
    about = package / "their_package-1.0.dist-info"
    about.mkdir(parents=True)
    (package / "their_package.py").write_text(MODULE)
    (about / "METADATA").write_text("Name: their-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[ir2search.extensions]\ntheirs = their_package\n")
    code = (
        "import ir2search as ir; from ir2search.study import parse_study\n"
        "study = parse_study({'objectives': ['accuracy', 'wires'], 'data': {'source': 'stripes'},"
        " 'space': {'backbone': 'two-stage', 'depth': [2, 3]}}, 'a.toml')\n"
        "print(ir.cost(ir.Candidate(backbone='two-stage', depth=2, taps=('stem',))).bops > 0)\n"
        "from ir2search.information.registered import MEASURES; print(MEASURES.origins())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{package}:{Path(__file__).parents[2]}"},
        capture_output=True,
        text=True,
        check=False,
    )
    own = {"share of negative values": "theirs 1.0"}
    assert shown.stdout == f"True\n{own}\n", shown.stderr
