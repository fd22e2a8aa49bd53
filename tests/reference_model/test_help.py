"""The help of every command of `python -m reference_model`: sections, and examples that it accepts."""

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from piq_bench.cli import Command

program = pytest.importorskip("reference_model.__main__")


@pytest.mark.parametrize("name", program.main.commands)
def test_every_command_has_sections_of_its_own_options_and_examples_that_it_accepts(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = program.main.commands[name]
    assert isinstance(command, Command)
    own = [parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)]
    named = [option for options in command.sections.values() for option in options]
    assert len(set(named)) == len(named)
    if command.sections:
        assert set(own) - set(named) == {"-V"}
    assert command.examples
    for example in command.examples:
        _, found, rest = example.partition("-m reference_model ")
        words = shlex.split(rest)
        assert found and words[0] == name
        command.make_context(name, words[1:])
    done = CliRunner().invoke(program.main, [name, "-h"])
    assert done.exit_code == 0 and "Examples:\n  python -m reference_model" in done.stdout


def test_features_may_lie_beside_their_pictures_and_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "features.npz").write_bytes(b"earlier")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(program.main, ["embed", ".", "--out", "features.npz", "--device", "cpu"])
    assert "would write over" not in done.output and "no-images" in done.output
