"""The options --quiet and --verbose, which every command has: how much goes to standard error."""

from __future__ import annotations

import functools
import logging
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand

from ir2search import escape

# The level of the package's logger: ERROR with --quiet, DEBUG with --verbose.
_logger = logging.getLogger("ir2search")


class _SafeFormatter(logging.Formatter):
    """Shows messages without control sequences, and keeps the lines of tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(escape.terminal, super().format(record).splitlines()))


def is_verbose() -> bool:
    """Whether to show log messages and tracebacks."""
    return _logger.isEnabledFor(logging.DEBUG)


def _be_quiet(asked: bool) -> None:
    if asked:
        _set_level(logging.ERROR)


def _be_verbose(asked: bool) -> None:
    if asked and not is_verbose():
        _set_level(logging.DEBUG)
        handler = logging.StreamHandler()
        handler.setFormatter(_SafeFormatter("%(levelname)s %(name)s: %(message)s"))
        _logger.addHandler(handler)


def _set_level(level: int) -> None:
    if _logger.level not in (logging.NOTSET, level):
        other = "--verbose" if level == logging.ERROR else "--quiet"
        raise typer.BadParameter(f"does not go with {other}")
    _logger.setLevel(level)


Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q",
        help="Show only results and errors.",
        callback=_be_quiet,
        expose_value=False,
    ),
]  # fmt: skip
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v",
        help="Show log messages, and the traceback of an error.",
        callback=_be_verbose,
        expose_value=False,
    ),
]  # fmt: skip


class VerbosityCommand(TyperCommand):
    """A command that also has --quiet and --verbose; its function does not get them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params += _options()


@functools.cache
def _options() -> list[Any]:
    """The options --quiet and --verbose, as Click has them."""
    made = typer.Typer(add_completion=False)

    @made.command()
    def nothing(quiet: Quiet = False, verbose: Verbose = False) -> None: ...

    return typer.main.get_command(made).params
