"""What is made when the site is built: pages of the command line and the study file.

And the published reports' figures, which are taken from there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[1]
# a figure of a published report, as pages name it: both here and in the repository it is found
FIGURE = re.compile(r"\]\(((?:\.\./)*)\.\./(reports/[^)\s]+\.(?:png|svg))\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and the figures."""
    pages = {
        "reference/command-line.md": command_line(),
        "reference/study-file.md": study_file(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    for source in sorted(_figures()):
        path = str(REPOSITORY / source)
        files.append(File.generated(config, source, abs_src_path=path))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Find the reports' figures inside the site, one folder nearer than in the repository.

    Commands are coloured as a shell's, where a console's without a prompt pass for its answers.
    """
    return FIGURE.sub(r"](\1\2)", markdown).replace("```console\n", "```sh\n")


def _figures() -> set[str]:
    pages = Path(__file__).parent.rglob("*.md")
    return {name for page in pages for _, name in FIGURE.findall(page.read_text(encoding="utf-8"))}


def command_line() -> str:
    """Every command with its help, arguments and options, as the command itself knows them."""
    from ir2search.cli.app import app

    group: Any = typer.main.get_command(app)
    head = (
        "# Command line\n\nExit codes: 0 done, 1 failed, 2 wrong input, 130 stopped by Ctrl-C. "
        "Results go to standard output, progress and complaints to standard error. "
        "`ir2search --install-completion` has the shell complete names.\n"
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


def study_file() -> str:
    """The template that `ir2search init` writes."""
    from ir2search.study.shipped import TEMPLATE

    return (
        "# Study file\n\nWhat `ir2search init` writes: every key, with what it takes. A value is "
        "fixed, a list is a choice, a table with `low` and `high` is a range.\n\n"
        f"```toml\n{TEMPLATE.read_text(encoding='utf-8')}```\n"
    )
