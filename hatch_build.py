"""Compile the runtime and the training kernels when the wheel is built or the package installed.

What cannot be compiled is left out: it is then compiled at its first use, if a compiler is there.
"""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KERNELS = "ir2search/kernels"


class CompiledParts(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the compiled libraries to the wheel, and names the platform that they are for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into the source tree; an installation that is editable reads it there."""
        build = runpy.run_path(str(Path(self.root) / KERNELS / "build.py"))
        files = build["build_all"](build["shipped_libraries"](), self.app.display_warning)
        if not files or version == "editable":
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"] |= {str(file): f"{KERNELS}/built/{file.name}" for file in files}
