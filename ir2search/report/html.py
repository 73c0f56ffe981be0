"""Pages of one file: templates, style, script, figures and plotly.js put together."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ir2search import text
from ir2search.extras import require

TEMPLATES = Path(__file__).with_name("templates")
EXTRA = "report"  # installs plotly and jinja2


def render(template: str, values: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """The text of a page.

    Args:
        template: a file in ``templates``.
        values: of the template's variables.
        view: what the page's script draws, in values that JSON can hold.

    Raises:
        MissingExtraError: plotly or jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra=EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ir2search.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    for function in (
        text.percent, text.spread, text.count, text.size, text.milliseconds, text.names,
        text.number, text.difference,
    ):  # fmt: skip
        environment.filters[function.__name__] = function
    # only a "<" can end a script element
    embedded = json.dumps(view, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return environment.get_template(template).render(
        css=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
        plotly=_packed_plotly(),
        view=embedded,
        **values,
    )


def inline_svg(file: Path) -> str:
    """A figure as HTML markup, without its XML prologue. Matplotlib has escaped its texts."""
    content = file.read_text(encoding="utf-8")
    content = content[content.index("<svg") :]
    # ids are unique in a file, and must be unique in the page; '="#' alone would match colours too
    prefix = file.parent.parent.name + file.stem
    content = content.replace('id="', f'id="{prefix}-').replace('href="#', f'href="#{prefix}-')
    return content.replace("url(#", f"url(#{prefix}-")


@functools.cache
def _packed_plotly() -> str:
    """plotly.js in gzip and base64, 2 MB in place of 5; the browser unpacks it."""
    offline = require("plotly.offline", extra=EXTRA)
    packed = gzip.compress(offline.get_plotlyjs().encode(), mtime=0)
    return base64.b64encode(packed).decode()
