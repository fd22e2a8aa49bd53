"""`--json -` prints the JSON that a file would get, and nothing else, to standard output."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from submission_builders import BENCHMARK, N, arrays, save

from piq_bench.cli import load_command

COMMANDS = {
    "score": ["ENTRY", "--bootstrap", "0"],
    "compare": ["ENTRY", "ENTRY", "--bootstrap", "9", "--swaps", "9"],
    "stats": ["DATASET", "--no-files"],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [
        f"m/{i}.jpg,{'query' if i < 4 else 'gallery'},p{i % 4},{'child' if i % 2 else 'adult'},happy" for i in range(N)
    ]
    (tmp_path / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    table = "\n".join(["image,split,identity,age,mood", *lines]) + "\n"
    (tmp_path / "annotations.csv").write_text(table, encoding="utf-8")
    save(tmp_path / "entry.npz", arrays())
    monkeypatch.setenv("PIQ_DATASET", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str, *options: str) -> Result:
    places = {"ENTRY": "entry.npz", "DATASET": "."}
    arguments = [places.get(word, word) for word in COMMANDS[command]]
    return CliRunner().invoke(load_command(command), [*arguments, *options])


@pytest.mark.parametrize("layout", ["table", "markdown"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_hyphen_prints_the_json_alone(command: str, layout: str, place: Path) -> None:
    to_file = run(command, "--json", "out.json", "--format", layout)
    printed = run(command, "--json", "-", "--format", layout)
    assert (to_file.exit_code, printed.exit_code) == (0, 0), printed.output
    assert printed.stdout == (place / "out.json").read_text(encoding="utf-8")
    assert printed.stdout == run(command, "--format", "json").stdout
    json.loads(printed.stdout)
    assert not (place / "-").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_never_printed(command: str, place: Path) -> None:
    refused = run(command, "--html", "-")
    assert refused.exit_code == 2
    assert "only --json can print" in refused.stderr
    assert not (place / "-").exists()
