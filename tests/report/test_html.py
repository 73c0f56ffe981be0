from __future__ import annotations

import base64
import hashlib
import html
import re

import pandas as pd

from ir2search.report.html import render

VALUES = {
    "groups": ["a", "b"], "best": "a", "volume": 0.5, "warnings": (), "limits": "",
    "reference": {"ops": 1.0}, "coverages": pd.DataFrame(), "table": pd.DataFrame(), "image": "",
}  # fmt: skip


def test_markup_in_names_and_in_the_view_stays_text() -> None:
    values = VALUES | {"groups": ["<b>a</b>", "b"]}
    page = render("comparison.html.j2", values, {"name": "</script><b>"})
    assert "<b>a</b>" not in page
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert r"\u003c/script>\u003cb>" in page


def test_a_script_is_allowed_by_its_hash_alone() -> None:
    page = render("comparison.html.j2", VALUES, {})
    policy = re.search(r'Security-Policy" content="([^"]+)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert policy is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    rules = html.unescape(policy[1])
    assert f"'sha256-{digest}'" in rules
    assert rules.startswith("default-src 'none'; script-src 'sha256-")
    assert page.index("Security-Policy") < page.index("<style>") < page.index("<script")


def test_characters_that_no_page_can_hold_become_escapes() -> None:
    values = VALUES | {"best": "a\x00\x1b\ud800"}
    page = render("comparison.html.j2", values, {"name": "\ud800"})
    assert r"<strong>a\x00\x1b\ud800</strong>" in page
    page.encode()
