import errno
from collections.abc import Callable

import click
import pytest

from piq_bench.cli import COMMANDS, load_command, piq
from piq_bench.errors import (
    MAX_QUOTED,
    MAX_SOURCE,
    BadDataset,
    BadInput,
    BadSubmission,
    BadUsage,
    GateNotMet,
    LimitExceeded,
    Problem,
    exit_codes,
    printable,
)

PROBLEM = [Problem("some-code", "array", "row 3: got 7", "expected 0 to 2")]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadUsage("x", PROBLEM), 2),
        (BadSubmission("x", PROBLEM), 3),
        (BadDataset("x", PROBLEM), 4),
        (GateNotMet("x", PROBLEM), 5),
        (LimitExceeded("x", PROBLEM), 6),
        (MemoryError(), 6),
        (OSError(errno.ENOSPC, "No space left on device"), 6),
        (OSError("1400 requested and 391 written"), 6),
        (ImportError("libcrypto.so.3: failed to map segment from shared object"), 6),
        (RuntimeError("can't start new thread"), 6),
        (KeyboardInterrupt(), 130),
    ],
)
def test_every_failure_has_its_exit_code(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_, exit_codes():
        raise error
    assert exit_.value.code == code
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err
    if isinstance(error, BadInput):
        assert "row 3: got 7" in printed.err and "expected 0 to 2" in printed.err and "[some-code]" in printed.err


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError
    with pytest.raises(FileNotFoundError), exit_codes():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    command = load_command(name)
    assert command.help
    with pytest.raises(click.exceptions.Exit):
        command.make_context(name, ["--help"])


def test_the_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        piq.main(["--help"], prog_name="piq")
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("shown", "limit"), [(printable, MAX_QUOTED), (lambda text: str(BadDataset(text, PROBLEM)), MAX_SOURCE + 40)]
)
def test_a_strangers_text_is_harmless(shown: Callable[[str], str], limit: int) -> None:
    text = shown("\x1b[2J\u202e\r\n" + "x" * 5000)
    assert "\x1b" not in text and "\u202e" not in text and "\r" not in text
    assert max(map(len, text.splitlines())) <= limit
