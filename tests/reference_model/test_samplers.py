"""Batches: which images each sampler shows and how often, and that only seed and epoch decide it."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from piq_bench.records import NO_IDENTITY, IntArray
from reference_model import samplers
from reference_model.samplers import Kind, batches, n_seen, share

KINDS: list[Kind] = ["random", "pk", "shuffle"]
SMALL: dict[str, Any] = {"batch_size": 12, "n_images": 3}  # four identities


def people(seed: int, n_unknown: int = 40) -> IntArray:
    """A long-tailed data set: some people have two images, one has many."""
    rng = np.random.default_rng(seed)
    n_images = np.concatenate([[50], rng.integers(2, 12, int(rng.integers(3, 12)))])
    identity = np.repeat(rng.permutation(n_images.size), n_images)
    return rng.permutation(np.concatenate([identity, np.full(n_unknown, NO_IDENTITY)]))


def is_of_identities(batch: IntArray, identity: IntArray) -> bool:
    """Whether a batch shows four people, and three images of each."""
    counts = Counter(identity[batch].tolist())
    return NO_IDENTITY not in counts and list(counts.values()) == [3] * 4


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 200))
def test_random_batches_show_every_image_once_but_for_the_last_few(seed: int, epoch: int) -> None:
    identity = people(seed)
    found = batches("random", identity, epoch, seed, **SMALL)
    assert found.shape == (identity.size // 12, 12)
    assert n_seen(found) == found.size
    assert found.min() >= 0
    assert found.max() < identity.size


def test_random_batches_show_unidentified_images() -> None:
    identity = people(0)
    assert (identity[batches("random", identity, 1, 0, **SMALL)] == NO_IDENTITY).any()


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 200))
def test_pk_batches_show_several_images_of_several_people_and_none_unidentified(seed: int, epoch: int) -> None:
    identity = people(seed)
    found = batches("pk", identity, epoch, seed, **SMALL)
    assert found.shape[1] == 12
    assert all(is_of_identities(batch, identity) for batch in found)


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 200))
def test_pk_batches_repeat_only_images_of_people_with_too_few(seed: int, epoch: int) -> None:
    identity = people(seed)
    shown = Counter(batches("pk", identity, epoch, seed, **SMALL).ravel().tolist())
    n_images = Counter(identity.tolist())
    assert all(n_images[int(identity[row])] < 3 for row, times in shown.items() if times > 1)


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 200))
def test_pk_batches_end_when_too_few_people_have_images_left(seed: int, epoch: int) -> None:
    identity = people(seed)
    found = batches("pk", identity, epoch, seed, **SMALL)
    known = Counter(one for one in identity.tolist() if one != NO_IDENTITY)
    shown = Counter(identity[found].ravel().tolist())
    n_left = {one: max(n_images // 3, 1) - shown[one] // 3 for one, n_images in known.items()}
    assert min(n_left.values()) >= 0
    assert sum(left > 0 for left in n_left.values()) < 4


def test_pk_batches_drop_images_of_the_person_with_most() -> None:
    identity = np.repeat([0, 1, 2, 3], [100, 6, 6, 6])
    found = batches("pk", identity, 1, 0, **SMALL)
    assert len(found) == 2
    assert n_seen(found) == 24  # 2 groups of 3 for each of 4 people, of 118 images


@given(seed=st.integers(0, 10**6), epoch=st.integers(0, 200))
def test_shuffled_batches_are_all_of_people_or_all_unidentified(seed: int, epoch: int) -> None:
    identity = people(seed, n_unknown=45)
    found = batches("shuffle", identity, epoch, seed, **SMALL)
    unknown = [batch for batch in found if (identity[batch] == NO_IDENTITY).all()]
    others = [batch for batch in found if (identity[batch] != NO_IDENTITY).any()]
    assert all(is_of_identities(batch, identity) for batch in others)
    assert others
    assert len(unknown) == 45 // 12
    assert n_seen(np.array(unknown)) == 36  # once each, but for the last 9


def test_shuffled_batches_come_in_a_random_order_of_both_kinds() -> None:
    identity = people(1, n_unknown=120)
    orders = {
        tuple((identity[batches("shuffle", identity, epoch, 0, **SMALL)] == NO_IDENTITY).all(axis=1).tolist())
        for epoch in range(5)
    }
    assert len(orders) == 5


@given(seed=st.integers(0, 10**6), n_unknown=st.integers(6, 80))
def test_batches_mixed_within_are_half_of_people_and_half_unidentified(seed: int, n_unknown: int) -> None:
    identity = people(seed, n_unknown)
    found = batches("shuffle", identity, 1, seed, batch_size=12, n_images=3, mix="within")
    n_pk = len(batches("pk", identity, 1, seed, batch_size=6, n_images=3))
    assert found.shape == (min(n_pk, n_unknown // 6), 12)
    for batch in found:
        counts = Counter(identity[batch].tolist())
        assert counts.pop(NO_IDENTITY) == 6
        assert list(counts.values()) == [3, 3]
    assert n_seen(found[identity[found] == NO_IDENTITY]) == found.size // 2


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_epoch_alone_decide(kind: Kind) -> None:
    identity = people(2)
    first, *others = [
        batches(kind, identity, epoch, seed, **SMALL).tolist() for seed, epoch in [(3, 1), (3, 2), (4, 1), (1, 3)]
    ]
    assert first == batches(kind, identity.copy(), 1, 3, **SMALL).tolist()
    assert first not in others


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_epoch_continues_with_the_same_rest(kind: Kind) -> None:
    identity = people(2)
    whole = batches(kind, identity, 7, 3, **SMALL)
    again = batches(kind, identity, 7, 3, **SMALL)
    assert np.concatenate([whole[:2], again[2:]]).tolist() == whole.tolist()


def test_the_default_batch_has_32_people_with_4_images_each() -> None:
    identity = np.repeat(np.arange(40), 9)
    for batch in batches("pk", identity, 1, 0):
        assert list(Counter(identity[batch].tolist()).values()) == [samplers.N_IMAGES] * 32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_processes", [1, 2, 3, 4])
def test_the_shares_of_all_processes_in_order_are_the_batches(kind: Kind, n_processes: int) -> None:
    whole = batches(kind, people(5), 1, 0, **SMALL)
    parts = [share(whole, rank, n_processes) for rank in range(n_processes)]
    assert all(part.shape == (len(whole), 12 // n_processes) for part in parts)
    assert (np.concatenate(parts, axis=1) == whole).all()


def test_unequal_shares_and_unknown_processes_are_refused() -> None:
    whole = batches("random", people(5), 1, 0, **SMALL)
    with pytest.raises(ValueError, match=r"^a batch of 12 and 5 processes: use a batch size that is a multiple of 5$"):
        share(whole, 0, 5)
    with pytest.raises(ValueError, match=r"^process 2: expected 0 to 1$"):
        share(whole, 2, 2)


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("random", {"batch_size": 500}, r"^100 images do not fill one batch of 500: use a smaller batch size"),
    ("pk", {"batch_size": 128}, r"^6 identities, and a batch of 128 takes 32, 4 images of each: use a smaller batch"),
    ("pk", {"batch_size": 10}, r"^a batch of 10 and 4 images per identity: use a batch size that is a multiple of 4$"),
    ("pk", {"batch_size": 2}, r"^a batch of 2 and 4 images per identity: use a batch size that is a multiple of 4$"),
    ("shuffle", {"batch_size": 24}, r"^10 unidentified images do not fill one batch of 24: use a smaller batch size"),
    ("shuffle", {"batch_size": 9, "mix": "within"}, r"^a batch of 9 and 2 halves: use .* a multiple of 2$"),
    ("both", {"batch_size": 8}, r"^no sampler 'both': expected one of random, pk, shuffle$"),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSALS)
def test_what_gives_no_batch_is_refused_with_the_numbers(kind: Kind, options: dict[str, Any], message: str) -> None:
    identity = np.concatenate([np.repeat(np.arange(6), 15), np.full(10, NO_IDENTITY)])
    with pytest.raises(ValueError, match=message):
        batches(kind, identity, 1, 0, **options)


def test_images_without_any_identity_make_no_pk_batch() -> None:
    with pytest.raises(ValueError, match=r"^0 identities"):
        batches("pk", np.full(200, NO_IDENTITY), 1, 0)
