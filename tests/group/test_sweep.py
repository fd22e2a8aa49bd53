"""Nodes, components, direct links and every figure of the sweep, against a count in plain Python."""

from dataclasses import replace

import numpy as np
import pytest
from group_builders import Row, balanced_hashes, benchmark_of, hashed_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles_groups import Image64, Rules, diagnostics, groups, near

from piq_bench.group import components as components_module
from piq_bench.group.build import GroupReport, group_hashed
from piq_bench.group.components import Forest
from piq_bench.group.farthest_pair import FarthestPair, GrowingGroup
from piq_bench.group.sweep import Level
from piq_bench.records import NO_GROUP, Grouping

A, B = 0xAAAAAAAAAAAAAAAA, 0x5555555555555555


def random_images(seed: int, n: int = 36) -> list[Image64]:
    """Short tracks, some files twice, some flat, some unreadable; people, films and cameras at random."""
    rng = np.random.Generator(np.random.PCG64(seed))
    hashes = balanced_hashes(n, seed, step=0.25, track=4).tolist()
    images = []
    for value in hashes:
        kind = rng.random()
        phash = int(rng.choice([0, 1 << 63])) if kind < 0.15 else value
        images.append(
            Image64(
                phash=0 if kind > 0.95 else phash,
                # Different images never have the same bytes; the same image is in up to three files.
                bytes_hash=0 if kind > 0.95 else (phash % (2**60 - 93)) * 4 + int(rng.integers(1, 4)),
                quality=float(phash % 40),
                readable=kind <= 0.95,
                is_query=bool(rng.random() < 0.4),
                identity=str(rng.choice(["", "p", "q", "r"])),
                source=str(rng.choice(["", "film", "other"])),
                camera=str(rng.choice(["", "c1", "c2"])),
                junk=bool(rng.random() < 0.1),
            )
        )
    again = [images[i] for i in rng.integers(0, n, 6)]
    return images + [replace(image, is_query=not image.is_query) for image in again]


def grouped(images: list[Image64], rules: Rules, mode: str = "components") -> GroupReport:
    rows = [
        Row(
            f"{number:04d}.jpg",
            "query" if image.is_query else "gallery",
            image.identity,
            image.source,
            image.camera,
            image.junk,
        )
        for number, image in enumerate(images)
    ]
    grouping = Grouping(threshold=rules.threshold, mode="neighbours" if mode == "neighbours" else "components")
    hashed = hashed_of(
        [image.phash for image in images],
        quality=[image.quality for image in images],
        bytes_hash=[image.bytes_hash for image in images],
        readable=[image.readable for image in images],
    )
    benchmark = benchmark_of(rows, exclude_same_camera=rules.same_camera)
    return group_hashed(benchmark, hashed, grouping=grouping, within_source=rules.within, min_quality=rules.min_quality)


@settings(max_examples=25)
@given(
    st.integers(0, 10_000),
    st.booleans(),
    st.sampled_from([None, 12.0]),
    st.booleans(),
    st.sampled_from([0, 1, 6, 12]),
)
def test_every_figure_is_the_plain_count(
    seed: int, within: bool, min_quality: float | None, same_camera: bool, threshold: int
) -> None:
    images = random_images(seed)
    rules = Rules(threshold, within, min_quality, same_camera)
    report = grouped(images, rules)
    assert report.group.tolist() == groups(images, rules)
    for level in report.sweep.levels:
        expected = diagnostics(images, replace(rules, threshold=level.threshold))
        assert {name: getattr(level, name) for name in expected} == expected
        assert level.farthest_exact


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0, 4, 10]))
def test_neighbours_are_all_pairs_and_nothing_else(seed: int, within: bool, threshold: int) -> None:
    images = random_images(seed)
    rules = Rules(threshold, within)
    pairs = grouped(images, rules, mode="neighbours").groups.pairs
    assert pairs is not None
    n = len(images)
    expected = [[i, j] for i in range(n) for j in range(i + 1, n) if near(images[i], images[j], rules)]
    assert pairs.tolist() == expected


@settings(max_examples=15)
@given(st.integers(0, 10_000))
def test_the_order_of_images_changes_no_group(seed: int) -> None:
    images = random_images(seed)
    rules = Rules(8)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(images))
    before = grouped(images, rules)
    after = grouped([images[i] for i in order], rules)
    together = before.group[order][:, None] == before.group[order][None, :]
    np.testing.assert_array_equal(after.group[:, None] == after.group[None, :], together)
    for one, other in zip(before.sweep.levels, after.sweep.levels, strict=True):
        assert replace(one, farthest=None) == replace(other, farthest=None)  # that of the first of the largest groups


def test_a_chain_is_one_group_but_its_ends_are_no_neighbours() -> None:
    first, second, third = A, A ^ 0b111111, A ^ 0b111111111111  # 6 bits apart, 6 more; all with 32 set
    images = [Image64(value, bytes_hash=i + 1) for i, value in enumerate((first, second, third))]
    assert {value.bit_count() for value in (first, second, third)} == {32}
    assert (first ^ third).bit_count() == 12
    chained = grouped(images, Rules(6))
    assert chained.group.tolist() == [0, 0, 0]
    assert chained.groups.group.tolist() == [0, 0, 0]
    direct = grouped(images, Rules(6), mode="neighbours")
    assert direct.groups.pairs is not None
    assert direct.groups.pairs.tolist() == [[0, 1], [1, 2]]
    assert direct.groups.group.tolist() == [0, 0, 0]  # the component is still known
    level = chained.sweep.level_at(6)
    assert level is not None
    assert (level.farthest, level.pairs_beyond, level.same_group_pairs) == (12, 1, 3)


def test_images_alone_have_no_group_in_the_record_and_their_own_row_in_the_file() -> None:
    report = grouped([Image64(A, 1), Image64(B, 2), Image64(A, 3)], Rules(6))
    assert report.group.tolist() == [0, 1, 0]
    assert report.groups.group.tolist() == [0, NO_GROUP, 0]


def test_odd_thresholds_give_the_groups_of_the_even_ones_below() -> None:
    images = random_images(5)
    for odd in (1, 5, 11):
        assert grouped(images, Rules(odd)).group.tolist() == grouped(images, Rules(odd - 1)).group.tolist()


def test_flat_images_are_linked_by_their_bytes_alone() -> None:
    flat = 1 << 63
    images = [Image64(flat, 5), Image64(flat, 6), Image64(flat, 5), Image64(0, 7)]
    report = grouped(images, Rules(12))
    assert report.group.tolist() == [0, 1, 0, 3]
    assert report.degenerate.all()


def test_the_last_threshold_is_followed_by_one_to_judge_it_by() -> None:
    levels = grouped(random_images(1), Rules(12)).sweep.levels
    assert [level.threshold for level in levels] == [0, 2, 4, 6, 8, 10, 12, 14]
    assert [level.threshold for level in grouped(random_images(1), Rules(6)).sweep.levels] == [0, 2, 4, 6, 8, 10, 12]


def test_what_the_data_set_does_not_say_is_unknown_not_zero() -> None:
    rows = [Row("a.jpg", "query"), Row("b.jpg")]
    report = group_hashed(benchmark_of(rows, sources=False), hashed_of([A, A]))
    level = report.sweep.levels[0]
    unknown = {name for name, value in vars(level).items() if value is None}
    assert unknown == {
        "groups_across_sources",
        "most_sources",
        "pairs_across_sources",
        "groups_across_identities",
        "most_identities",
        "queries_lost",
        "queries_lost_directly",
    }
    assert (level.gallery_excluded, level.exclusions, report.sweep.queries_with_positives) == (1, 1, None)


@pytest.mark.parametrize("pending", [0, 1, 5])
def test_components_do_not_depend_on_when_pairs_are_merged(monkeypatch: pytest.MonkeyPatch, pending: int) -> None:
    monkeypatch.setattr(components_module, "PENDING", pending)
    forest = Forest(7)
    for first, second in [([0, 4], [1, 5]), ([1], [2]), ([5], [6]), ([2], [0])]:
        forest.add(np.array(first), np.array(second))
    labels = forest.merge()
    assert [labels.tolist().index(label) for label in labels] == [0, 0, 0, 3, 4, 4, 4]


def test_the_farthest_pair_is_true_also_while_a_group_grows_or_another_takes_its_place() -> None:
    hashes = np.unique(balanced_hashes(300, seed=9))
    rng = np.random.Generator(np.random.PCG64(9))
    growing = GrowingGroup()
    some = rng.permutation(len(hashes))
    for chosen in (some[:3], some[:40], some[:200], some[150:], some[:1]):
        values = hashes[chosen].tolist()
        expected = max((a ^ b).bit_count() for a in values for b in values)
        assert growing.farthest_pair(hashes[chosen]) == FarthestPair(expected, exact=True)


def test_too_large_a_group_gives_a_lower_bound_and_says_so() -> None:
    hashes = np.unique(balanced_hashes(100, seed=9))
    found = GrowingGroup(most_comparisons=500).farthest_pair(hashes)
    assert not found.exact
    assert 0 < found.distance <= max((a ^ b).bit_count() for a in hashes.tolist() for b in hashes.tolist())


def test_levels_hold_one_value_per_figure() -> None:
    assert set(diagnostics(random_images(0, 4), Rules(0))) < set(Level.__dataclass_fields__)
