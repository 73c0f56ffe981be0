"""A study as the values of a study file."""

from __future__ import annotations

import re
from typing import Any

import tomli_w

from ir2search.study.schema import Study

# these may differ when a run continues
MAY_CHANGE = ("trials", "stop", "confirm", "resources")
SUPERNET_MAY_CHANGE = ("members", "finetune")  # in [supernet]: what happens after the search
WRITTEN_ALWAYS = ("name", "seed", "trials", "sampler", "objectives", "data", "space", "recipe")


def definition(study: Study) -> dict[str, Any]:
    """The part of a study that its trials depend on: it stays the same when a run continues."""
    values = study_as_dict(study)
    values["data"].pop("path", None)  # the folder may move: its images are compared
    for name in SUPERNET_MAY_CHANGE:
        values.get("supernet", {}).pop(name, None)
    if study.modules:
        values["modules"] = [" ".join((each.stem, each.digest)).strip() for each in study.modules]
    return {name: value for name, value in values.items() if name not in MAY_CHANGE}


def study_as_dict(study: Study) -> dict[str, Any]:
    """The study as the values of a study file; `parse_study` reads them back.

    Values that are the default are left out, except those of `WRITTEN_ALWAYS`.
    """
    left_out = {
        name
        for name, field in Study.model_fields.items()
        if name not in WRITTEN_ALWAYS and getattr(study, name) == field.default
    }
    return study.model_dump(mode="json", exclude=left_out, exclude_none=True)


def study_as_toml(study: Study) -> str:
    """The study as a study file, with the searched parameters in their order.

    Another order would give other candidates from the same seed. In TOML a table must come after
    the plain keys of its section, so tables in ``[space]`` and ``[recipe]`` are written inline.
    """
    values, inline = study_as_dict(study), {}
    for section in ("space", "recipe"):
        for name, value in values[section].items():
            if isinstance(value, dict):
                mark = values[section][name] = f"the table {section}.{name}"
                inline[f'"{mark}"'] = _inline(value)
    text = tomli_w.dumps(values)
    for mark, table in inline.items():
        text = text.replace(mark, table, 1)
    return text


def _inline(table: dict[str, Any]) -> str:
    """A table in one line of TOML."""
    listed = tomli_w.dumps({"list": [0, table]})  # a list of tables alone would not be inline
    return (
        re.sub(r"\s*\n\s*", "", listed.split("0,", maxsplit=1)[1])
        .removesuffix(",]")
        .replace(",]", "]")
    )
