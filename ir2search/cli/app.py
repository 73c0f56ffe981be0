"""The `ir2search` command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from ir2search import text
from ir2search.cli import devices, machine, networks, studies
from ir2search.errors import InputError, IR2SearchError

COMMANDS = (
    studies.init,
    studies.studies,
    studies.run,
    studies.worker,
    studies.status,
    studies.dashboard,
    studies.report,
    networks.presets,
    networks.cost,
    networks.train,
    networks.evaluate,
    networks.analyze,
    devices.latency,
    devices.export,
    machine.doctor,
)


class _Commands(TyperGroup):
    """Turns what people can mend into one sentence on stderr; the exit codes are in the help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            _complain_of_usage(error)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = text.near(args[0], self.list_commands(ctx))
            raise InputError(f"no command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            _complain(str(error))
            raise typer.Exit(2) from None
        except BrokenPipeError:
            raise  # typer knows what to do with `| head`
        except OSError as error:
            _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            raise typer.Exit(1) from None
        except IR2SearchError as error:
            _complain(str(error))
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            _complain("stopped; run the same command again to go on")
            raise typer.Exit(130) from None
        except Exception as error:
            _complain_of_usage(error)
            raise


def _complain(sentence: str) -> None:
    typer.echo(f"ir2search: {sentence}", err=True)


def _complain_of_usage(error: Exception) -> None:
    """End with a sentence where options or arguments were wrong; return where it is not that."""
    if getattr(error, "exit_code", None) != 2 or not hasattr(error, "format_message"):
        return
    message = error.format_message().rstrip(".").replace("Value error, ", "")
    message = message.replace(": Input should", ": must")
    if not message:  # the help was shown instead
        return
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "ir2search"
    _complain(f"{message[0].lower()}{message[1:]}; see {command} --help")
    raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which binary network gives the most accuracy for what a device can afford?",
    epilog="A first study, on data that comes along:  ir2search run digits\n\n"
    "Exit codes: 0 done, 1 failed, 2 wrong input, 130 stopped by Ctrl-C. Results go to standard "
    "output, progress and complaints to standard error; NO_COLOR=1 takes the colours away.",
)


@app.callback()
def _root() -> None:
    pass


def _help(command: Callable[..., None]) -> str:
    """Its docstring, with each paragraph but the examples in one line: a terminal folds it."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(
        each if each.startswith("\b") else re.sub(r"\s*\n\s*", " ", each) for each in paragraphs
    )


for _command in COMMANDS:
    app.command(help=_help(_command))(_command)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
