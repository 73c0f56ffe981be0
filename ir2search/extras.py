"""Optional packages, which are imported only when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from ir2search.errors import MissingExtraError


def require(package: str, *, extra: str) -> Any:
    """Import an optional package.

    Args:
        package: the module's name, such as ``"plotly.graph_objects"``.
        extra: the extra of this package that installs it.

    Returns:
        The module.

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        name = package.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != name:
            raise  # the package is installed; one of its own imports is missing
        raise MissingExtraError(
            f"{name} is not installed; pip install 'ir2search[{extra}]'"
        ) from None
