"""Options, one call into the library, output, exit code. One file per command; each is imported when it is called.

Nothing heavier than click is imported here, so that `--help` answers at once.
"""

import os
from importlib import import_module
from pathlib import Path

import click

from piq_bench import __version__

COMMANDS = {
    "score": "Score a submission and print the result.",
    "compare": "Compare submissions pairwise: is a difference more than luck?",
    "stats": "Describe a data set and check it.",
    "check": "Check a submission's format; needs no labels.",
    "template": "Write a valid example submission to start from.",
    "groups": "Hash and group the near-duplicate images of a data set.",
    "demo": "Draw the synthetic benchmark.",
    "grade": "Score a leaderboard entry anew and compare what it claims.",
    "board": "Write the leaderboard of graded entries.",
    "export": "Write a benchmark as hosts of challenges and other programs take it.",
    "baseline": "Write a submission made without learning.",
    "selftest": "Prove that this installation gives the official digits.",
}


class LazyCommands(click.Group):
    """A group whose commands are imported when called: command NAME is `NAME_command` in `piq_bench.cli.NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help lines without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="piq")
def piq() -> None:
    """Scores portrait interpretation: re-identification and person attributes, summed up as PIQ."""


def piq_score() -> None:
    """Entry point of `piq-score`, the same command as `piq score`."""
    load_command("score").main(prog_name="piq-score")


def piq_stats() -> None:
    """Entry point of `piq-stats`, the same command as `piq stats`."""
    load_command("stats").main(prog_name="piq-stats")


def load_command(name: str) -> click.Command:
    """Import one command."""
    command = getattr(import_module(f"piq_bench.cli.{name}"), f"{name}_command")
    if not isinstance(command, click.Command):
        raise TypeError(f"piq_bench.cli.{name}.{name}_command is no command")
    return command


def output_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option that names a file to write: refuse at once what could not be written at the end."""
    if value is not None and value.is_dir():
        raise click.BadParameter(f"{str(value)!r} is a folder; name a file", ctx, parameter)
    if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
        raise click.BadParameter(f"{str(value.parent)!r} is no folder that can be written to", ctx, parameter)
    return value
