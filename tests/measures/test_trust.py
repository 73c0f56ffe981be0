from __future__ import annotations

from typing import Any

import pandas as pd

from ir2search.measures import trust


def test_a_trusted_method_is_faithful_and_depends_on_the_weights() -> None:
    def rows(method: str, faithful: float, low: float, alike: float, high: float) -> list[Any]:
        beyond = {"measure": "faithfulness beyond chance", "value": faithful, "low": low}
        similarity = {"measure": "similarity after randomisation", "value": alike, "high": high}
        return [{"method": method, **beyond}, {"method": method, **similarity}]

    table = pd.DataFrame(
        [
            *rows("good", 0.2, 0.1, 0.1, 0.2),
            *rows("better", 0.3, 0.2, 0.1, 0.2),
            *rows("by chance", 0.1, -0.1, 0.0, 0.1),
            *rows("of the image alone", 0.4, 0.3, 0.8, 0.9),
        ]
    )
    found = trust(table).set_index("method")["trusted"]
    assert list(found.index[:2]) == ["better", "good"]
    assert found.to_dict() == {
        "better": True, "good": True, "by chance": False, "of the image alone": False,
    }  # fmt: skip
