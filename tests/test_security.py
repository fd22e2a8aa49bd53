"""Every attack of submissions/SECURITY.md names its test, and every test named there exists."""

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "submissions" / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def named_in(path: Path) -> set[str]:
    return set(re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))


def missing(text: str) -> list[str]:
    """Named tests that do not exist."""
    pairs = [(ROOT / path, name) for path, name in NAMED.findall(text)]
    return [name for path, name in pairs if not path.is_file() or name not in named_in(path)]


def attacks(text: str) -> list[str]:
    """The rows of the tables of attacks."""
    _, *tables = text.split("| attack | what happens | test |\n|---|---|---|\n")
    return [line for table in tables for line in table.split("\n\n")[0].splitlines()]


def test_every_attack_names_a_test_that_exists() -> None:
    assert missing(TEXT) == []
    assert len(attacks(TEXT)) > 30
    assert [line for line in attacks(TEXT) if not NAMED.search(line) or line.count("|") != 4] == []


def test_a_test_that_is_gone_is_noticed() -> None:
    assert missing("`tests/test_security.py::test_of_nothing` `tests/none.py::test_x`") == ["test_of_nothing", "test_x"]
    assert missing("`tests/test_security.py::test_a_test_that_is_gone_is_noticed`") == []
