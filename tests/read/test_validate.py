"""Rules of single values: valid and invalid paths and names."""

import difflib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import piq_bench.read.validate as module
from piq_bench.read.validate import (
    are_plain,
    closest,
    expected,
    image_problems,
    path_fault,
    text_fault,
    values_problems,
)


def plainly_safe(path: str) -> bool:
    """The rule of a safe path, written plainly."""
    segments = path.split("/")
    return (
        0 < len(path) <= 1024
        and path == path.strip()
        and "\\" not in path
        and not (len(path) > 1 and path[1] == ":" and path[0].isascii() and path[0].isalpha())
        and all(segment not in ("", ".", "..") and len(segment.encode()) <= 255 for segment in segments)
        and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in path)
        and not any(c in "\u061c\u2028\u2029\u200e\u200f\u202a\u202b\u202c\u202d\u202e" for c in path)
        and not any(c in "\u2066\u2067\u2068\u2069" for c in path)
    )


@given(
    st.text(st.sampled_from("ab./\\: -C\x00\n\x7f\u202e\u061cä"), max_size=8)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
@example("a" * 255)
@example("a" * 256)
@example("ä" * 128)
@example("a/" * 511 + "bb")
@example("a/" * 512 + "bb")
def test_a_path_is_at_fault_exactly_if_the_plain_rule_says_so(path: str) -> None:
    assert (path_fault(path) is None) == plainly_safe(path)


@settings(max_examples=300)
@given(
    st.lists(st.text(st.sampled_from("ab0_./\\ -C\n\ud800ä"), max_size=5), min_size=1, max_size=6), st.integers(1, 6)
)
@example(["a" * 255, "b"], 2)
@example(["a" * 256, "b"], 2)
@example(["a\nb"], 1)
@example(["a", ""], 2)
@example(["", "a"], 1)
def test_checking_all_paths_at_once_finds_what_checking_each_does(images: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_ROWS", piece)
        problems = image_problems("a.csv", images, str)
    n_faults = sum(path_fault(image) is not None for image in images)
    assert [problem.count for problem in problems] == [n_faults] * (n_faults > 0)


@given(st.lists(st.text(st.sampled_from("ab0_./\\ -C\n\ud800ä"), max_size=5), max_size=6), st.integers(1, 6))
@example(["a" * 256, "b"], 2)
@example(["a" * 257, "b"], 2)
@example(["a\nb"], 1)
def test_plain_texts_are_valid_names(texts: list[str], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE_ROWS", piece)
        plain = are_plain(texts)
    assert plain == all(text_fault(text) is None and set(text) <= set("ab0_./-C") for text in texts)


def test_halves_of_surrogate_pairs_are_refused() -> None:
    assert path_fault("a\ud800.jpg") == "it has control characters"


@pytest.mark.parametrize("name", ["", "p1", "Ünal, Ö.", "日本", "a b", "x" * 256])
def test_names_in_all_languages_are_valid(name: str) -> None:
    assert text_fault(name) is None


@pytest.mark.parametrize(
    ("value", "known", "meant"),
    [
        ("aduld", ["child", "adult"], "adult"),
        ("ADULT", ["child", "adult"], "adult"),
        (" adult ", ["child", "adult"], "adult"),
        ("zebra", ["child", "adult"], None),
        ("x", [], None),
    ],
)
def test_a_misspelling_is_recognised(value: str, known: list[str], meant: str | None) -> None:
    assert closest(value, known) == meant


def test_long_lists_of_valid_values_are_cut() -> None:
    known = [f"label{n}" for n in range(50)]
    assert expected("zebra", known).endswith("'label11' and 38 more")
    assert expected("zebra", ["a", "b"]) == "one of 'a', 'b'"


def test_wrong_values_are_summed_up_with_those_of_most_rows_first() -> None:
    column = ["x", "b", "a", "b", "c", "b", "a", "d", "e", "e", "f"]
    faults = dict.fromkeys("abcdef", "no label")
    (problem,) = values_problems("bad-label", "t.csv: age", column, faults, lambda row: f"line {row + 2}", "one of two")
    assert problem.count == 10
    assert problem.found == (
        "line 3: 'b' (and in 2 more rows): no label, line 4: 'a' (and in 1 more row): no label, "
        "line 10: 'e' (and in 1 more row): no label and 3 more"
    )
    (problem,) = values_problems("x", "x", [*"aabbccdd"], faults, str, "")
    assert problem.found.endswith("'c' (and in 1 more row): no label and 2 more rows with 1 other value")
    assert values_problems("x", "x", column, {}, str, "") == []


@given(value=st.text("abA ", max_size=12), known=st.lists(st.text("abA", max_size=12), max_size=4))
def test_the_lengths_that_are_tried_first_hide_no_similar_name(value: str, known: list[str]) -> None:
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(value.strip().casefold(), folded, n=1, cutoff=0.6)
    assert closest(value, known) == (folded[found[0]] if found else None)
