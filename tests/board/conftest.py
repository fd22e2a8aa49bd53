"""A leaderboard that several test files share."""

from pathlib import Path

import board_builders
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command

HOSTILE = "<script>document.title='taken'</script>|*x* ]("


def call(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])


def grade(entry: Path, benchmark_folder: Path) -> None:
    done = call("grade", entry, "--dataset", benchmark_folder, "--bootstrap", 20, "--write")
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark and four graded entries: two that are alike, one that is worse, one without all tasks."""
    root = tmp_path_factory.mktemp("place")
    benchmark = board_builders.dataset(root / "tiny")
    entries = root / "submissions"
    board_builders.entry(entries / "good", benchmark, noise=0.3, external=True)
    described = (entries / "good" / "metadata.toml").read_text(encoding="utf-8")
    code = 'code = "https://example.org/code?a=1&b=%22"\n'
    (entries / "good" / "metadata.toml").write_text(described.replace("[method]", f"{code}[method]"), encoding="utf-8")
    (entries / "good" / "README.md").write_text("# good\n", encoding="utf-8")
    board_builders.entry(entries / "good-too", benchmark, noise=0.3, seed=1, name=HOSTILE)
    board_builders.entry(entries / "bad", benchmark, noise=2.5, seed=2, name="=cmd()")
    board_builders.entry(entries / "half", benchmark, noise=0.1, seed=3, partial=True)
    for entry in sorted(entries.iterdir()):
        grade(entry, root / "tiny")
    done = call("board", entries, "--dataset", root / "tiny")
    assert done.exit_code == 0, done.output
    return root
