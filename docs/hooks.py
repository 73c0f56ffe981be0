"""Pages that are generated when the site is built.

These are the reference of the command line, taken from the code, and the published reports, which
lie outside ``docs/``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[1]
REPORTS = "reports/README.md"
# a link out of docs/ into reports/: in the site, reports/ is inside
OUTSIDE = re.compile(rf"\]\(((?:\.\./)*)\.\./({REPORTS}(?:#[^)]*)?|reports/[^)\s]+\.(?:png|svg))\)")
FIGURE = re.compile(r"\]\(((?!https?:|\.\./)[^)\s]+\.(?:png|svg))\)")
# a link of the reports to a folder or a file that only the repository has
STORED = re.compile(r"(?<!!)\[([^\]]*)\]\(((?!https?:|\.\./|#)[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, the reports and their figures."""
    files.append(File.generated(config, "reference/command-line.md", content=command_line()))
    for name in sorted({REPORTS, *_figures()}):
        files.append(File.generated(config, name, abs_src_path=str(REPOSITORY / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, **_: Any) -> str:
    """Adapt a page's links to the site, and its commands to the highlighter.

    The highlighter takes a line of a ``console`` block without a prompt for output, so the blocks
    are shown as ``sh``.
    """
    if page.file.src_uri == REPORTS:
        markdown = markdown.replace("](../docs/", "](../")
        folder = f"{config.extra['repository']}/tree/main/reports"
        markdown = STORED.sub(rf"[\1]({folder}/\2)", markdown)
    return OUTSIDE.sub(r"](\1\2)", markdown).replace("```console\n", "```sh\n")


def _figures() -> set[str]:
    """Paths in the repository of the reports' figures that pages show."""
    pages = [page.read_text(encoding="utf-8") for page in Path(__file__).parent.rglob("*.md")]
    shown = {name for page in pages for _, name in OUTSIDE.findall(page) if ".md" not in name}
    own = FIGURE.findall((REPOSITORY / REPORTS).read_text(encoding="utf-8"))
    return shown | {f"reports/{name}" for name in own}


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
    lines += ["```sh", shown, "```", "", "| | | default |", "| --- | --- | --- |"]
    for parameter in command.params:
        names = ", ".join(f"`{each}`" for each in parameter.opts)
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name.upper()}`"
        default = parameter.default
        shown = "" if default is None or default is False or callable(default) else f"`{default}`"
        about = (parameter.help or "").replace("|", "\\|")
        lines.append(f"| {names} | {about} | {shown} |")
    return "\n".join([*lines, ""])
