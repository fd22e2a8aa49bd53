"""The help of every command: sections, examples that work, -V; and what a terminal's width and NO_COLOR change."""

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import piq_bench
from piq_bench.cli import COMMANDS, JOBS, Command, load_command, piq, tell_note, try_next, wants_colour
from piq_bench.errors import BadDataset, Problem, hanging, width_of


def commands() -> Iterator[tuple[str, Command]]:
    """Every command that does something, by its name after `piq`."""
    for name in COMMANDS:
        command = load_command(name)
        inner = command.commands if isinstance(command, click.Group) else {}
        for title, one in (
            {f"{name} {part}": one for part, one in inner.items()}.items() if inner else [(name, command)]
        ):
            assert isinstance(one, Command)
            yield title, one


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_sections_name_the_options_of_the_command_once_each(name: str) -> None:
    command = ALL[name]
    own = [parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)]
    named = [option for options in command.sections.values() for option in options]
    assert len(set(named)) == len(named) and set(named) <= set(own)
    if command.sections:
        assert set(own) - set(named) == {"-V"}


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_examples_that_it_accepts(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = ALL[name]
    assert command.examples
    for example in command.examples:
        first, *_ = example.replace("\\\n", "").split(" && ")
        words = shlex.split(first)
        given = words[1:] if words[0] == "piq" else [words[0].removeprefix("piq-"), *words[1:]]
        n_words = len(name.split())
        assert given[:n_words] == name.split()
        command.make_context(name, given[n_words:])


def test_every_command_has_its_version_and_short_help() -> None:
    for name, command in {**ALL, "": piq, "export": load_command("export")}.items():
        for option in ("-V", "--version"):
            done = CliRunner().invoke(command, [option])
            assert (done.exit_code, done.stdout) == (0, f"piq, version {piq_bench.__version__}\n"), name
        assert CliRunner().invoke(command, ["-h"]).exit_code == 0


def test_the_help_of_piq_groups_the_commands_by_job_and_tells_how_to_complete() -> None:
    text = CliRunner().invoke(piq, ["--help"]).stdout
    assert max(map(len, text.splitlines())) <= 80
    for job, named in JOBS.items():
        section = text.partition(f"\n{job}:\n")[2].partition("\n\n")[0]
        assert [line.split()[0] for line in section.splitlines() if line[2:3].strip()] == list(named)
    assert 'eval "$(_PIQ_COMPLETE=bash_source piq)"' in text


def test_the_line_for_completion_is_a_script_of_this_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PIQ_COMPLETE", "bash_source")
    done = CliRunner().invoke(piq, [], prog_name="piq")
    assert "complete -o nosort -F _piq_completion piq" in done.stdout
    monkeypatch.setenv("_PIQ_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "piq in")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert CliRunner().invoke(piq, [], prog_name="piq").stdout == "plain,init\n"


def test_messages_wrap_in_a_terminal_alone_and_hang_below_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("some-code", "age", "row 7 ('a/very/long/path/that/stays/whole.jpg'): got 'aduld'", "one of two")
    refusal = BadDataset("folder", [problem])
    lines = refusal.text(40).splitlines()
    assert " ".join(line.strip() for line in lines) == " ".join(line.strip() for line in str(refusal).splitlines())
    assert lines[1:] == [
        "  age  row 7",
        "       ('a/very/long/path/that/stays/whole.jpg'):",
        "       got 'aduld'",
        "       -> one of two [some-code]",
    ]
    assert hanging("a long name: ", "text", 4).split() == ["a", "long", "name:", "text"]
    assert width_of(sys.stderr) is None and width_of(None) is None
    monkeypatch.setattr("piq_bench.cli.width_of", lambda stream: 20)
    with CliRunner().isolation() as (_, stderr, _):
        tell_note("one two three four five")
        assert stderr.getvalue() == b"note: one two three\n      four five\n"


def test_colour_is_for_terminals_whose_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    assert wants_colour()
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_colour()  # only a value that is not empty counts
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_colour()


def test_the_next_command_is_quoted_and_names_the_data_set() -> None:
    assert try_next("piq check", "a b.npz", dataset=Path("d e")) == "piq check 'a b.npz' --dataset 'd e'"
    assert try_next("piq-score", Path("x"), "--partial") == "piq-score x --partial"


def test_the_public_names_are_listed() -> None:
    shown = [name for name in dir(piq_bench) if not name.startswith("_")]
    assert set(piq_bench.__all__) <= set(shown) and "TYPE_CHECKING" not in shown
