"""The built wheel holds all that the package needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ENDINGS = (".json", ".packed", ".packed.md", ".safetensors")  # of a trained network's files
REPOSITORY = Path(__file__).parents[1]


pytestmark = pytest.mark.xdist_group("wheel")  # its fixtures are made once


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(REPOSITORY)], check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_the_package_only(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"ir2search"}
    assert wheel.stem.split("-")[-3:-1] == ["py3", "none"], "any Python, one platform"
    compiled = {
        name.rpartition("/")[2].rpartition("-")[0] for name in names if name.endswith(".so")
    }
    assert "runtime" in compiled
    assert any(name.startswith("training") for name in compiled)
    for needed in (
        "ir2search/_studies/digits.toml",
        "ir2search/report/templates/page.html.j2",
        "ir2search/export/web/page.html",
        "ir2search/kernels/runtime/ir2_runtime.wasm",
        "ir2search/plots/ir2search.mplstyle",
        "ir2search/py.typed",
        *(f"ir2search/zoo/files/digits-63k{end}" for end in ENDINGS),
    ):
        assert needed in names


def installed(wheel: Path, folder: Path) -> Path:
    """The folder that pip installs the wheel in, without its dependencies."""
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True)
    return site


WITHOUT_COMPILER = """
import shutil, warnings
import numpy as np
import ir2search as ir
from ir2search.kernels import inference, training

warnings.simplefilter("error")
assert not any(shutil.which(name) for name in ("cc", "gcc", "clang", "c++", "g++"))
file = ir.__path__[0] + "/zoo/files/digits-63k.packed"
print(ir.load_packed(file).logits(np.zeros((1, 1, 16, 16), np.float32)).shape)
import torch
assert training.library() is not None
print(training.description())
"""


def test_the_installed_wheel_runs_without_a_compiler(wheel: Path, tmp_path: Path) -> None:
    site = installed(wheel, tmp_path)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("CC", "CXX")},
        "PYTHONPATH": str(site),
        "PATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_COMPILER],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, 10)\n")
    assert not (tmp_path / "cache").exists(), "nothing was compiled"


def test_the_unpacked_wheel_has_its_studies_and_its_command(wheel: Path, tmp_path: Path) -> None:
    site = installed(wheel, tmp_path)

    def python(*arguments: str) -> str:
        done = subprocess.run(
            # with -P and PYTHONPATH the wheel comes before this checkout
            [sys.executable, "-P", *arguments],
            env={**os.environ, "PYTHONPATH": str(site)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shipped = "from ir2search.study import shipped_studies as s; print(s()['digits'])"
    assert Path(python("-c", shipped).strip()).is_relative_to(site)
    assert "cifar10" in python("-m", "ir2search.cli.app", "studies", "--json")
    trained = "import ir2search as ir; print(ir.load_trained('digits-63k').images.data)"
    assert python("-c", trained) == "digits\n"
