"""Read study files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ir2search import text
from ir2search.errors import CandidateError, SpaceError, StudyError
from ir2search.extensions import UserModule, load_modules, read_module
from ir2search.files import read_toml
from ir2search.study.messages import sentence_of
from ir2search.study.names import name_of
from ir2search.study.schema import Study
from ir2search.study.shipped import shipped_studies


def load_study(path: str | Path) -> Study:
    """Read and validate a study file, given by its path or the name of a shipped study.

    Raises:
        StudyError: there is no such study, or a key, a type or a value is wrong. The message names
            the file and the field.
    """
    file = study_file(path)
    return parse_study(read_values(file), str(file))


def read_values(file: Path) -> dict[str, Any]:
    """Read the values of a study file, by key; they are not validated, and no module is run.

    Raises:
        StudyError: the file cannot be read, or is not valid TOML.
    """
    try:
        return read_toml(file)
    except ValueError as error:
        raise StudyError(f"{file}: not valid TOML: {error}") from None
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None


def parse_study(
    values: Mapping[str, Any], source: str, modules: tuple[UserModule, ...] | None = None
) -> Study:
    """Validate the values of a study file.

    Args:
        values: the content of the file.
        source: the file, for error messages. The modules that the study names are beside it.
        modules: the modules that the study names, if they are read already; this function then
            does not run their code.

    Raises:
        StudyError: a key, a type or a value is wrong.
    """
    try:
        if modules is None:
            modules = _modules(values.get("modules", ()), Path(source).parent)
            load_modules(modules)
        study = Study.model_validate({"name": name_of(Path(source)), **values, "modules": modules})
    except ValidationError as error:
        raise StudyError(f"{source}: {sentence_of(error, Study)}") from None
    except (CandidateError, SpaceError) as error:
        field = str(error)
        section = "recipe" if field.startswith("recipe.") else "space"
        raise StudyError(f"{source}: [{section}] {field.removeprefix('recipe.')}") from None
    except StudyError as error:
        raise StudyError(f"{source}: {error}") from None
    study._source = source
    return study


def study_file(path: str | Path) -> Path:
    """The file of a study that is named by a path or by the name of a shipped study.

    Raises:
        StudyError: there is no such study; the message suggests a name.
    """
    shipped = shipped_studies()
    if str(path) in shipped:
        return shipped[str(path)]
    if Path(path).is_file():
        return Path(path)
    hint = text.suggest(path, shipped)
    raise StudyError(f"no study {str(path)!r}, neither a file nor a shipped one; {hint}")


def _modules(names: object, base: Path) -> tuple[UserModule, ...]:
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise StudyError(f'modules: must be a list such as ["my_networks.py"], but got {names!r}')
    modules = tuple(read_module(name, base) for name in names)
    stems = [module.stem for module in modules]
    for stem in stems:
        if stems.count(stem) > 1:  # a run keeps them in one folder
            raise StudyError(f"modules: two are called {stem}; rename one of them")
    return modules
