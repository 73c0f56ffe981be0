"""The `ir2search` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from ir2search import text
from ir2search.cli import devices, networks, runs, studies
from ir2search.cli.failures import end_with, end_with_usage, show_warnings
from ir2search.cli.verbosity import Quiet, Verbose, VerbosityCommand
from ir2search.errors import InputError

COMMANDS = (
    studies.init,
    studies.studies,
    studies.run,
    studies.rerun,
    studies.worker,
    runs.runs,
    runs.show,
    studies.status,
    studies.dashboard,
    studies.report,
    runs.open,
    runs.compare,
    studies.trust,
    networks.presets,
    networks.cost,
    networks.train,
    networks.zoo,
    networks.predict,
    networks.evaluate,
    networks.analyze,
    devices.latency,
    devices.export,
    devices.doctor,
)


class _Commands(TyperGroup):
    """All commands; an error becomes a sentence and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            code = end_with_usage(error)
            if code is None:
                raise
            raise typer.Exit(code) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = text.suggest(args[0], self.list_commands(ctx))
            raise InputError(f"no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, so that a closed pipe ends the command quietly
            return result
        except (Exception, KeyboardInterrupt) as error:
            code = end_with(error)
            if code is None:
                raise
            raise typer.Exit(code) from None


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find the most accurate binary network that a device can afford.",
    epilog="A first study, on included data:  ir2search run digits\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input, 130 stopped by Ctrl-C. Results go to standard "
    "output, progress and errors to standard error. NO_COLOR=1 turns colours off.",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"ir2search {version('ir2search')}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print the version of ir2search.",
        callback=_print_version,
        is_eager=True,
        expose_value=False,
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version_asked: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _help(command: Callable[..., None]) -> str:
    """The docstring with each paragraph on one line, for the terminal to fold; not the examples."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(
        each if each.startswith("\b") else re.sub(r"\s*\n\s*", " ", each) for each in paragraphs
    )


for _command in COMMANDS:
    app.command(cls=VerbosityCommand, help=_help(_command))(_command)


@functools.cache
def commands() -> Any:
    """All commands, as Click runs them. They are built once, which takes some milliseconds."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command. Output to a stream that the caller has closed is dropped."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    show_warnings()
    commands()()


if __name__ == "__main__":
    main()
