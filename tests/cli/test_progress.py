"""What a command says while it works: lines in a log now and then, a bar and a clock in a terminal."""

import io
import sys

import pytest

import piq_bench.cli.progress as module
from piq_bench.cli.progress import COMPILING, doing, progress_bar, waiting_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_half_minute(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("counting queries", 5000, before="compiling", after="resampling") as advance:
        for _ in range(5):
            seconds[0] += 14
            advance(1000)
    assert capsys.readouterr().err == "counting queries: 3,000 of 5,000, about 28 s left\n"


def test_nothing_is_foretold_before_the_first_step(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("hashing images", 5000) as advance:
        seconds[0] = 31
        advance(0)
    assert capsys.readouterr().err == "hashing images: 0 of 5,000\n"
    with doing("reading x.npz"):
        seconds[0] += 29
    assert capsys.readouterr().err == ""
    with doing("reading x.npz"):
        seconds[0] += 90
    assert capsys.readouterr().err == "reading x.npz: done after 2 min\n"


def test_a_terminal_is_told_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    from rich.progress import Progress

    seen = []
    add = Progress.add_task

    def add_task(self: Progress, what: str, total: float | None) -> int:
        seen.append(what)
        return int(add(self, what, total=total))

    monkeypatch.setattr(Progress, "update", lambda self, task, **extra: seen.append(extra["description"]))
    monkeypatch.setattr(Progress, "add_task", add_task)
    with progress_bar("counting queries", 2, before=COMPILING, after="resampling") as advance:
        advance(1)
        advance(1)
    with doing("reading [bold]x.npz"):
        pass
    assert seen == [COMPILING, "counting queries", "resampling", "reading [bold]x.npz"]
    assert "reading [bold]x.npz" in terminal.getvalue()


def test_compiling_is_announced_only_until_it_is_kept_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    from piq_bench.retrieve import cpu, kernel

    assert module.COMPILED == cpu.ENGINE and waiting_for("numpy") == ""

    class Stats:
        cache_path = "/nowhere"

    class Compiled:
        stats = Stats()

    monkeypatch.setattr(kernel, "count_block", Compiled())
    assert waiting_for(cpu.ENGINE) == COMPILING
