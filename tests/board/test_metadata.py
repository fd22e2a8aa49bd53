"""Metadata: valid files are read, and every mistake is named with its remedy."""

import re
from pathlib import Path

import board_builders
import pytest
from pydantic import ValidationError

from piq_bench.board.ledger import Line
from piq_bench.board.metadata import Claimed, Metadata, Method, Training, json_schema, read_metadata
from piq_bench.board.reference import Reference
from piq_bench.board.result import _Result
from piq_bench.board.wording import expected, located
from piq_bench.errors import BadSubmission

GOOD = board_builders.METADATA.format(name="mine", external="false")


def refusal(folder: Path, text: str) -> str:
    (folder / "metadata.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BadSubmission) as refused:
        read_metadata(folder)
    return str(refused.value)


def test_valid_metadata_is_read(tmp_path: Path) -> None:
    (tmp_path / "metadata.toml").write_text(GOOD + "[claimed]\npiq = 0.5\nf1.gender = 0.25\n", encoding="utf-8")
    found = read_metadata(tmp_path)
    assert (found.name, found.team, found.date.isoformat()) == ("mine", "Team", "2026-11-01")
    assert (found.claimed.piq, found.claimed.f1) == (0.5, {"gender": 0.25})
    assert not found.training.external_data


def test_a_summary_has_room_and_lines_and_names_have_any_script(tmp_path: Path) -> None:
    summary = '"""\n' + 30 * "What it is, in words.\n" + '"""'
    text = GOOD.replace('"Noise."', summary).replace("A. Author", "山田　太郎, Łucja Ż.")
    (tmp_path / "metadata.toml").write_text(text, encoding="utf-8")
    found = read_metadata(tmp_path)
    assert len(found.method.summary) == 30 * 22 - 1
    assert found.authors == ["山田　太郎, Łucja Ż."]


def test_thousands_of_mistakes_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    message = refusal(tmp_path, GOOD + "".join(f"k{i} = 0\n" for i in range(5000)))
    assert "refused, 5000 problems" in message
    assert message.endswith("\n  and 4,900 more")
    assert len(message) < 20_000


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
    assert "may only be set by the grader" in message
    assert "did you mean 'piq'?" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "schema"),
        ("a = [", "a TOML file"),
        (GOOD.replace("Team", "Te\\u202eam"), "has invisible characters"),
        (GOOD.replace("Team", "Te\\u200bam"), "has invisible characters"),
        (GOOD.replace("Team", "Te\\u3164am"), "has invisible characters"),
        (GOOD.replace("Team", "Te" + 20 * "\u0301" + "am"), "has more than 4 marks on one letter"),
        (GOOD + '[claimed.f1]\n"\\u001b[2J" = 0.5\n', r"the key '\x1b[2J' has invisible characters"),
        (GOOD + "[claimed.f1]\n" + "".join(f"k{i} = 0.5\n" for i in range(300)), "expected at most 200 of them"),
        (
            GOOD.replace('"piq-bench/entry/1"', "0x" + 50_000 * "f"),
            "schema is a number of more than 40 digits",
        ),  # more digits than Python writes out
        (
            GOOD.replace("[training]", f"parameters = 0x{50_000 * 'f'}\n[training]"),
            "parameters is a number of more",
        ),
        (GOOD.replace("external_data = false", 'external_data = "no"'), "expected true or false, without quotes"),
        (GOOD.replace("date = 2026-11-01", "date = 0"), "expected a date such as 2026-12-24"),
        (GOOD + '[claimed]\npiq = "0.5"\n', "expected a number"),
        (GOOD + "[claimed]\npiq = true\n", "expected a number"),
        (GOOD + "[claimed]\npiq = nan\n", "claimed.piq is nan, which is not a finite number"),
        (GOOD.replace("Team", "x" * 201), "at most 200 characters"),
        (GOOD.replace("piq-bench/entry/1", "piq-bench/entry/9"), "piq-bench/entry/1"),
        (GOOD + "# " + "x" * (64 << 10), "at most 65536"),
        (
            GOOD.replace("[method]", 'code = "javascript:alert(1)"\n[method]'),
            "expected a web address that",
        ),
    ],
)
def test_invalid_metadata_is_refused(text: str, message: str, tmp_path: Path) -> None:
    assert message in refusal(tmp_path, text)


WRONG: list[object] = ["x", "", 7, -1.5, True, [], {}, [7], {"": 2.0}, "x" * 9999, 10**16, ["x"] * 999, None]


def test_no_fault_is_told_in_the_words_of_pydantic() -> None:
    kinds = set()
    for model in (Metadata, Method, Training, Claimed, Reference, Line, _Result):
        for key in [*(field.alias or name for name, field in model.model_fields.items()), "other"]:
            for value in WRONG:
                try:
                    model.model_validate({key: value})
                except ValidationError as error:
                    for details in error.errors():
                        words = f"{expected(details)} {located(details)}"
                        assert details["msg"].casefold() not in words.casefold()
                        assert not re.search("should|pydantic|instance|str_|Input|Field", words), words
                        known = details["type"] in ("missing", "extra_forbidden")
                        assert known or expected(details) != "another value", details["type"]
                        kinds.add(details["type"])
    assert len(kinds) > 15


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSubmission, match="does not exist"):
        read_metadata(tmp_path)


def test_the_json_schema_has_the_same_rules() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert {"schema", "name", "team", "authors", "date", "method", "training"} == set(schema["required"])


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "metadata.toml").write_text(GOOD, encoding="utf-8-sig")
    assert read_metadata(tmp_path).name == "mine"
