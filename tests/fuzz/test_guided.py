"""Bytes make inputs, coverage chooses the bytes, and those of a finding are kept."""

import importlib.util
import os
import sys
import time
from pathlib import Path
from random import Random
from unittest.mock import Mock

import pytest
from fuzz import command, guided
from fuzz.command import fuzz
from fuzz.guided import BytesRandom
from fuzz.readers import ALL_READERS, READERS, Reader
from hypothesis import given, settings
from hypothesis.strategies import binary, integers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the fuzzer needs signals of POSIX")
needs_atheris = pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")


@given(binary(max_size=40), integers(1, 500))
def test_bytes_are_drawn_in_their_order_until_they_are_used_up(content: bytes, n: int) -> None:
    draw = BytesRandom(content)
    assert draw.randbytes(len(content)) == content
    assert draw.randrange(n) == BytesRandom(b"").randrange(n)
    assert 0 <= BytesRandom(content).randrange(n) < n
    assert 0.0 <= BytesRandom(content).random() < 1.0


@settings(max_examples=10)
@given(binary(max_size=99))
def test_the_same_bytes_make_the_same_input_and_few_bytes_suffice(content: bytes) -> None:
    for reader in READERS.values():
        assert reader.make(BytesRandom(content)) == reader.make(BytesRandom(content))


@pytest.mark.parametrize("name", READERS)
def test_other_bytes_make_other_inputs(name: str) -> None:
    inputs = [READERS[name].make(BytesRandom(bytes([byte]) * 999)) for byte in (0, 85, 170)]
    assert inputs[0] != inputs[1] or inputs[1] != inputs[2]


def test_without_atheris_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        command.main(["--guided"])
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "--guided takes atheris, which is not installed: pip install atheris (Linux has wheels)\n"
    )


def test_bytes_of_a_finding_show_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(folder: Path) -> None:
        assert (folder / "a").read_bytes() != b"bad"

    monkeypatch.setitem(ALL_READERS, "npz", Reader(lambda draw: {"a": draw.randbytes(3)}, read))
    for content, code in (b"bad", 1), (b"all", 0):
        (tmp_path / "bytes").write_bytes(content)
        out = tmp_path / f"out {code}"
        assert command.main(["npz", "--bytes", str(tmp_path / "bytes"), "--out", str(out)]) == code
        assert (out / "a").read_bytes() == content


@needs_atheris
def test_bytes_that_reach_new_code_of_the_product_are_kept(tmp_path: Path) -> None:
    executions, findings = fuzz(["ledger"], tmp_path, 1)
    n_reached = len(list((tmp_path / "ledger/corpus").iterdir()))
    assert findings == []
    assert 0 < n_reached < executions["ledger"]


def messages(reader: Reader, place: Path) -> list[str]:
    """What copies of this process send while one reader runs for a second, from number 5 on."""
    path = place / "messages"

    def send(message: object) -> None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(f"{message}\n")

    guided._run_reader(Mock(send=send), reader, "npz", place / "kept", 5, time.monotonic() + 1, place)
    return path.read_text(encoding="utf-8").splitlines()


@needs_atheris
def test_bytes_of_a_finding_are_kept(tmp_path: Path) -> None:
    import atheris

    def read(folder: Path) -> None:
        if (folder / "a").read_bytes()[0] % 2 == 1:  # either reaches code that the other does not
            raise RecursionError

    sent = messages(Reader(lambda draw: {"a": draw.randbytes(1)}, atheris.instrument_func(read)), tmp_path)
    kept = list((tmp_path / "kept/findings").iterdir())
    assert sent[0] == "('npz', 5)"
    assert any(f"{kept[0]}" in line and "RecursionError at" in line for line in sent)
    assert all(BytesRandom(found.read_bytes()).randbytes(1)[0] % 2 == 1 for found in kept)


@needs_atheris
@pytest.mark.parametrize("may_crash", [False, True])
def test_after_a_crash_the_next_input_follows(may_crash: bool, tmp_path: Path) -> None:
    import atheris

    def read(folder: Path) -> None:
        if (folder / "a").read_bytes()[0] % 16 == 1:
            os.abort()

    reader = Reader(lambda draw: {"a": draw.randbytes(1)}, atheris.instrument_func(read), may_crash)
    sent = messages(reader, tmp_path)
    numbers = [line for line in sent if line.startswith("('npz'")]
    findings = [line for line in sent if line.startswith("Finding")]
    assert numbers == [f"('npz', {5 + place})" for place in range(len(numbers))]
    assert len(numbers) > 20
    assert bool(findings) is not may_crash
    assert all("ends the process with -6" in line for line in findings)


@needs_atheris
def test_a_bug_in_the_fuzzer_is_a_finding(tmp_path: Path) -> None:
    def make(draw: Random) -> dict[str, bytes]:
        raise KeyError("a bug")

    (number, found) = messages(Reader(make, str, may_crash=True), tmp_path)[:2]
    assert number == "('npz', 5)"
    assert "KeyError" in found
