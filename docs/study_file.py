"""The reference of the study file: its template as tables, in which explanations wrap."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SECTION = re.compile(r"(?:# )?\[([\w.]+)\](?:\s+# (.*))?")
KEY = re.compile(r'(?:# )?"?([\w.]+)"? = (.+?)(?:\s+# (.*))?')
MORE = re.compile(r"\s+# (.*)")  # an explanation goes on
PROSE = re.compile(r"# (.*)")
HEAD = """# Study file

`ir2search init` writes this file, with every key and its explanation. A value is fixed, a list is a
choice, a table with `low` and `high` is a range.
"""


@dataclass
class Section:
    """A section of the template: its name, its explanation, and a row for each key."""

    name: str
    prose: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)  # key, value, explanation


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    from ir2search.study.shipped import TEMPLATE

    template = TEMPLATE.read_text(encoding="utf-8")
    content = page(template)
    files.append(File.generated(config, "reference/study-file.md", content=content))
    return files


def page(template: str) -> str:
    """The template as Markdown: a table for each section, then the whole file."""
    parts = [HEAD, *map(_shown, sections(template))]
    return "\n".join([*parts, f"## The whole file\n\n```toml\n{template}```\n"])


def sections(template: str) -> list[Section]:
    """The sections of the template. The text above a section belongs to it."""
    found, prose = [Section("")], list[str]()
    for line in template.splitlines():
        if match := SECTION.fullmatch(line):
            found.append(Section(match[1], [*prose, *filter(None, [match[2]])]))
            prose = []
        elif match := KEY.fullmatch(line):
            found[-1].prose += prose
            found[-1].rows.append([match[1], match[2], match[3] or ""])
            prose = []
        elif match := MORE.fullmatch(line):
            rows = found[-1].rows
            _continue(rows[-1] if rows else found[-1].prose, match[1])
        elif match := PROSE.fullmatch(line):
            prose.append(match[1])
        elif line:
            raise ValueError(f"the template of study files has a line that is no key: {line}")
    return found


def _continue(texts: list[str], more: str) -> None:
    texts[-1] = f"{texts[-1]} {more}"


def _shown(section: Section) -> str:
    lines = [f"## [{section.name}]" if section.name else "## At the top", ""]
    lines += [_sentence(" ".join(section.prose)), ""] if section.prose else []
    if section.rows:
        lines += ["| key | value | explanation |", "| --- | --- | --- |"]
        lines += [f"| {' | '.join(_cells(*row))} |" for row in section.rows]
    return "\n".join([*lines, ""])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _cells(key: str, value: str, explanation: str) -> list[str]:
    return [f"`{key}`", f"`{value}`", explanation.replace("|", "\\|")]
