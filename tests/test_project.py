"""Files about the project agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
WORKFLOWS = sorted(REPOSITORY.glob(".github/workflows/*.yml"))


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert "2210.02637" in citation["references"][0]["url"]


def test_all_python_versions_of_the_classifiers_are_tested() -> None:
    versions = [
        found[1]
        for name in PROJECT["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", name))
    ]
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    assert PROJECT["requires-python"] == f">={versions[0]}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_targets_of_the_makefile(workflow: Path) -> None:
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        for step in job["steps"]:
            for target in re.findall(r"^make (\w+)", step.get("run", "")):
                assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


def test_hooks_before_a_commit_are_among_the_linters() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    for hook in (hook for repo in config["repos"] for hook in repo["hooks"]):
        assert f"$(BIN)/{hook['entry'].removesuffix(' --force-exclude')}" in MAKEFILE


def test_the_extra_all_holds_every_optional_part() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    listed = set(re.findall(r"\w+", everything.partition("[")[2]))
    assert listed == extras.keys() - {"all", "dev", "docs"}
