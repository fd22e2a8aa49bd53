from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.demo.film import roles
from piq_bench.demo.sizes import MAX_IMAGES, MIN_IMAGES, PORTRAIT250K, long_tail, sizes_for


def held_by_few(counts: list[int]) -> Fraction:
    """LTS_0.2 by plain counting: the share of people who together have a fifth of the images, over 0.2."""
    few = 0
    while 5 * sum(counts[:few]) < sum(counts):
        few += 1
    return Fraction(5 * few, len(counts))


@given(st.integers(MIN_IMAGES, MAX_IMAGES))
def test_any_number_of_images_has_valid_sizes(n_images: int) -> None:
    sizes = sizes_for(n_images)
    assert sizes.images == n_images
    assert sizes.train - sizes.train_unlabelled >= sizes.train_identities
    assert sizes.gallery - sizes.gallery_unlabelled >= sizes.gallery_identities
    assert sizes.query >= sizes.query_identities <= sizes.gallery_identities
    assert min(sizes.train_films, sizes.test_films) >= 2
    unlabelled = sizes.train_unlabelled + sizes.gallery_unlabelled
    assert 0.6 * n_images - 2 < unlabelled <= 0.6 * n_images


@given(st.integers(1, 60), st.integers(0, 2000))
def test_a_tail_adds_up_and_never_rises(n_people: int, more: int) -> None:
    counts = long_tail(n_people + more, n_people)
    assert sum(counts) == n_people + more
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 1


def test_identities_have_the_long_tail_of_the_paper() -> None:
    for sizes in (sizes_for(3000), PORTRAIT250K):
        for total, n_people in (
            (sizes.train - sizes.train_unlabelled, sizes.train_identities),
            (sizes.query, sizes.query_identities),
            (sizes.gallery - sizes.gallery_unlabelled, sizes.gallery_identities),
        ):
            assert 0.07 < held_by_few(long_tail(total, n_people)) < 0.09


def test_no_people_have_no_tail() -> None:
    with pytest.raises(ValueError, match="at least one person"):
        long_tail(0, 0)


def test_the_preset_has_the_sizes_of_table_2() -> None:
    train, test = roles(0, PORTRAIT250K)
    assert sum(role.n_rest for role in train) == 151_633
    assert sum(role.n_query for role in test) == 12_361
    assert sum(role.n_rest for role in test) == 86_006
    assert sum(role.n_rest for role in train if not role.identity) == 86_516
    assert sum(role.n_rest for role in test if not role.identity) == 57_724
    assert len({role.identity for role in train if role.identity}) == 640
    assert len({role.identity for role in test if role.n_query}) == 404
    assert len({role.identity for role in test if role.identity}) == 426
    assert not any(role.n_query for role in test if not role.identity)
    people = [role.person.number for role in train + test]
    assert len(set(people)) == len(people)
