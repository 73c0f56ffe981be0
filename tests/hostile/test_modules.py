"""Code in a run's folder: it is run only if the user trusts its content."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w

from ir2search.extensions import UserModule, checksums
from ir2search.files import read_toml

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MARK = "import pathlib; pathlib.Path({!r}).touch()\n"
BACKBONE = (
    "import ir2search as ir\n"
    "from ir2search.models.families import FAMILIES\n"
    "from ir2search.models.resnet import cifar_resnet\n"
    "ir.register_backbone('theirs', FAMILIES['cifar-resnet'])(cifar_resnet)\n"
)
COMMANDS = ("status", "report", "export", "analyze", "dashboard", "worker")
ON_TRIALS = ("cost", "latency", "train")


class Given:
    """A run's folder from somebody else, with a module that leaves a mark when it is run."""

    def __init__(self, folder: Path, mark: Path) -> None:
        self.folder = folder
        self.mark = mark

    def names(self, *modules: str) -> None:
        """Let the study name modules."""
        file = self.folder / "study.toml"
        file.write_text(tomli_w.dumps({**read_toml(file), "modules": list(modules)}))

    def module(self, code: str = "", sums: bool = True) -> None:
        """Put a module into the folder."""
        source = MARK.format(str(self.mark)) + code
        (self.folder / "modules").mkdir(exist_ok=True)
        (self.folder / "modules" / "theirs.py").write_text(source)
        if sums:
            line = checksums((UserModule("theirs.py", source),))
            (self.folder / "modules" / "SHA256SUMS").write_text(line)

    def needs_module(self) -> None:
        """Let the study and a trial use what the module registers."""
        file = self.folder / "study.toml"
        values = read_toml(file)
        values["space"]["backbone"] = "theirs"
        file.write_text(tomli_w.dumps(values))
        for candidate in self.folder.glob("trials/*/candidate.json"):
            content = json.loads(candidate.read_text())
            candidate.write_text(json.dumps({**content, "backbone": "theirs"}))

    @property
    def trial(self) -> Path:
        """The folder of a trial."""
        return next((self.folder / "trials").glob("*/candidate.json")).parent


@pytest.fixture
def given(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    """A run from somebody else; the user has trusted nothing yet."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = shutil.copytree(finished_run, tmp_path / "given" / "quick")
    made = Given(folder, tmp_path / "was-run")
    made.module()
    made.names("modules/theirs.py")
    return made


def check(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("ir2search: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for part in parts:
        assert part in done.stderr


@pytest.mark.parametrize("command", [*COMMANDS, *ON_TRIALS])
@pytest.mark.parametrize("sums", [True, False])
def test_no_command_runs_code_that_it_needs_and_that_is_not_trusted(
    ir2search: Command, given: Given, command: str, sums: bool
) -> None:
    shutil.rmtree(given.folder / "modules")
    given.module(BACKBONE, sums=sums)
    given.needs_module()
    done = ir2search(command, given.trial if command in ON_TRIALS else given.folder)
    check(done, "modules/theirs.py", f"ir2search trust {given.folder}")
    assert not given.mark.exists()


@pytest.mark.usefixtures("figures_once")
@pytest.mark.parametrize("command", ["status", "report", "cost"])
def test_commands_that_need_no_module_work_without_trust(
    ir2search: Command, given: Given, command: str
) -> None:
    done = ir2search(command, given.trial if command == "cost" else given.folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert "what they add is missing" in done.stderr
    assert f"ir2search trust {given.folder}" in done.stderr
    assert not given.mark.exists()


def test_trusted_code_is_run_and_changed_code_is_not(
    ir2search: Command, given: Given, tmp_path: Path
) -> None:
    trusted = ir2search("trust", given.folder, "--json")
    assert trusted.returncode == 0, trusted.stderr
    assert [each["module"] for each in json.loads(trusted.stdout)["trusted"]] == [
        "modules/theirs.py"
    ]
    assert not given.mark.exists(), "trusting runs nothing"
    done = ir2search("status", given.folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert given.mark.exists()
    given.mark.unlink()
    moved = given.folder.rename(tmp_path / "moved")
    assert ir2search("status", moved).stderr == ""
    assert given.mark.exists(), "the content is trusted, wherever it is"
    given.mark.unlink()
    given.folder = moved
    given.module("changed = 1\n")
    assert "not trusted" in ir2search("status", moved).stderr
    assert not given.mark.exists()


def test_code_is_trusted_once_for_a_script(ir2search: Command, given: Given) -> None:
    done = ir2search("status", given.folder, "--trust")
    assert (done.returncode, done.stderr) == (0, "")
    assert given.mark.exists()
    given.mark.unlink()
    assert "not trusted" in ir2search("status", given.folder).stderr
    assert not given.mark.exists()


@pytest.mark.parametrize("command", ["status", "trust", "cost"])
@pytest.mark.parametrize("name", [
    "../outside.py", "{}/outside.py", "modules/../../outside.py", "modules/linked.py",
    "modules/pipe.py", "outside.py", "modules/no\0name.py", "study.py", "modules/../study.py",
])  # fmt: skip
def test_modules_outside_of_the_folder_are_refused(
    ir2search: Command, given: Given, tmp_path: Path, name: str, command: str
) -> None:
    mark = MARK.format(str(given.mark))
    (tmp_path / "given" / "outside.py").write_text(mark)
    (given.folder / "study.py").write_text(mark)
    (given.folder / "modules" / "linked.py").symlink_to(tmp_path / "given" / "outside.py")
    os.mkfifo(given.folder / "modules" / "pipe.py")
    given.names(name.format(tmp_path / "given"))
    trust = ("--trust",) if command != "trust" else ()
    done = ir2search(command, given.trial if command == "cost" else given.folder, *trust)
    check(done, str(given.folder), "must be regular files in its folder modules")
    assert not given.mark.exists()


def test_a_module_that_is_installed_is_imported_only_if_trusted(
    ir2search: Command, given: Given
) -> None:
    given.names("this")  # prints when it is imported
    done = ir2search("status", given.folder, "--json")
    assert json.loads(done.stdout)["name"] == "quick"
    assert "its modules (this) are code" in done.stderr
    assert ir2search("trust", given.folder).returncode == 0
    assert "Zen" in ir2search("status", given.folder, "--json").stdout


WRONG_SUMS: dict[str, Callable[[Path], object]] = {
    "a path": lambda file: file.write_text("0  ../../../study.toml\n"),
    "no name": lambda file: file.write_text("0\n"),
    "not text": lambda file: file.write_bytes(b"\xff\xfe" * 40),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda file: file.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", WRONG_SUMS)
def test_any_checksums_end_without_a_traceback(ir2search: Command, given: Given, name: str) -> None:
    sums = given.folder / "modules" / "SHA256SUMS"
    sums.unlink()
    WRONG_SUMS[name](sums)
    done = ir2search("status", given.folder)
    assert done.returncode in (0, 2)
    assert done.stderr.count("\n") == 1, done.stderr
    assert not given.mark.exists()


@pytest.mark.parametrize("content", ["[]", "{", '{"code": 3}', '{"code": {}, "storages": []}'])
def test_a_damaged_file_of_what_is_trusted_is_named(
    ir2search: Command, given: Given, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "state" / "ir2search" / "trust.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    done = ir2search("trust", given.folder)
    check(done, "trust.json")


def test_a_list_that_cannot_be_written_is_reported(
    ir2search: Command, given: Given, tmp_path: Path
) -> None:
    (tmp_path / "state").touch()
    done = ir2search("trust", given.folder)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("nothing is remembered there")
    assert "Traceback" not in done.stderr


def test_modules_of_a_study_that_the_user_runs_are_trusted(
    ir2search: Command, given: Given, quick: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MARK.format(str(given.mark)))
    study = tmp_path / "mine.toml"
    study.write_text(tomli_w.dumps({**quick, "name": "mine", "trials": 1, "modules": ["mine.py"]}))
    done = ir2search("run", study, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    given.mark.unlink()
    status = ir2search("status", tmp_path / "runs" / "mine")
    assert (status.returncode, status.stderr) == (0, "")
    assert given.mark.exists()


def test_a_folder_that_is_in_the_place_of_a_run_does_not_run_its_code(
    ir2search: Command, given: Given, quick: dict[str, object], tmp_path: Path
) -> None:
    study = tmp_path / "quick.toml"
    study.write_text(tomli_w.dumps(quick))
    done = ir2search("run", study, "--runs", given.folder.parent, "--device", "cpu")
    assert done.returncode == 2
    assert "modules" in done.stderr
    assert not given.mark.exists()
