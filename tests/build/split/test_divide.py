"""A division keeps together what belongs together, and gives every query something to find; checked plainly."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.build.split.divide import CannotDivide, Columns, Shares, divide
from piq_bench.records import GALLERY, QUERY, TRAIN, IntArray

codes = st.integers(-1, 5)
image = st.tuples(st.integers(-1, 6), codes, codes, codes)
images = st.lists(image, min_size=1, max_size=40)


def columns_of(rows: list[tuple[int, int, int, int]]) -> Columns:
    identity, group, film, camera = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Columns(identity, group, film, (group, camera))


def together(split: IntArray, names: list[int]) -> bool:
    """Whether images of one name are all in train or all outside."""
    sides = defaultdict(set)
    for part, name in zip(split.tolist(), names, strict=True):
        if name >= 0:
            sides[name].add(part == TRAIN)
    return all(len(side) == 1 for side in sides.values())


def faults(rows: list[tuple[int, int, int, int]], split: IntArray, *, whole_films: bool) -> list[str]:
    """What is wrong with a division, by the plain reading of its rules."""
    identity, group, film, camera = ([row[place] for row in rows] for place in range(4))
    found = []
    if not together(split, identity):
        found.append("a person is in train and test")
    if not together(split, group):
        found.append("a near-duplicate group is cut")
    if whole_films and not together(split, film):
        found.append("a film is cut")
    for index, part in enumerate(split.tolist()):
        if part != QUERY:
            continue
        if identity[index] < 0:
            found.append("a query shows nobody")
        rivals = [
            other
            for other, where in enumerate(split.tolist())
            if where == GALLERY and identity[other] == identity[index]
            if not (group[other] == group[index] >= 0 or camera[other] == camera[index] >= 0)
        ]
        if not rivals:
            found.append("a query has nothing to find")
    return found


@given(images, st.sampled_from([0.3, 0.6]), st.sampled_from([0.1, 0.5]), st.integers(0, 3), st.booleans())
def test_every_division_keeps_the_rules(
    rows: list[tuple[int, int, int, int]], train: float, query: float, seed: int, whole_films: bool
) -> None:
    try:
        split = divide(columns_of(rows), Shares(train, query, seed, whole_films))
    except CannotDivide as reason:
        assert reason.code in ("too-few-people", "one-unit", "no-queries")
        return
    assert faults(rows, split, whole_films=whole_films) == []
    assert np.array_equal(split, divide(columns_of(rows), Shares(train, query, seed, whole_films)))
    assert {TRAIN, QUERY, GALLERY} == set(split.tolist())
    assert any(row[0] >= 0 for row, part in zip(rows, split.tolist(), strict=True) if part == TRAIN)


def test_the_checker_finds_each_fault() -> None:
    rows = [(0, 0, 0, -1), (0, 1, 0, -1), (1, 1, 0, -1), (-1, -1, 0, -1)]
    split = np.array([TRAIN, QUERY, GALLERY, QUERY], dtype=np.int64)
    assert set(faults(rows, split, whole_films=True)) == {
        "a person is in train and test",
        "a film is cut",
        "a query has nothing to find",
        "a query shows nobody",
    }
    assert "a near-duplicate group is cut" in faults(
        rows, np.array([TRAIN, TRAIN, GALLERY, GALLERY]), whole_films=False
    )


def free_people(n_people: int, n_each: int, n_nobodies: int) -> Columns:
    identity = np.concatenate([np.repeat(np.arange(n_people), n_each), np.full(n_nobodies, -1)]).astype(np.int64)
    nothing = np.full(identity.size, -1, dtype=np.int64)
    film = np.arange(identity.size, dtype=np.int64) % 10
    return Columns(identity, nothing, film, ())


def test_shares_of_people_queries_and_nobodies_are_reached_where_nothing_ties() -> None:
    columns = free_people(100, 20, 1000)
    split = divide(columns, Shares(train=0.6, query=0.3))
    named = columns.identity >= 0
    assert np.unique(columns.identity[named & (split == TRAIN)]).size == 60
    assert (split == QUERY).sum() == 40 * 6
    assert (~named & (split == TRAIN)).sum() == 600


def test_images_of_nobody_stay_with_those_of_their_film() -> None:
    columns = free_people(100, 20, 1000)
    split = divide(columns, Shares())
    nobody = columns.identity < 0
    for film in range(10):
        assert len(set((split[nobody & (columns.film == film)] == TRAIN).tolist())) == 1


def test_other_seeds_give_other_divisions() -> None:
    columns = free_people(100, 4, 0)
    assert len({divide(columns, Shares(seed=seed)).tobytes() for seed in range(5)}) == 5


@pytest.mark.parametrize(
    ("rows", "whole_films", "code"),
    [
        ([(-1, -1, -1, -1)] * 5, False, "too-few-people"),
        ([(0, -1, -1, -1)] * 5, False, "too-few-people"),
        ([(0, 2, -1, -1), (1, 2, -1, -1)] * 3, False, "one-unit"),
        ([(0, -1, 2, -1), (1, -1, 2, -1)] * 3, True, "one-unit"),
        ([(0, 1, -1, -1)] * 4 + [(1, 2, -1, -1)] * 4, False, "no-queries"),
    ],
)
def test_what_cannot_be_divided_is_told(rows: list[tuple[int, int, int, int]], whole_films: bool, code: str) -> None:
    with pytest.raises(CannotDivide) as told:
        divide(columns_of(rows), Shares(whole_films=whole_films))
    assert told.value.code == code
