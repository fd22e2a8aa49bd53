from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.demo.random import Draws, apportion

weights = st.lists(st.integers(1, 1000), min_size=1, max_size=12)


def test_streams_are_the_same_for_ever() -> None:
    draws = Draws("frozen", 0, "stream")
    assert draws.bits(2).tolist() == [14321383247705493566, 13132332267429779758]
    assert draws.below(1000) == 518
    assert draws.unit() == 0.7964599130335442
    assert draws.shuffled("abcdef") == ["f", "c", "d", "b", "e", "a"]


def test_a_stream_depends_on_every_part_of_its_name() -> None:
    names = [("a", 1, 2), ("a", 12), ("a", 1, 3), ("b", 1, 2)]
    assert len({Draws(*name).below(2**60) for name in names}) == len(names)


@given(weights, st.integers(0, 5000), st.integers(0, 3))
def test_shares_add_up_and_lie_within_one_of_the_exact_share(parts: list[int], total: int, least: int) -> None:
    total += least * len(parts)
    counts = apportion(total, parts, least=least)
    assert sum(counts) == total
    for count, part in zip(counts, parts, strict=True):
        exact = least + Fraction((total - least * len(parts)) * part, sum(parts))
        assert exact - 1 < count < exact + 1
        assert count >= least


def test_too_little_to_share_out_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cannot be shared out with 1 for each of 3"):
        apportion(2, [1, 1, 1], least=1)


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_a_deck_holds_each_card_as_often_as_its_weight_says(seed: int, n: int) -> None:
    cards = {"rare": 1, "common": 9}
    deck = Counter(Draws("deck", seed).deck(cards, n))
    assert [deck["rare"], deck["common"]] == apportion(n, [1, 9])


@given(st.integers(0, 2**32), st.lists(st.integers()))
def test_shuffling_loses_nothing(seed: int, items: list[int]) -> None:
    assert sorted(Draws(seed).shuffled(items)) == sorted(items)


@given(st.integers(0, 2**32), st.floats(-10, 10), st.floats(0, 10))
def test_numbers_stay_between_their_bounds(seed: int, low: float, width: float) -> None:
    draws = Draws("bounds", seed)
    assert all(low <= draws.between(low, low + width) <= low + width for _ in range(5))
    assert all(0 <= draws.below(7) < 7 for _ in range(20))
    assert {draws.sign() for _ in range(64)} == {-1, 1}


def test_weights_decide_how_often() -> None:
    draws = Draws("weights", 3)
    seen = Counter(draws.weighted({"never": 0, "one": 1, "three": 3}) for _ in range(4000))
    assert seen["never"] == 0
    assert 2850 < seen["three"] < 3150  # 3000 expected, standard deviation 27
    assert 900 < sum(draws.chance(0.25) for _ in range(4000)) < 1100
