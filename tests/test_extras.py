from __future__ import annotations

import pytest

from ir2search.errors import MissingExtraError
from ir2search.extras import require


def test_an_installed_package_is_imported() -> None:
    import json.decoder

    assert require("json.decoder", extra="report") is json.decoder


def test_a_missing_package_is_named_with_the_extra_that_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"nowhere is not .* 'ir2search\[report\]'"):
        require("nowhere.at_all", extra="report")
