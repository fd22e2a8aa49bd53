"""TOML and JSON of strangers: what is right comes through, whatever else there is ends in one sentence."""

import json
import tracemalloc
from collections.abc import Callable

import pytest

from piq_bench.documents import MAX_DEPTH, MAX_PARTS, parse_json, parse_toml
from piq_bench.errors import printable

Parser = Callable[[str], object]


def test_what_is_right_comes_through() -> None:
    text = 'a.b = "x.y # \\" z"  # a.b.c\nt = """one "" two\n""""\ns = \'\'\'it\'s.\'\'\'\nn = [1.5, -2, 2026-11-28]\n'
    assert list(parse_toml(text)) == ["a", "t", "s", "n"]
    assert parse_toml(f'"{"a." * 50}" = "{"b." * 50}"  # {"c." * 50}')
    assert parse_toml("k.k = '''\n" + "v." * 50 + "'''\n" + "m = '" + "w." * 50 + "'")
    value = {"text": "Łukasiewicz 山田 \U0001f600", "list": [1, 2.5, None, True, {}], "": 10**39}
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode("utf-16")) == value
    assert parse_json("[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = " + "1" * 4301, "more than 40 digits"),
        ("x = 0x" + "f" * 4000, "more than 40 digits"),
        ("x = -" + "1" * 41, "more than 40 digits"),
        ("a.x = [1, inf]", r"a\.x\.1 is inf, which is not a finite number"),
        ("x = nan", "x is nan, which is not a finite number"),
        (".".join("a" * (MAX_PARTS + 1)) + " = 1", "more than 16 parts"),
        ("[" + " . ".join(["'a'", '"b"'] * 16_000) + "]", "more than 16 parts"),
        ('t = """\\""""\n' + ".".join("a" * 1200) + "=1", "more than 16 parts"),
        ("x = " + "[" * 65 + "]" * 65, "more than 64 levels"),
        ("x = " + "[" * 30_000, "more than 64 levels"),
        ("x = {" + "a = {" * 70 + "}" * 71, "more than 64 levels"),
        ("x = '''" + "''" * 20_000, "line 1"),
        ('x = "' + "\\\\" * 20_000, "Unterminated"),
        ("x = ", "Invalid value"),
    ],
)
def test_toml_is_refused_in_little_memory(text: str, found: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=found):
            parse_toml(text)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" + "1" * 4301 + "]", "more than 40 digits"),
        ("[1e400]", "0 is inf, which is not a finite number"),
        ('{"a": NaN}', "a is nan, which is not a finite number"),
        ("[-Infinity]", "0 is -inf"),
        ("[" * 30_000, "more than 64 levels"),
        ('{"a":' * 70 + "1" + "}" * 70, "more than 64 levels"),
        ('["\\udfff"]', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
        ('{"a": 1, "a": 2}', "a key occurs twice"),
        ("NaN", "the value is nan"),
        (b"\xff\xff\xff\xff", "decode"),
        ("", "Expecting value"),
    ],
)
def test_json_is_refused(text: str, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        parse_json(text)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def test_every_value_can_be_quoted() -> None:
    assert printable(10**5000).startswith("0x")
    assert printable([10**5000]) == "a list"
    assert printable({"a": 10**5000}) == "a dict"
    assert printable(nested(100_000)) == "a list"
    assert printable("\ud800") == "\\ud800"
