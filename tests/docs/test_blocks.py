"""Run every code block and command of README.md and docs/.

Commands that need what a test machine lacks, listed in PARSED_ONLY, are parsed by the real command.
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
from conftest import write_figures_once
from markdown_it import MarkdownIt
from PIL import Image

import ir2search as ir
from ir2search.cli.app import commands, main
from ir2search.study.loading import parse_study

Forked = Callable[..., "subprocess.CompletedProcess[str]"]

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("docs")  # one run for all pages

PAGES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
NOTES = [REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md", "reports/README.md")]
ELSEWHERE = {"extending.md"}  # tests/extending runs its blocks
LANGUAGES = {"console", "python", "toml", ""}
STUDY = "my-study.toml"

TINY = {"images": 8, "methods": ["grad_cam"], "layers": ["stage3"]}  # a quick analysis

# text of the pages, and what is run instead: a study of seconds, a quick analysis
INSTEAD = {
    "--trial best --images 64": "--trial knee",  # the Python blocks analyse the best
    "analyze runs/digits --trial knee": (
        "analyze runs/digits --trial knee --images 8 --methods grad_cam --layers stage3"
    ),
    'analyze("runs/digits", "best"': 'analyze("runs/digits", "best", **TINY',
    "status runs/digits --watch": "status runs/digits --watch --json",
    "ir2search run my-study.toml": "ir2search run my-study.toml --trials 1",
    "ir2search run birds.toml": "ir2search run birds.toml --trials 1 --device cpu",
    "resnet18-D --threads 1,2": "resnet18-D --runtimes onnxruntime --seconds 0.01",
    "--recipe digits --epochs 60": "--recipe digits --epochs 1",
    "--trial knee --epochs 60": "--trial knee --epochs 2",
    "rerun digits --seed 1": "rerun digits --seed 1 --workers 1",
    'curves("runs/train-digits-27k")': 'curves("runs/digits/trials/0")',
    "--data photos/ --epochs 10": "--data images/ --epochs 1",
    "runs/other": "runs/digits",
    "digit.png": "images/test/owl/0.png",
    "runs/cifar10-supernet": "runs/digits",
}

# commands of the pages that are parsed but not run, by what they need
PARSED_ONLY = {
    "CIFAR-10": (
        "ir2search doctor --data cifar10/",
        "ir2search run cifar10-ablation --data cifar10/",
        "ir2search run cifar10-restriction --data cifar10/",
        "ir2search run cifar10-supernet --data cifar10/",
        "ir2search train cifar10-241k --recipe cifar-fast-crop1 --epochs 40 --data cifar10/",
        "ir2search train cifar10-580k --weights cifar10-580k --epochs 40 --data cifar10/",
        "ir2search train cifar-resnet20 --data cifar10/",
        "ir2search train cifar-resnet20 --data cifar10/ --log tensorboard",
    ),
    "CIFAR-10 and the authors' weights": (
        "ir2search evaluate cifar-resnet20 --weights resnet20.th --data cifar10/",
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
        "ir2search status /shared/runs/my-study --storage postgresql+psycopg://me@db/lab",
    ),
    "a browser": ("ir2search open digits",),
    "Ctrl-C to end": ("ir2search dashboard runs/digits",),
    "a few minutes": (
        "ir2search run digits-supernet",
        "ir2search status runs/digits-supernet",
    ),
    "an MLflow store, whose tables take seconds": ("ir2search run digits --log mlflow",),
    "a layer that is worth accuracy": (
        "ir2search run runs/digits/trials/7/information/suggested.toml",
    ),
    "four cores": ("ir2search run my-study.toml --workers 4",),
}
NOT_RUN = {command for those in PARSED_ONLY.values() for command in those}
SEEN_ONLY = ("make ", "pip install ")  # compared with the Makefile and the extras


def shown(page: Path) -> str:
    """The page's path in the repository."""
    return str(page.relative_to(REPOSITORY))


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
                found.append(
                    Block(shown(page), token.map[0] + 1, token.info.strip(), token.content)
                )
    return found


BLOCKS = blocks()


def of(*languages: str) -> list[Any]:
    chosen = [block for block in BLOCKS if block.language in languages]
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in chosen]


def written_commands() -> dict[str, str]:
    """Commands of the blocks, without comments, and the first place of each."""
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
    """The commands to run, each once."""
    found: dict[str, str] = {}
    for command, where in written_commands().items():
        if command not in NOT_RUN and not command.startswith(SEEN_ONLY):
            found.setdefault(instead(command), f"{where} {command}")
    return [pytest.param(command, id=where) for command, where in found.items()]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of a tiny `digits`, and with a folder of images."""
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
    """A study of networks with equal costs: its knee is its best, so one analysis serves both."""
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
    """Work in that folder; forked commands find the tiny study under the name `digits`."""
    import tomli_w

    from ir2search.study import loading as study

    file = workplace / "tiny" / "digits.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(tomli_w.dumps(tiny()))
    mine = workplace / STUDY
    mine.write_text(tomli_w.dumps(tiny() | {"name": "my-study", "trials": 1}))
    shipped = study.shipped_studies()
    monkeypatch.setattr(study, "shipped_studies", lambda: shipped | {"digits": file})
    write_figures_once(monkeypatch, ".png")
    monkeypatch.chdir(workplace)
    return workplace


def test_one_process_runs_this_module(request: pytest.FixtureRequest) -> None:
    """Some commands read what earlier ones wrote. pytest-xdist adds its groups to tests' names."""
    if hasattr(request.config, "workerinput"):
        assert request.node.nodeid.endswith("@docs")


def test_every_block_has_a_language_that_is_run() -> None:
    assert {block.language for block in BLOCKS} == LANGUAGES
    assert len(BLOCKS) > 25


@pytest.mark.parametrize("block", of("toml"))
def test_every_study_of_a_page_is_valid(block: Block) -> None:
    values = tomllib.loads(block.code)
    assert parse_study({"space": {"depth": [8, 14]}, **values}, "page.toml").trials >= 1


@pytest.mark.parametrize("block", of("python"))
def test_python_of_a_page_runs(block: Block, inside: Path, forked: Forked) -> None:
    code = compile(instead(block.code), block.page, "exec")
    done = forked(lambda: exec(code, {"TINY": TINY}), ["python"], inside)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", runnable())
def test_every_command_of_a_page_succeeds(command: str, inside: Path, forked: Forked) -> None:
    words = shlex.split(re.split(r" [|>] ", command)[0])
    if words[1] == "init":
        Path(words[2]).unlink(missing_ok=True)
    done = forked(main, words, inside)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(NOT_RUN))
def test_a_command_that_is_not_run_is_parsed(command: str) -> None:
    assert command in written_commands(), "no page has this command"
    assert_parses(command)


def test_targets_of_make_and_extras_of_pip_exist() -> None:
    for command in written_commands():
        if command.startswith(SEEN_ONLY):
            assert_exists(command)


@pytest.mark.parametrize("page", [*PAGES, *NOTES], ids=shown)
def test_commands_and_files_in_sentences_exist(page: Path) -> None:
    for code in re.findall(r"`((?:ir2search|make|python) [^`]+)`", page.read_text()):
        first, second, *_ = words = code.split()
        if first == "make":
            assert_exists(code)
        elif first == "python":
            assert (REPOSITORY / second).is_file(), code
        elif len(words) > 2:
            assert_parses(code)
        else:
            assert second in {*commands().commands, "--install-completion"}, code


def test_examples_in_the_help_of_commands_are_parsed() -> None:
    examples = [
        line.strip()
        for command in commands().commands.values()
        for line in command.help.partition("Examples:")[2].splitlines()
        if line.strip()
    ]
    assert len(examples) > len(commands().commands)
    for example in examples:
        assert_parses(example)


def assert_parses(command: str) -> None:
    """Parse the arguments with the real command line."""
    words = shlex.split(re.split(r" [|>] ", command)[0])
    name, *arguments = words[words.index("ir2search") + 1 :]
    commands().commands[name].make_context(name, arguments)


def assert_exists(command: str) -> None:
    """Check that the Makefile has the target, or pyproject.toml the extra."""
    if command.startswith("make "):
        makefile = (REPOSITORY / "Makefile").read_text()
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command
        return
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"\[([\w,]+)\]", command):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys()
