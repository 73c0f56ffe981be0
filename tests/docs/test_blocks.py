"""Every code block and command of README.md and docs/ is run.

Where that takes what a test machine lacks, which PARSED_ONLY lists, the real command parses it.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from markdown_it import MarkdownIt
from PIL import Image

import ir2search as ir
from ir2search.cli.app import app, main
from ir2search.study.schema import parse_study

Forked = Callable[..., "subprocess.CompletedProcess[str]"]

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("docs")  # one run for all pages

PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
NOTES = [REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "reports" / "README.md"]
ELSEWHERE = {"extending.md"}  # its blocks are run in tests/extending
LANGUAGES = {"console", "python", "toml", ""}
STUDY = "my-study.toml"

TINY = {"images": 8, "methods": ["grad_cam"], "layers": ["stage3"]}  # an analysis

# what stands in the pages, and what is run in its place: a study of seconds, a tiny analysis
INSTEAD = {
    "--trial best --images 64": "--trial knee",  # the best is analysed in Python
    "analyze runs/digits --trial knee": (
        "analyze runs/digits --trial knee --images 8 --methods grad_cam --layers stage3"
    ),
    'analyze("runs/digits", "best"': 'analyze("runs/digits", "best", **TINY',
    "status runs/digits --watch": "status runs/digits --watch --json",
    "ir2search run my-study.toml": "ir2search run my-study.toml --trials 1",
    "ir2search run birds.toml": "ir2search run birds.toml --trials 1 --device cpu",
    "resnet18-D --threads 1,2": "resnet18-D --ways onnxruntime --seconds 0.01",
    "runs/other": "runs/digits",
    "runs/cifar10-laptop": "runs/digits",
}

# commands that are parsed and not run, as the pages have them, by what they need
PARSED_ONLY = {
    "CIFAR-10": (
        "ir2search doctor --data cifar10/",
        "ir2search run cifar10 --data cifar10/",
        "ir2search run cifar10-ablation --data cifar10/",
        "ir2search run cifar10-laptop --data cifar10/",
        "ir2search train cifar-resnet20 --data cifar10/",
    ),
    "CIFAR-10 and the authors' weights": (
        "ir2search evaluate --preset cifar-resnet20 --weights resnet20.th --data cifar10/",
    ),
    "a GPU": (
        "ir2search run cifar10 --data cifar10/ --device cuda --trials-per-device 4",
        "ir2search run my-study.toml --device cuda:0,cuda:1 --trials-per-device 3",
    ),
    "a cluster": (
        "ir2search run my-study.toml --executor ray --address head:6379",
        "srun --ntasks 8 ir2search worker /shared/runs/my-study --device cuda",
    ),
    "a database": (
        "ir2search run my-study.toml --storage postgresql+psycopg://me@db/lab",
        "ir2search worker /shared/runs/my-study",
    ),
    "to be ended by hand": ("ir2search dashboard runs/digits",),
    "four cores": ("ir2search run my-study.toml --workers 4",),
}
NOT_RUN = {command for those in PARSED_ONLY.values() for command in those}
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


def written_commands() -> dict[str, str]:
    """Where each command of the blocks stands first, without the comment behind it."""
    found: dict[str, str] = {}
    for block in BLOCKS:
        if block.language in ("console", ""):
            for line in block.code.splitlines():
                command = re.split(r"(?:^|\s+)#\s", line, maxsplit=1)[0].strip()
                if command:
                    found.setdefault(command, f"{block.page}:{block.line}")
    return found


def instead(text: str) -> str:
    for one, other in INSTEAD.items():
        text = text.replace(one, other)
    return text


def runnable() -> list[Any]:
    """What is run in the commands' places, each once."""
    found: dict[str, str] = {}
    for command, where in written_commands().items():
        if command not in NOT_RUN and not command.startswith(SEEN_ONLY):
            found.setdefault(instead(command), f"{where} {command}")
    return [pytest.param(command, id=where) for command, where in found.items()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of `digits`, as a study of seconds, and images of one's own."""
    from ir2search.study import write_template

    folder = tmp_path_factory.mktemp("docs")
    ir.run(parse_study(tiny(), "digits.toml"), folder / "runs" / "digits", device="cpu")
    generator = np.random.default_rng(0)
    for split, kind, number in itertools.product(("train", "test"), ("owl", "wren"), range(10)):
        file = folder / "images" / split / kind / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (16, 16, 3), np.uint8)).save(file)
    write_template(folder / "birds.toml", folder / "images")
    return folder


def tiny() -> dict[str, Any]:
    """Of networks that cost the same, so that the knee is the best: one analysis serves both."""
    return {
        "name": "digits",
        "trials": 3,
        "sampler": "random",
        "data": {"source": "digits", "size": 8, "validation": 0.2},
        "space": {"depth": 8, "width": 0.125, "threshold": {"low": 0, "high": 1, "step": 0.1}},
        "recipe": {"epochs": 1, "batch_size": 128, "optimizer": "adamw", "lr": 0.02},
    }


@pytest.fixture
def inside(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work there; what is forked meanwhile finds the tiny study under its name."""
    import tomli_w

    from ir2search.study import schema as study

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
    values = tomllib.loads(block.code)
    assert parse_study({"space": {"depth": [8, 14]}, **values}, "page.toml").trials >= 1


@pytest.mark.parametrize("block", of("python"))
def test_python_of_a_page_runs(block: Block, inside: Path, forked: Forked) -> None:
    code = compile(instead(block.code), block.page, "exec")
    done = forked(lambda: exec(code, {"TINY": TINY}), ["python"], inside)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", runnable())
def test_a_command_of_a_page_does_what_it_says(command: str, inside: Path, forked: Forked) -> None:
    words = shlex.split(re.split(r" [|>] ", command)[0])
    if words[1] == "init":
        Path(words[2]).unlink(missing_ok=True)
    done = forked(main, words, inside)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(NOT_RUN))
def test_a_command_that_is_not_run_is_one_that_the_command_line_takes(command: str) -> None:
    assert command in written_commands(), "no page has it any more"
    assert_taken(command)


def test_make_and_pip_are_given_what_there_is() -> None:
    for command in written_commands():
        if command.startswith(SEEN_ONLY):
            assert_known(command)


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=lambda page: page.name)
def test_what_a_sentence_names_is_there(page: Path) -> None:
    for code in re.findall(r"`((?:ir2search|make|python) [^`]+)`", page.read_text()):
        first, second, *_ = words = code.split()
        if first == "make":
            assert_known(code)
        elif first == "python":
            assert (REPOSITORY / second).is_file(), code
        elif len(words) > 2:
            assert_taken(code)
        else:
            assert second in {*commands(), "--install-completion"}, code


def test_examples_of_every_commands_help_are_taken() -> None:
    examples = [
        line.strip()
        for command in commands().values()
        for line in command.help.partition("Examples:")[2].splitlines()
        if line.strip()
    ]
    assert len(examples) > len(commands())
    for example in examples:
        assert_taken(example)


def commands() -> dict[str, Any]:
    """The real commands, by name."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def assert_taken(command: str) -> None:
    """The real command line takes these arguments, all of them."""
    words = shlex.split(re.split(r" [|>] ", command)[0])
    name, *arguments = words[words.index("ir2search") + 1 :]
    commands()[name].make_context(name, arguments)


def assert_known(command: str) -> None:
    """The target is in the Makefile, the extra in pyproject.toml."""
    if command.startswith("make "):
        makefile = (REPOSITORY / "Makefile").read_text()
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command
        return
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"\[(\w+)\]", command):
        assert extra in project["optional-dependencies"]
