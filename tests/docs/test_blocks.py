"""Every code block and command of README.md and docs/ is run.

Where that takes what a test machine lacks, the real command parses it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from markdown_it import MarkdownIt

import ir2search as ir
from ir2search.cli.app import main
from ir2search.search.study import parse_study

Forked = Callable[..., "subprocess.CompletedProcess[str]"]

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("docs")  # one run for all pages

PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
ELSEWHERE = {"extending.md"}  # its blocks are run in tests/extending
LANGUAGES = {"console", "python", "toml", ""}
STUDY = "my-study.toml"

# what stands in the pages, and what is run in its place: a study of seconds, a tiny analysis
INSTEAD = {
    "--images 64": "--images 8 --methods gradient_x_activation",
    "--trial knee": "--trial knee --images 8 --methods gradient_x_activation",
    "status runs/digits --watch": "status runs/digits --watch --json",
    "ir2search run my-study.toml": "ir2search run my-study.toml --trials 1",
    "--data images/": "--data ./",
    "runs/other": "runs/digits",
    "runs/cifar10-laptop": "runs/digits",
}

# commands that are parsed and not run, by what they need
PARSED = {
    "CIFAR-10, or images of one's own": ("--data cifar10/", "run birds.toml", "--data ./"),
    "a GPU": ("--device cuda",),
    "a cluster or a database": ("--engine ray", "--storage postgresql", "ir2search worker", "srun"),
    "to be ended by hand": ("ir2search dashboard",),
    "processes of its own": ("--workers 4",),
}
SEEN_ONLY = ("make ", "pip install ")  # checked against the Makefile and the extras


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    code: str


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        if page.name in ELSEWHERE:
            continue
        for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
            if token.type == "fence":
                assert token.map is not None
                name = str(page.relative_to(REPOSITORY))
                found.append(Block(name, token.map[0] + 1, token.info.strip(), token.content))
    return found


BLOCKS = blocks()


def of(*languages: str) -> list[Any]:
    chosen = [block for block in BLOCKS if block.language in languages]
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in chosen]


def commands() -> list[Any]:
    """Commands of all blocks, each once, without the comments behind them."""
    found: dict[str, str] = {}
    for block in BLOCKS:
        if block.language in ("console", ""):
            for line in block.code.splitlines():
                command = re.split(r"\s+#\s", line, maxsplit=1)[0].strip()
                if command and not command.startswith("#"):
                    found.setdefault(command, f"{block.page}:{block.line}")
    return [pytest.param(command, id=f"{where} {command}") for command, where in found.items()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the shipped study `digits` is one of seconds, and has been run."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copy(REPOSITORY / "studies" / "digits.toml", folder / "original.toml")
    study = parse_study(tiny(), "digits.toml")
    ir.run(study, folder / "runs" / "digits", device="cpu")
    (folder / "resnet20.th").touch()
    return folder


def tiny() -> dict[str, Any]:
    return {
        "name": "digits",
        "trials": 3,
        "sampler": "random",
        "data": {"source": "digits", "size": 8, "validation": 0.2},
        "space": {"depth": 8, "width": [0.125, 0.25], "threshold": [0.0, 0.9]},
        "recipe": {"epochs": 1, "batch_size": 128, "optimizer": "adamw", "lr": 0.02},
    }


@pytest.fixture
def inside(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work there; what is forked meanwhile finds the tiny study under its name."""
    import tomli_w

    from ir2search.search import study

    file = workplace / "tiny" / "digits.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomli_w.dumps(tiny()))
    mine = workplace / STUDY
    mine.write_text(tomli_w.dumps(tiny() | {"name": "my-study", "trials": 1}))
    shipped = study.shipped_studies()
    monkeypatch.setattr(study, "shipped_studies", lambda: shipped | {"digits": file})
    monkeypatch.chdir(workplace)
    return workplace


def test_every_block_is_of_a_language_that_is_run() -> None:
    assert {block.language for block in BLOCKS} == LANGUAGES
    assert len(BLOCKS) > 25


@pytest.mark.parametrize("block", of("toml"))
def test_a_study_of_a_page_is_valid(block: Block) -> None:
    import tomllib

    values = tomllib.loads(block.code)
    assert parse_study({"space": {"depth": [8, 14]}, **values}, "page.toml").trials >= 1


@pytest.mark.parametrize("block", of("python"))
def test_python_of_a_page_runs(block: Block, inside: Path, forked: Forked) -> None:
    code = block.code.replace('ir.analyze("runs/digits", "best")', TINY_ANALYSIS)
    done = forked(lambda: exec(compile(code, block.page, "exec"), {}), ["python"], inside)
    assert done.returncode == 0, done.stderr


TINY_ANALYSIS = 'ir.analyze("runs/digits", "best", images=8, methods=["gradient_x_activation"])'


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_page_does_what_it_says(command: str, inside: Path, forked: Forked) -> None:
    if command.startswith(SEEN_ONLY):
        assert_known(command)
        return
    for one, other in INSTEAD.items():
        command = command.replace(one, other)
    command = command.split(" | ")[0].split(" > ")[0]
    words = shlex.split(command)
    arguments = words[words.index("ir2search") + 1 :]
    parsed(arguments)
    if any(part in command for parts in PARSED.values() for part in parts):
        return
    if arguments[0] == "init":
        Path(arguments[1]).unlink(missing_ok=True)

    done = forked(main, words, inside)
    assert done.returncode == 0, done.stderr


def test_nothing_is_parsed_only_without_need() -> None:
    """Each of the table's parts is of some command in the pages."""
    every = "\n".join(str(param.values[0]) for param in commands())
    for one, other in INSTEAD.items():
        every = every.replace(one, other)
    for parts in PARSED.values():
        assert all(part in every for part in parts), parts


def parsed(arguments: list[str]) -> None:
    """The real command takes these arguments."""
    from ir2search.cli.app import app

    group: Any = typer.main.get_command(app)
    command = group.commands[arguments[0]]
    command.make_context(arguments[0], arguments[1:])


def assert_known(command: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    if command.startswith("make "):
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)
        return
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for named in re.findall(r"\[(\w+)\]", command):
        assert named in extras["optional-dependencies"]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    page = (tmp_path / "reference" / "command-line.html").read_text()
    from ir2search.cli.app import COMMANDS

    for command in COMMANDS:
        assert f'id="{command.__name__}"' in page
    for file in tmp_path.rglob("*.html"):
        fetched = re.findall(r'(?:src|href)="(https?://[^"]+)"', file.read_text())
        scripts = [url for url in fetched if url.endswith((".js", ".css", ".woff2"))]
        assert scripts == [], "nothing is fetched from anywhere"
