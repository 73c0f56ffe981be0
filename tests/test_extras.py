from __future__ import annotations

import subprocess
import sys

import pytest

from ir2search.errors import MissingExtraError
from ir2search.extras import require


def test_an_installed_package_is_imported() -> None:
    import json.decoder

    assert require("json.decoder", extra="report") is json.decoder


def test_a_missing_package_is_named_with_the_extra_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"nowhere is not .* 'ir2search\[report\]'"):
        require("nowhere.at_all", extra="report")


# Imports every module of the package where no extra is installed, and prints those that fail.
IMPORT_ALL = """
import importlib, pkgutil, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import ir2search
for module in pkgutil.walk_packages(ir2search.__path__, "ir2search."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError:
            print(module.name)
"""
OPTIONAL = (
    "grpc", "jinja2", "markupsafe", "onnx", "onnxruntime", "optuna_dashboard",
    "plotly", "psycopg", "ray", "skimage", "tenacity",
)  # fmt: skip


def test_modules_are_imported_without_the_optional_packages() -> None:
    command = [sys.executable, "-c", IMPORT_ALL, *OPTIONAL]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
