"""Pages of one file: templates, style, script, figures and plotly.js put together."""

from __future__ import annotations

import base64
import functools
import gzip
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ir2search import escape, text
from ir2search.extras import require
from ir2search.files import read_bytes
from ir2search.pages import content_hash, embedded_json
from ir2search.plots.style import BLACK, OF_TRIALS, ON_DARK

TEMPLATES = Path(__file__).with_name("templates")
EXTRA = "report"  # installs plotly and jinja2
SVG = re.compile(rb"<svg\b[^>]*>")
OLD_GRID = {"#DDDDDD": "#3A3F47"}  # figures of an earlier style sheet have this grid


def render(template: str, values: Mapping[str, Any], view: Mapping[str, Any]) -> str:
    """The text of a page.

    Args:
        template: a file in ``templates``.
        values: values of the template's variables.
        view: the data that the page's script draws, as values for JSON.

    Raises:
        MissingExtraError: plotly or jinja2 is not installed.
    """
    jinja2 = require("jinja2", extra=EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ir2search.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=_without_controls,
        trim_blocks=True,
    )
    for function in (
        text.percent, text.spread, text.count, text.size, text.milliseconds, text.names,
        text.number, text.interval, text.duration, text.network,
    ):  # fmt: skip
        environment.filters[function.__name__] = function
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(
        css=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        palette=_palette(),
        script=script,
        plotly=_packed_plotly(),
        policy=_policy(script, _plotly()),
        view=embedded_json(view),
        **values,
    )


def image(file: Path) -> str:
    """An SVG file as a URL for an ``img`` element, in which a browser runs no script.

    Raises:
        OSError: the file is missing, too large, or no regular file.
    """
    shown = with_page_colours(read_bytes(file))
    return f"data:image/svg+xml;base64,{base64.b64encode(shown).decode()}"


def with_page_colours(drawn: bytes) -> bytes:
    """An SVG figure with the font of a page, no background, and on a dark page its dark colours."""
    style = f"<style>{_figure_style()}</style>".encode()
    return SVG.sub(lambda found: found[0] + style, drawn, count=1)


@functools.cache
def _figure_style() -> str:
    """CSS for a figure of matplotlib, which writes its colours in attributes."""
    rules = [
        f'[style*="{name}: {light.lower()}"],[{name}="{light.lower()}"]{{{name}:{dark}!important}}'
        for light, dark in (ON_DARK | OLD_GRID).items()
        for name in ("fill", "stroke")
    ]
    return (
        "text{font-family:system-ui,sans-serif!important}#patch_1 path{fill:none!important}"
        f"@media(prefers-color-scheme:dark){{svg{{fill:{ON_DARK[BLACK]}}}{''.join(rules)}}}"
    )


def _palette() -> str:
    """The colours of the networks of a front, for a light and a dark page."""
    light = "".join(f"--trial-{at}:{colour};" for at, colour in enumerate(OF_TRIALS))
    dark = "".join(f"--trial-{at}:{ON_DARK[colour]};" for at, colour in enumerate(OF_TRIALS))
    return f":root{{{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _policy(*scripts: str) -> str:
    """A content security policy that allows these scripts alone, and nothing from the network.

    Styles in attributes are allowed: plotly.js sets them.
    """
    hashes = " ".join(map(content_hash, scripts))
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _without_controls(value: Any) -> Any:
    """A value of a template, without characters that XML forbids; markup stays markup."""
    if not isinstance(value, str):
        return value
    shown = escape.xml(value)
    return value if shown == value else type(value)(shown)


def _plotly() -> str:
    source: str = require("plotly.offline", extra=EXTRA).get_plotlyjs()
    return source


@functools.cache
def _packed_plotly() -> str:
    """plotly.js in gzip and base64: 2 MB instead of 5 MB; the browser unpacks it."""
    return base64.b64encode(gzip.compress(_plotly().encode(), mtime=0)).decode()
