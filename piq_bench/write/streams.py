r"""Lets standard output carry every text, whatever its encoding: other characters stand for those that it lacks.

Redirected output is cp1252 on Windows and Latin-1 on old servers (click itself turns ASCII into UTF-8). The lines of
tables and dashes get the ASCII character that resembles them. Everything else is written as JSON writes it, such as
"\u5f20"; within JSON the lines and dashes are too, so that JSON loses nothing.

Either stream may be closed, or lead to a full disk. Messages on standard error are lost then, and nothing else is. A
result that standard output cannot take ends the command with a sentence; a reader that has read enough, such as `head`,
is no error.
"""

import codecs
import errno
import io
import json
import os
import select
import sys
from typing import Any

from piq_bench.errors import BadUsage, LimitExceeded, Problem, printable

HANDLER = "piq-bench"
RESEMBLING = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|", "–": "-", "—": "-", "…": "..."}  # noqa: RUF001


class Sink(io.RawIOBase):
    """Writes to a standard stream; what a full disk or a closed stream cannot take is reported once.

    Args:
        descriptor: number of the stream, 1 or 2.
        is_open: whether the stream was open when the process began.
    """

    def __init__(self, descriptor: int, *, is_open: bool) -> None:
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"
        self.mode = "wb"
        self.descriptor = descriptor
        self.is_open = is_open
        self.is_lost = False

    def fileno(self) -> int:
        """The number of the stream."""
        return self.descriptor

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, content: Any, /) -> int:  # noqa: ANN401  (a buffer of bytes)
        """Write some bytes; say how many.

        Raises:
            BadUsage: if standard output is closed.
            LimitExceeded: if standard output cannot take more, as on a full disk.
        """
        if self.is_lost:
            return len(content)
        try:
            if self.is_open:
                return self._written(content)
            raise OSError(errno.EBADF, "is closed")
        except OSError as error:
            self.is_lost = True
            if self.descriptor != 1 or error.errno == errno.EPIPE:
                return len(content)
            reason, remedy = printable(error.strerror or error), "send it to a file or a program that can take it"
            refusal = BadUsage if error.errno == errno.EBADF else LimitExceeded
            raise refusal("standard output", [Problem("cannot-write", "stdout", reason, remedy)]) from None

    def _written(self, content: Any) -> int:  # noqa: ANN401
        try:
            return os.write(self.descriptor, content)
        except BlockingIOError:  # a pipe that another program has set to non-blocking
            select.select([], [self.descriptor], [])
            return self._written(content)


def accept_every_character() -> None:
    """Set up standard output and standard error of this process; every entry point calls it first."""
    codecs.register_error(HANDLER, _replacement)
    sys.stderr = _prepared(sys.stderr, 2)
    sys.stdout = _prepared(sys.stdout, 1)


def _prepared(stream: Any, descriptor: int) -> Any:  # noqa: ANN401  (tests put all kinds of streams here)
    """The stream to use in place of another one, which is None if it was closed."""
    if stream is None:
        _reserve(descriptor)
        sink = io.BufferedWriter(Sink(descriptor, is_open=False))
        return io.TextIOWrapper(sink, encoding="utf-8", errors=HANDLER, line_buffering=True)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if os.name == "nt" or _number(stream) != descriptor:
        stream.reconfigure(errors=HANDLER)
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Sink(descriptor, is_open=True)),
        encoding=stream.encoding,
        errors=HANDLER,
        line_buffering=stream.line_buffering or descriptor != 1,
    )


def _reserve(descriptor: int) -> None:
    """Open the null device under a closed number, so that no file gets it and receives what libraries print."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        if null != descriptor:
            os.close(null)


def _number(stream: io.TextIOWrapper) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _replacement(error: UnicodeError) -> tuple[str, int]:
    """The text for characters that an encoding lacks, and where encoding continues."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    is_json = error.object.startswith("{")
    characters = error.object[error.start : error.end]
    texts = (None if is_json else RESEMBLING.get(character) for character in characters)
    return "".join(
        json.dumps(character)[1:-1] if text is None else text for character, text in zip(characters, texts, strict=True)
    ), error.end
