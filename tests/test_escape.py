"""Each format is read back by a library that parses it."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from ir2search import escape

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "http://evil.example",
    "<http://evil.example>",
    "a | b",
    "`code` **bold** _it_ ~~no~~",
    "# head",
    "- item",
    "1. item",
    "---",
    "&lt;b&gt;",
    "a\n\n# head\n\n<b>",
    "\x1b]8;;http://evil.example\x07link\x1b]8;;\x07",
    "\x00\x08\x0b\x1f\x7f\x9b\u202e\u2028\ufffe\ud800",
    r"\input{/etc/passwd} \write18{id} 5% $x_1^2$ #1 & ~ {}",
]
FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "a;=1+1", "\uff1d1+1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_terminal_gets_one_line_of_printable_characters(text: str) -> None:
    assert escape.terminal(text).isprintable()


def test_printable_text_of_every_language_stays() -> None:
    text = r"Käfer 甲虫 жук 96.1 ± 0.3% C:\x [/b]"
    assert escape.terminal(text) == text
    assert escape.terminal("\x1b[31m") == r"\x1b[31m"


def test_the_middle_of_a_long_text_is_cut_out() -> None:
    shown = escape.terminal("a.toml: got " + "x" * 10**7 + "; give less")
    assert len(shown) == escape.SHOWN
    assert shown.startswith("a.toml: got xx")
    assert "x...x" in shown
    assert shown.endswith("xx; give less")


@given(st.text(st.characters(codec=None)))
def test_every_text_is_valid_xml(text: str) -> None:
    escaped = escape.xml(text).replace("&", "&amp;").replace("<", "&lt;")
    ElementTree.fromstring(f"<a>{escaped}</a>".encode())


def inline_kinds(tokens: list[Token]) -> list[str]:
    return [child.type for token in tokens for child in token.children or ()]


def shown_text(tokens: list[Token]) -> str:
    return "".join(child.content for token in tokens for child in token.children or ())


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_the_text_as_text(text: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(escape.markdown(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert set(inline_kinds(tokens)) == {"text"}
    assert shown_text(tokens) == escape.one_line(text).strip()


@given(st.text(st.characters(codec=None), min_size=1))
def test_any_text_is_text_in_markdown(text: str) -> None:
    page = f"label: {escape.markdown(text)}"
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(page)
    assert set(inline_kinds(tokens)) == {"text"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_of_a_markdown_table_is_one_cell_without_markup(text: str) -> None:
    page = f"| a | b |\n| --- | --- |\n| {escape.markdown(text)} | 1 |\n"
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(html)
    assert tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]


def test_a_plain_text_stays_plain_in_markdown() -> None:
    text = "depth 8, width 0.5, compact (m = 6) of stem, 96.1 ± 0.3%"
    assert escape.markdown(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_special_character_of_the_text(text: str) -> None:
    rest = escape.latex(text)
    ours = r"\\text(backslash|asciicircum|asciitilde|less|greater|bar|quotedbl|asciigrave)\{\}"
    rest = re.sub(ours, "", rest.replace(r"$\pm$", ""))
    rest = re.sub(r"\\[{}$&#_%]", "", rest)
    assert not re.search(r'[\\{}$&#_%^~<>|"`]', rest)
    assert rest.isprintable()


@pytest.mark.parametrize("text", [*FORMULAS, *HOSTILE])
def test_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    table = pd.DataFrame({"text": pd.Series([text, "plain"], dtype=object), "n": [-1.5, 2.0]})
    table.columns = pd.Index([text, "n"], dtype=object)
    rows = list(csv.reader(io.StringIO(escape.csv_table(table))))
    assert [len(row) for row in rows] == [2, 2, 2]
    for cell in (rows[0][0], rows[1][0]):
        assert not re.search(r"(^|;)\s*[=+\-@\uff1d]", cell)
        assert cell.isprintable()
    assert [row[1] for row in rows] == ["n", "-1.5", "2.0"]


def test_numbers_in_csv_stay_numbers() -> None:
    table = pd.DataFrame({"a": ["-3", "+1e5", "-inf", ".5"], "b": [[-1.0], [], None, [2]]})
    assert escape.csv_table(table) == table.to_csv(index=False)
