"""The command line: one file per command, with its options, one call into the library, output and exit code.

A command is imported only when it is called, and nothing heavier than click is imported here, so that `--help` answers
at once.
"""

import sys

TYPE_CHECKING = False  # as in `piq_bench`
if TYPE_CHECKING:
    from types import FrameType, TracebackType


def end_quietly(kind: type[BaseException], error: BaseException, trace: "TracebackType | None") -> None:
    """Show an error that nothing caught; Ctrl-C and what comes of it is none. The status stays that of SIGINT."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if not (isinstance(cause, KeyboardInterrupt) or interrupts):
        sys.__excepthook__(kind, error, trace)
        return
    print("interrupted", file=sys.stderr)
    if not isinstance(error, KeyboardInterrupt):  # Python 3.11 makes another error of it where a class is created
        sys.exit(130)


interrupts: list[int] = []  # signals that came
if sys.excepthook is sys.__excepthook__:  # nobody else has set it
    sys.excepthook = end_quietly

# ruff: noqa: E402  (what follows may be interrupted)
import atexit
import ctypes
import gc
import os
import signal
import stat
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click

from piq_bench import __version__
from piq_bench.errors import BadUsage, Problem, exit_codes, hanging, printable, quoted, width_of
from piq_bench.write.streams import accept_every_character

TOP_PAD, KEPT_BYTES = -2, 64 << 20  # M_TOP_PAD of malloc.h


def interrupt(number: int, frame: "FrameType | None") -> None:
    """Answer Ctrl-C as Python does, and remember it: numpy makes a TypeError of it in the middle of a comparison."""
    interrupts.append(number)
    signal.default_int_handler(number, frame)


def _keep_freed_memory() -> None:
    """Have Linux's usual allocator keep up to 64 MiB that is free: arrays come and go, and new pages take time."""
    with suppress(OSError, AttributeError, TypeError):  # another system or C library
        ctypes.CDLL(None).mallopt(TOP_PAD, KEPT_BYTES)


if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, interrupt)
# Starting makes many objects that stay: to search them for circular references, after every 700, finds none. When a
# process ends, all its memory is freed, and to look for such references is no use either.
gc.set_threshold(100_000)
atexit.register(gc.freeze)
_keep_freed_memory()
# numpy's OpenBLAS starts a thread per core. Each spins for 0.1 s (2**28 ticks) before it sleeps, after its start and
# after every product, and takes its core from this process and from the one that unpacks tables.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # 2**4 ticks
READ = {"benchmark.toml", "annotations.csv", "annotations.parquet", "meta.json", "metadata.toml", "submission.ref.toml"}
READ_SUFFIXES = {".npy", ".npz", ".mat"}
STDOUT = Path("-")  # the value of --json that prints the document
JOBS = {
    "Score submissions": {
        "score": "Score a submission and print the result.",
        "compare": "Compare submissions pairwise and test the differences for significance.",
    },
    "Make a submission": {
        "template": "Write a valid example submission to start from.",
        "convert": "Write a submission from features of other tools.",
        "baseline": "Write a baseline submission that needs no training.",
        "check": "Check the format of a submission; no labels are needed.",
    },
    "Prepare a data set": {
        "collect": "Cut portraits out of videos along the boxes of a tracker.",
        "init": "Write benchmark.toml for a table of annotations, to be edited.",
        "import": "Write a public data set down as a folder of this project.",
        "groups": "Find and group the near-duplicate images of a data set.",
        "annotate": "Label a data set by hand on a local web page.",
        "split": "Divide people and images among train, query and gallery.",
        "stats": "Describe a data set and check it.",
        "demo": "Draw a synthetic benchmark.",
    },
    "Run a leaderboard or a challenge": {
        "grade": "Score a leaderboard entry again and check what it claims.",
        "board": "Write the leaderboard of graded entries.",
        "export": "Export a benchmark to challenge hosts and other programs.",
    },
    "Check this installation": {
        "selftest": "Check that this installation gives the official scores.",
    },
}
COMMANDS = {name: text for commands in JOBS.values() for name, text in commands.items()}
COMPLETION = """\b
The Tab key completes commands and options after these lines in ~/.bashrc
(for zsh or fish: zsh_source or fish_source in place of bash_source):
  eval "$(_PIQ_COMPLETE=bash_source piq)"
  eval "$(_PIQ_SCORE_COMPLETE=bash_source piq-score)"
"""
OTHER = "Other options"


class Command(click.Command):
    """A command with options in sections, examples and --version.

    It refuses, before any work, options that name one file twice or write over what is read.

    Args:
        sections: options by the title of their section in the help, such as "--json --html"; those that are in no
            section come last.
        examples: command lines to show in the help.
    """

    reads_arrays = True  # from a folder that it is given

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  as in click
        sections: Mapping[str, str] | None = None,
        examples: Sequence[str] = (),
        **extra: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **extra)
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])
        self.params.append(version_option())
        self.sections = {title: options.split() for title, options in (sections or {}).items()}
        self.examples = tuple(examples)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401  as in click
        """Parse the arguments; click would answer Ctrl-C in its own way."""
        with exit_codes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as in click
        """Run the command."""
        with exit_codes():
            refuse_clashes(ctx, parts=self.reads_arrays)
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        title_of = {option: title for title, options in self.sections.items() for option in options}
        records: dict[str, list[tuple[str, str]]] = {title: [] for title in self.sections}
        other = OTHER if self.sections else "Options"
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if isinstance(parameter, click.Option) and record is not None:
                records.setdefault(title_of.get(parameter.opts[0], other), []).append(record)
        for title, rows in records.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Examples"):
                for line in "\n".join(self.examples).splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class LazyCommands(click.Group):
    """A group that imports a command when it is called: command NAME is `NAME_command` in `piq_bench.cli.NAME`."""

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401  as in click
        """Run a command, with output that no text can break."""
        accept_every_character()
        with exit_codes():
            return super().main(*args, **extra)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401  as in click
        """Parse the arguments; click would answer Ctrl-C in its own way."""
        with exit_codes():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as in click
        """Import and run a command."""
        with exit_codes():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such command."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help lines of all commands by job, without importing any."""
        width = max(map(len, COMMANDS))
        for job, commands in JOBS.items():
            with formatter.section(job):
                formatter.write_dl([(f"{name:{width}}", text) for name, text in commands.items()])


def version_option() -> click.Option:
    """The option -V or --version, which every command has."""

    def show(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(f"piq, version {__version__}")
            ctx.exit()

    return click.Option(
        ["-V", "--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="Show the version and exit.",
    )


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[version_option()],
    epilog=COMPLETION,
)
def piq() -> None:
    r"""Evaluate portrait interpretation: person re-identification and attribute recognition, summed up as PIQ.

    \b
    A first score:      piq template --out mine.npz && piq-score mine.npz
    Your own data set:  piq init DATASET && piq-stats DATASET
    """


def piq_score() -> None:
    """Entry point of `piq-score`, the same command as `piq score`."""
    accept_every_character()
    with exit_codes():
        load_command("score").main(prog_name="piq-score")


def piq_stats() -> None:
    """Entry point of `piq-stats`, the same command as `piq stats`."""
    accept_every_character()
    with exit_codes():
        load_command("stats").main(prog_name="piq-stats")


def load_command(name: str) -> click.Command:
    """Import one command."""
    module = f"{name}_" if iskeyword(name) else name  # a module that is called like a keyword cannot be imported
    command = getattr(import_module(f"piq_bench.cli.{module}"), f"{name}_command")
    if not isinstance(command, click.Command):
        raise TypeError(f"piq_bench.cli.{name}.{name}_command is not a command")
    return command


def tell(text: str, *, name: str = "") -> None:
    """Print a message to stderr; in a terminal its lines fit, and begin below the first one after its name."""
    click.echo(hanging(name, text, width_of(sys.stderr)), err=True)


def tell_note(note: str) -> None:
    """Print a note to stderr, such as what a reader has ignored."""
    tell(note, name="note: ")


def wants_colour() -> bool:
    """Whether standard output is a terminal whose user did not ask for plain text (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def try_next(program: str, *arguments: object, dataset: Path | None = None) -> str:
    """The command to run next, quoted for a shell, with the data set that this command was given."""
    import shlex

    return shlex.join(
        [*program.split(), *map(str, arguments), *([] if dataset is None else ["--dataset", str(dataset)])]
    )


def json_output(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Callback of --json, which may be STDOUT: the command then prints the JSON and nothing else there."""
    return value if value == STDOUT else output_file(ctx, parameter, value)


def output_file(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an option that names an output file: refuse a path that cannot be written before any work is done."""
    if value == STDOUT:
        raise click.BadParameter("'-' is no name of a file; only --json can print to standard output", ctx, parameter)
    if value is None:
        return None
    try:
        mode = value.stat().st_mode if value.exists() else stat.S_IFREG
    except (OSError, ValueError) as error:  # such as a name that is too long
        reason = printable(getattr(error, "strerror", None) or error)
        raise click.BadParameter(f"{quoted(value)}: {reason}", ctx, parameter) from None
    if stat.S_ISDIR(mode):
        raise click.BadParameter(f"{str(value)!r} is a folder; name a file", ctx, parameter)
    if stat.S_ISREG(mode):
        folder = Path(os.path.realpath(value)).parent  # a link is followed
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise click.BadParameter(f"{str(folder)!r} is not a folder that can be written to", ctx, parameter)
    return value


def refuse_clashes(ctx: click.Context, *, parts: bool = True) -> None:
    """Refuse outputs that are the same file, or a file that the command reads.

    Args:
        ctx: context of the command.
        parts: whether it may read tables and arrays from a folder.

    Raises:
        BadUsage: naming every clash.
    """
    outputs: list[tuple[str, Path]] = []
    inputs: list[tuple[str, Path]] = []
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        is_output = parameter.name == "out" or parameter.callback in (output_file, json_output)
        for path in value if isinstance(value, tuple) else (value,):
            if isinstance(path, Path) and path != STDOUT:
                name = parameter.opts[0] if isinstance(parameter, click.Option) else str(parameter.human_readable_name)
                (outputs if is_output else inputs).append((name, path))
    problems = []
    for place, (name, path) in enumerate(outputs):
        for other, taken in outputs[:place]:
            if is_same(path, taken):
                found = f"names the same file as {other}: {quoted(path)}"
                problems.append(Problem("same-file", name, found, "name another file"))
        for other, read in inputs:
            if is_same(path, read) or (parts and is_part(path, read)):
                found = f"would write over what {other} reads: {quoted(path)}"
                problems.append(Problem("input-file", name, found, "name another file"))
    if problems:
        raise BadUsage(ctx.info_name or "piq", problems)


def is_same(first: Path, second: Path) -> bool:
    """Whether two paths are one regular file or folder, which need not exist yet."""
    try:
        if first.exists() and not (first.is_file() or first.is_dir()):
            return False  # a device or a pipe can take several outputs
        same = first.exists() and second.exists() and first.samefile(second)
        return same or os.path.realpath(first) == os.path.realpath(second)
    except (OSError, ValueError):
        return False


def is_part(path: Path, folder: Path) -> bool:
    """Whether a path is a file in a folder that is read, by the names that readers look for."""
    try:
        if not (path.is_file() and folder.is_dir() and is_same(path.parent, folder)):
            return False
    except (OSError, ValueError):
        return False
    return path.name in READ or path.suffix in READ_SUFFIXES
