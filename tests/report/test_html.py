from __future__ import annotations

import base64
import hashlib
import html
import re

import pandas as pd

from ir2search.report.html import render

VALUES = {"names": ("a", "b"), "ratio": 1.0, "coverages": (1.0, 1.0), "reference": {"ops": 1.0}}


def test_markup_in_names_and_in_the_view_stays_text() -> None:
    values = VALUES | {"names": ("<b>a</b>", "b"), "table": pd.DataFrame(), "image": ""}
    page = render("comparison.html.j2", values, {"name": "</script><b>"})
    assert "<b>a</b>" not in page
    assert "&lt;b&gt;a&lt;/b&gt;" in page
    assert r"\u003c/script>\u003cb>" in page


def test_a_script_is_allowed_by_its_hash_alone() -> None:
    page = render("comparison.html.j2", VALUES | {"table": pd.DataFrame(), "image": ""}, {})
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
    values = VALUES | {"names": ("a\x00\x1b\ud800", "b"), "table": pd.DataFrame(), "image": ""}
    page = render("comparison.html.j2", values, {"name": "\ud800"})
    assert r"<strong>a\x00\x1b\ud800</strong>" in page
    page.encode()
