"""Pages that are generated when the site is built.

These are the reference of the command line, taken from the code, and the published reports, which
lie outside ``docs/``. Notebooks become pages with the outputs that they were stored with. SVG
figures get the colours of a light or a dark page.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ir2search.report.html import with_page_colours

REPOSITORY = Path(__file__).parents[1]
REPORTS = "reports/README.md"
# folders of reports/ with a page of a run
RUN_PAGES = ("digits", "cifar10-supernet", "cifar10-recipe")
# a link out of docs/ into reports/: in the site, reports/ is inside
OUTSIDE = re.compile(rf"\]\(((?:\.\./)*)\.\./({REPORTS}(?:#[^)]*)?|reports/[^)\s]+\.(?:png|svg))\)")
FIGURE = re.compile(r"\]\(((?!https?:|\.\./)[^)\s]+\.(?:png|svg))\)")
NOTEBOOK = re.compile(r"\]\(([\w./-]+)\.ipynb\)")  # a link to a notebook, which is a page here
DATA_FRAME = re.compile(r'<table border="1" class="dataframe">')
# a link of the reports to a folder or a file that only the repository has
STORED = re.compile(r"(?<!!)\[([^\]]*)\]\(((?!https?:|\.\./|#)[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, the reports and their figures."""
    pages = {"reference/command-line.md": command_line()}
    for notebook in sorted(Path(__file__).parent.glob("tutorials/*.ipynb")):
        pages[f"tutorials/{notebook.stem}.md"] = notebook_page(notebook)
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    run_pages = {f"reports/{name}/index.html" for name in RUN_PAGES}
    for name in sorted({REPORTS, *run_pages, *_figures()}):
        files.append(File.generated(config, name, abs_src_path=str(REPOSITORY / name)))
    for file in [each for each in files if each.src_uri.endswith(".svg")]:
        files.remove(file)
        shown = with_page_colours(file.content_bytes)
        files.append(File.generated(config, file.src_uri, content=shown))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Adapt a page's links to the site, and its commands to the highlighter.

    The highlighter takes a line of a ``console`` block without a prompt for output, so the blocks
    are shown as ``sh``.
    """
    if page.file.src_uri == REPORTS:
        markdown = markdown.replace("](../docs/", "](../")
        for name in RUN_PAGES:
            markdown = markdown.replace(f"]({name})", f"](../reports/{name}/index.html)")
        folder = f"{config.extra['repository']}/tree/main/reports"
        markdown = STORED.sub(rf"[\1]({folder}/\2)", markdown)
    markdown = NOTEBOOK.sub(r"](\1.md)", OUTSIDE.sub(r"](\1\2)", markdown))
    return markdown.replace("```console\n", "```sh\n")


def _figures() -> set[str]:
    """Paths in the repository of the reports' figures that pages show."""
    pages = [page.read_text(encoding="utf-8") for page in Path(__file__).parent.rglob("*.md")]
    shown = {name for page in pages for _, name in OUTSIDE.findall(page) if ".md" not in name}
    own = FIGURE.findall((REPOSITORY / REPORTS).read_text(encoding="utf-8"))
    return shown | {f"reports/{name}" for name in own}


def notebook_page(file: Path) -> str:
    """A notebook as Markdown, with a link to the notebook itself below its title."""
    title, *cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    link = f'<a href="{file.name}" download>Download this page as a notebook</a>'
    body = "\n\n".join(part for cell in cells for part in _cell(cell))
    return f"{_text(title)}\n\n{link}\n\n{body}\n"


def _cell(cell: dict[str, Any]) -> list[str]:
    if cell["cell_type"] == "markdown":
        return [_text(cell)]
    return [f"```python\n{_text(cell)}\n```", *map(_output, cell["outputs"])]


def _output(output: dict[str, Any]) -> str:
    """An output as HTML: a picture, a table, or text."""
    data = {kind: "".join(value) for kind, value in output.get("data", {}).items()}
    if "image/png" in data:
        source = data["image/png"].replace("\n", "")
        return f'<p><img alt="what the code draws" src="data:image/png;base64,{source}"></p>'
    if "text/html" in data:
        table = DATA_FRAME.sub("<table>", data["text/html"])  # styled as tables of pages are
        inner = f'<div class="md-typeset__table">{table}</div>'
        return f'<div class="md-typeset__scrollwrap">{inner}</div>'
    shown = html.escape(data.get("text/plain") or "".join(output.get("text", "")))
    return f"<pre><code>{shown}</code></pre>"


def _text(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def command_line() -> str:
    """Every command with its help, arguments and options, as the command itself prints them."""
    from ir2search.cli.app import commands

    group = commands()
    head = (
        "# Command line\n\nExit codes: 0 success, 1 failure, 2 wrong input, 130 stopped by Ctrl-C. "
        "Results go to standard output, progress and errors to standard error. "
        "`ir2search --install-completion` lets the shell complete names.\n"
    )
    return "\n".join([head, *(_command(name, group.commands[name]) for name in group.commands)])


def _command(name: str, command: Any) -> str:
    prose, _, examples = command.help.replace("\b\n", "").partition("Examples:\n")
    lines = [f"## {name}", "", prose.strip(), ""]
    shown = "\n".join(line.strip() for line in examples.strip().splitlines())
    lines += ["```sh", shown, "```", "", "| option | meaning | default |", "| --- | --- | --- |"]
    for parameter in command.params:
        names = ", ".join(f"`{each}`" for each in parameter.opts)
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name.upper()}`"
        default = parameter.default
        shown = "" if default is None or default is False or callable(default) else f"`{default}`"
        about = (parameter.help or "").replace("|", "\\|")
        lines.append(f"| {names} | {about} | {shown} |")
    return "\n".join([*lines, ""])
