"""Commands answer in every encoding of standard output, and JSON loses nothing in any."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from submission_builders import BENCHMARK, N, arrays, save

from piq_bench.cli import piq

NAME = "\u6a21\u578b \u2500 \U0001f600 \u0105"  # a script, a line of tables, two units of UTF-16, a letter
TABLE = "image,split,identity,age,mood\n" + "".join(
    f"m/{i}.jpg,{'query' if i < 4 else 'gallery'},\u5f20{i % 4},{'child' if i % 2 else 'adult'},happy\n"
    for i in range(N)
)
ENCODINGS = ("cp1252", "latin-1", "ascii", "utf-8")
COMMANDS = {
    "score": ["score", "ENTRY", "--bootstrap", "0"],
    "stats": ["stats", "DATASET", "--no-files"],
    "compare": ["compare", "ENTRY", "ENTRY", "--bootstrap", "9", "--swaps", "9"],
    "check": ["check", "ENTRY"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    (folder / "annotations.csv").write_text(TABLE, encoding="utf-8")
    meta = json.dumps({"name": NAME, "benchmark": "tiny"}, ensure_ascii=False)
    save(folder / "entry.npz", arrays() | {"meta": np.array(meta)})
    return folder


def arguments_of(place: Path, command: str, layout: str) -> list[str]:
    places = {"ENTRY": str(place / "entry.npz"), "DATASET": str(place)}
    return [places.get(word, word) for word in COMMANDS[command]] + ["--format", layout]


def run(place: Path, encoding: str, command: str, layout: str) -> Result:
    """What a command writes to streams of this encoding: strict standard output and lenient standard error."""
    runner = CliRunner(charset=encoding, env={"PIQ_DATASET": str(place)})
    return runner.invoke(piq, arguments_of(place, command, layout), prog_name="piq")


def test_a_process_answers_in_the_encoding_of_its_environment(place: Path) -> None:
    code = "import sys; from piq_bench.cli import piq; piq.main(sys.argv[1:], prog_name='piq')"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0", "PIQ_DATASET": str(place)}
    command = [sys.executable, "-c", code, *arguments_of(place, "check", "table")]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace(b"\r\n", b"\n") == run(place, "cp1252", "check", "table").stdout_bytes


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize(
    ("command", "layout"),
    [
        ("score", "table"),
        ("score", "markdown"),
        ("score", "latex"),
        ("stats", "table"),
        ("compare", "table"),
        ("compare", "latex"),
        ("check", "table"),
    ],
)
def test_every_format_has_an_answer_in_other_characters(place: Path, command: str, layout: str, encoding: str) -> None:
    done = run(place, encoding, command, layout)
    assert done.exit_code == 0, done.stderr_bytes
    text = done.stdout_bytes.decode(encoding)
    assert "Traceback" not in done.stderr_bytes.decode(encoding)
    if layout == "table" and command != "check":
        assert "--------" in text
    if command in ("score", "check"):
        assert "u6a21" in text and "u578b" in text  # after a backslash, which LaTeX escapes


@pytest.mark.parametrize("command", COMMANDS)
def test_json_loses_nothing_in_any_encoding(place: Path, command: str) -> None:
    documents = []
    for encoding in ENCODINGS:
        done = run(place, encoding, command, "json")
        assert done.exit_code == 0, done.stderr_bytes
        text = done.stdout_bytes.decode(encoding.replace("ascii", "utf-8"))  # click never writes ASCII
        documents.append(json.loads(text))
    assert all(document == documents[-1] for document in documents)
    if command in ("score", "check"):
        assert documents[0]["submission"]["name"] == NAME
