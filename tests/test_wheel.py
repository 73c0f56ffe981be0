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
    for needed in (
        "ir2search/_studies/digits.toml",
        "ir2search/report/templates/page.html.j2",
        "ir2search/plots/ir2search.mplstyle",
        "ir2search/py.typed",
        *(f"ir2search/zoo/files/digits-63k{end}" for end in ENDINGS),
    ):
        assert needed in names


def test_the_unpacked_wheel_has_its_studies_and_its_command(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)  # as pip does with a wheel of Python files

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
