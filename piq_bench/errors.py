"""Mistakes of a user as a list of located problems, and the exit code of each kind of failure.

A stage that finds a problem continues checking, collects every `Problem`, and raises one `BadInput` at its end. Scripts
and CI may rely on the exit codes; commands return no others.
"""

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, TextIO

EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_BAD_SUBMISSION = 3
EXIT_BAD_DATASET = 4
EXIT_GATE = 5
EXIT_LIMIT = 6
EXIT_INTERRUPTED = 130

N_OFFENDERS_SHOWN = 3
N_PROBLEMS_SHOWN = 100  # per refusal; a longer list would not be read
MAX_QUOTED = 80  # characters
MAX_SOURCE = 1024  # characters; paths are shown whole, because their end matters most


@dataclass(frozen=True)
class Problem:
    """One rule that a file, array or option breaks.

    Attributes:
        code: stable kebab-case name of the rule, for scripts: "missing-image".
        where: the file, array, column or option: "annotations.csv", "embedding".
        found: what is wrong, with row and value: "row 214 ('m07/00213.jpg'): 2 of 2048 values are NaN".
        remedy: what would be right: "every value must be finite".
        count: number of rows or values that break the rule.
    """

    code: str
    where: str
    found: str
    remedy: str
    count: int = 1


class BadInput(Exception):
    """A user's mistake: every problem found in one file or folder. Commands show it without a traceback."""

    exit_code: ClassVar[int] = EXIT_USAGE

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("a refusal needs at least one problem")
        super().__init__(source, tuple(problems))
        self.source = source
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int | None = None) -> str:
        """The message, in lines that fit a terminal of some width; None never breaks a line."""
        n_problems = len(self.problems)
        shown = self.problems[:N_PROBLEMS_SHOWN]
        column = max(len(printable(problem.where)) for problem in shown)
        lines = [f"{printable(self.source, MAX_SOURCE)}: refused, {n_problems} problem{'s' if n_problems > 1 else ''}"]
        for problem in shown:
            lines.append(hanging(f"  {printable(problem.where):{column}}  ", problem.found, width))
            lines.append(hanging(f"  {'':{column}}  -> ", f"{problem.remedy} [{problem.code}]", width))
        if n_problems > len(shown):
            lines.append(f"  and {n_problems - len(shown):,} more")
        return "\n".join(lines)


class BadUsage(BadInput):
    """Options or paths that are invalid or contradict each other."""


class BadSubmission(BadInput):
    """A submission that violates the format or does not fit the benchmark."""

    exit_code = EXIT_BAD_SUBMISSION


class BadDataset(BadInput):
    """A data set that violates the format."""

    exit_code = EXIT_BAD_DATASET


class GateNotMet(BadInput):
    """A completed run in which a threshold set by the user was not reached."""

    exit_code = EXIT_GATE


class LimitExceeded(BadInput):
    """An input that needs more memory, disk or time than is allowed."""

    exit_code = EXIT_LIMIT


def printable(text: object, limit: int = MAX_QUOTED) -> str:
    """Untrusted text made safe for a terminal: control and bidirectional characters escaped, length limited."""
    try:
        value = str(text)
    except (ValueError, RecursionError):  # an integer with more digits than Python converts, or deep nesting
        value = f"{text:#x}" if isinstance(text, int) else f"a {type(text).__name__}"
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def quoted(text: object) -> str:
    """Untrusted text made safe by `printable`, in single quotes for a message."""
    return f"'{printable(text)}'"


def first_few(values: Iterable[object], total: int, shown: int = N_OFFENDERS_SHOWN) -> str:
    """Quotes the first few of `total` values: "'a', 'b', 'c' and 9 more"."""
    names = [quoted(value) for value, _ in zip(values, range(shown), strict=False)]
    rest = total - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest > 0 else "")


def hanging(name: str, text: str, width: int | None) -> str:
    """A text after a name, in lines of at most `width` columns that begin below its first one; paths stay whole.

    >>> print(hanging("note: ", "one two three", 14))
    note: one two
          three
    """
    if width is None or len(name) + len(text) <= width:
        return name + text
    from textwrap import TextWrapper

    indent = " " * min(len(name), width // 2)
    wrapper = TextWrapper(
        width, initial_indent=name, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(text) or name


def width_of(stream: TextIO | None) -> int | None:
    """The columns of the terminal that a stream leads to; None for a file or a log, whose lines are never broken."""
    try:
        if stream is None or not stream.isatty():
            return None
        columns = os.environ.get("COLUMNS", "")
        width = int(columns) if columns.isdecimal() else 0
        return width or os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


OUT_OF_MEMORY = "out of memory: free some, raise the limit (ulimit -v), or use a machine that has more"
RESOURCES = {
    errno.ENOSPC: "the disk is full: free some space, also in the folder for temporary files (TMPDIR)",
    errno.EDQUOT: "the disk quota is used up: free some space, also in the folder for temporary files (TMPDIR)",
    errno.EFBIG: "a file would be larger than is allowed: raise the limit (ulimit -f)",
    errno.ENOMEM: OUT_OF_MEMORY,
    errno.EAGAIN: "no process or thread can be started: raise the limit (ulimit -u), or use --workers 1",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine: end other programs",
}
SIGNS_OF_NO_MEMORY = (
    "failed to map segment",
    "cannot allocate memory",
    "memoryerror",
    "bad_alloc",
    "malloc of size",  # pyarrow
    "dctx create failed",  # zstd
    "failed to launch worker thread",
)


def lacks_memory(error: BaseException | str) -> bool:
    """Whether an error, or the last words of a process, mean that memory ran out."""
    text = str(error).casefold()
    return isinstance(error, MemoryError) or any(sign in text for sign in SIGNS_OF_NO_MEMORY)


SIGNS_OF_NO_ROOM = (
    "no space left on device",
    "file too large",
    "disk quota exceeded",
    " requested and ",  # numpy: "1400 requested and 391 written"
)


def shortage(last_words: str) -> str | None:
    """What a process had run out of when it ended, by its last words; None if they say nothing of that kind."""
    if lacks_memory(last_words):
        return OUT_OF_MEMORY
    return RESOURCES[errno.ENOSPC] if any(sign in last_words.casefold() for sign in SIGNS_OF_NO_ROOM) else None


def _exhausted(error: Exception) -> str | None:
    """What this machine has run out of, if that is what an error means; libraries wrap such errors in others."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in RESOURCES:
            place = f" ({printable(cause.filename, MAX_SOURCE)})" if cause.filename else ""
            return f"{RESOURCES[cause.errno]}{place}"
        if isinstance(cause, OSError) and cause.errno is None and shortage(str(cause)):
            return shortage(str(cause))
        if isinstance(cause, RuntimeError) and str(cause) == "can't start new thread":
            return RESOURCES[errno.EAGAIN]
        if isinstance(cause, MemoryError) or (isinstance(cause, ImportError) and lacks_memory(cause)):
            return OUT_OF_MEMORY
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn a user's mistake into its message on stderr and its exit code; our own bugs keep their traceback."""
    try:
        yield
    except BadInput as refusal:
        print(refusal.text(width_of(sys.stderr)), file=sys.stderr)
        sys.exit(refusal.exit_code)
    except (MemoryError, OSError, ImportError, RuntimeError) as error:
        reason = _exhausted(error)
        if reason is None:
            raise
        print(reason, file=sys.stderr)
        sys.exit(EXIT_LIMIT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
