"""The command line: one file per command, with its options, one call into the library, output and exit code.

A command is imported only when it is called, and nothing heavier than click is imported here, so that `--help` answers
at once.
"""

import os
from importlib import import_module
from keyword import iskeyword
from pathlib import Path

import click

from piq_bench import __version__

COMMANDS = {
    "score": "Score a submission and print the result.",
    "compare": "Compare submissions pairwise and test the differences for significance.",
    "stats": "Describe a data set and check it.",
    "check": "Check the format of a submission; no labels are needed.",
    "template": "Write a valid example submission to start from.",
    "import": "Write a public data set down as a folder of this project.",
    "groups": "Find and group the near-duplicate images of a data set.",
    "demo": "Draw a synthetic benchmark.",
    "grade": "Score a leaderboard entry again and check what it claims.",
    "board": "Write the leaderboard of graded entries.",
    "export": "Export a benchmark to challenge hosts and other programs.",
    "baseline": "Write a baseline submission that needs no training.",
    "selftest": "Check that this installation gives the official scores.",
}


class LazyCommands(click.Group):
    """A group that imports a command when it is called: command NAME is `NAME_command` in `piq_bench.cli.NAME`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such command."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines of all commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="piq")
def piq() -> None:
    """Evaluate portrait interpretation: person re-identification and attribute recognition, summed up as PIQ."""


def piq_score() -> None:
    """Entry point of `piq-score`, the same command as `piq score`."""
    load_command("score").main(prog_name="piq-score")


def piq_stats() -> None:
    """Entry point of `piq-stats`, the same command as `piq stats`."""
    load_command("stats").main(prog_name="piq-stats")


def load_command(name: str) -> click.Command:
    """Import one command."""
    module = f"{name}_" if iskeyword(name) else name  # a module that is called like a keyword cannot be imported
    command = getattr(import_module(f"piq_bench.cli.{module}"), f"{name}_command")
    if not isinstance(command, click.Command):
        raise TypeError(f"piq_bench.cli.{name}.{name}_command is not a command")
    return command


def output_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option that names an output file: refuse a path that cannot be written before any work is done."""
    if value is not None and value.is_dir():
        raise click.BadParameter(f"{str(value)!r} is a folder; name a file", ctx, parameter)
    if value is not None and not (value.parent.is_dir() and os.access(value.parent, os.W_OK)):
        raise click.BadParameter(f"{str(value.parent)!r} is not a folder that can be written to", ctx, parameter)
    return value
