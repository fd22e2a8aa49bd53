r"""Lets standard output carry every text, whatever its encoding: other characters stand for those that it lacks.

Redirected output is cp1252 on Windows and Latin-1 on old servers (click itself turns ASCII into UTF-8). The lines of
tables and dashes get the ASCII character that resembles them. Everything else is written as JSON writes it, such as
"\u5f20"; within JSON the lines and dashes are too, so that JSON loses nothing.
"""

import codecs
import io
import json
import sys

HANDLER = "piq-bench"
RESEMBLING = {"─": "-", "━": "-", "═": "-", "│": "|", "┃": "|", "║": "|", "–": "-", "—": "-", "…": "..."}  # noqa: RUF001


def accept_every_character() -> None:
    """Set up standard output and standard error of this process; every entry point calls it first."""
    codecs.register_error(HANDLER, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


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
