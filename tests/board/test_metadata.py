"""Metadata: what an author may say, and every mistake with its remedy."""

from pathlib import Path

import board_builders
import pytest

from piq_bench.board.metadata import json_schema, read_metadata
from piq_bench.errors import BadSubmission

GOOD = board_builders.METADATA.format(name="mine", external="false")


def refusal(folder: Path, text: str) -> str:
    (folder / "metadata.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadSubmission) as refused:
        read_metadata(folder)
    return str(refused.value)


def test_what_is_said_is_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.toml").write_text(GOOD + "[claimed]\npiq = 0.5\nf1.gender = 0.25\n", encoding="utf-8")
    found = read_metadata(tmp_path)
    assert (found.name, found.team, found.date.isoformat()) == ("mine", "Team", "2026-11-01")
    assert (found.claimed.piq, found.claimed.f1) == (0.5, {"gender": 0.25})
    assert not found.training.external_data


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('team = "Team"\n', "").replace("used_test_images = false", "used_test_images = true")
        + "reranking = true\n[claimed]\npiq = 1.5\nrank = 1\npiqq = 0.5\n"
    )
    message = refusal(tmp_path, text)
    assert "refused, 6 problems" in message
    assert "team" in message
    assert "is missing" in message
    assert "training.used_test_images" in message
    assert "training.reranking" in message
    assert "got '1.5'" in message
    assert "claimed.rank" in message
    assert "is said by the grader alone" in message
    assert "did you mean 'piq'?" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "schema"),
        ("a = [", "a file of TOML"),
        (GOOD.replace("Team", "Te\\u202eam"), "has control characters"),
        (GOOD.replace("Team", "x" * 201), "at most 200 characters"),
        (GOOD.replace("piq-bench/entry/1", "piq-bench/entry/9"), "piq-bench/entry/1"),
        (GOOD + "# " + "x" * (64 << 10), "at most 65536"),
        (GOOD.replace("[method]", 'code = "javascript:alert(1)"\n[method]'), "URL scheme should be"),
    ],
)
def test_what_is_no_metadata_is_refused(text: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, text)


def test_without_the_file_there_is_no_entry(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match="there is no such file"):
        read_metadata(tmp_path)


def test_the_schema_is_that_of_the_same_rules() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert {"schema", "name", "team", "authors", "date", "method", "training"} == set(schema["required"])
