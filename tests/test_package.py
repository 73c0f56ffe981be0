from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ir2search as ir
from ir2search import errors

REPOSITORY = Path(__file__).parents[1]


def test_every_public_name_loads_and_no_other_is_public() -> None:
    assert sorted(ir.__all__) == ir.__all__
    assert set(ir.__all__) <= set(dir(ir))
    for name in ir.__all__:
        assert getattr(ir, name).__name__.removeprefix("ir2search.") == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = ir.nothing


def test_functions_stay_functions_whatever_is_imported() -> None:
    code = (
        "import ir2search as ir, ir2search.search.session, ir2search.costs.count, "
        "ir2search.information.analysis, ir2search.cli.progress\n"
        "for name in ('cost', 'run', 'restrict', 'front', 'trials', 'status', 'analyze'):\n"
        "    assert callable(getattr(ir, name)), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, ir2search; print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "optuna", "numpy"} & set(re.findall(r"'(\w+)'", shown.stdout))


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    classes = {
        name for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, Exception)
    }  # fmt: skip
    drawn = set(re.findall(r"^\s+(?:[│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE))
    assert drawn == classes
    assert all(issubclass(getattr(errors, name), errors.IR2SearchError) for name in classes)


def test_public_functions_say_what_they_do() -> None:
    assert [name for name in ir.__all__ if not inspect.getdoc(getattr(ir, name))] == []


def test_the_readmes_commands_and_studies_exist() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    shown = subprocess.run(
        [sys.executable, "-m", "ir2search.cli.app", "--help"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    used = set(re.findall(r"^ir2search (\w+)", readme, re.MULTILINE))
    commands = {
        "init", "studies", "run", "worker", "status", "dashboard", "report", "presets", "cost",
        "train", "evaluate", "analyze", "export", "latency", "doctor",
    }  # fmt: skip
    assert used == commands
    assert all(f" {name} " in shown for name in used)
    for study in re.findall(r"^ir2search run ([\w-]+)(?=\s)", readme, re.MULTILINE):
        assert ir.load_study(study).name == study
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", readme):
        assert (REPOSITORY / target.partition("#")[0]).exists()


def test_the_readmes_study_file_is_valid() -> None:
    import tomllib

    from ir2search.study.schema import parse_study

    (block,) = re.findall(r"```toml\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    study = parse_study(tomllib.loads(block), "readme.toml")
    assert study.budget == {"ops": 2e6}
    assert study.recipe.epochs == 30
