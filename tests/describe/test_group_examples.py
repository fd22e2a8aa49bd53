"""The groups to look at: the largest, and those with several people or sources or with hashes too far apart."""

from dataclasses import replace

import builders
import numpy as np

from piq_bench.describe.group_examples import N_DOUBTFUL, N_LARGEST, group_examples
from piq_bench.records import NO_GROUP, Benchmark


def made() -> Benchmark:
    benchmark = builders.benchmark(np.random.default_rng(0), builders.Size(n_query=30, n_gallery=90, n_identities=8))
    assert benchmark.groups is not None
    near = np.where(np.arange(benchmark.images.size) % 5, np.uint64(1), np.uint64(2**20 - 1))
    return replace(benchmark, groups=replace(benchmark.groups, phash=near))


def test_examples_are_described_by_all_their_images() -> None:
    benchmark = made()
    assert benchmark.groups is not None and benchmark.source is not None
    members: dict[int, list[int]] = {}
    for row, group in enumerate(benchmark.groups.group.tolist()):
        if group != NO_GROUP:
            members.setdefault(group, []).append(row)
    described = {}
    for rows in members.values():
        people = {benchmark.identity[row] for row in rows if benchmark.identity[row] >= 0}
        hashes = [int(benchmark.groups.phash[row]) for row in rows]
        widest = max((one ^ other).bit_count() for one in hashes for other in hashes)
        described[frozenset(rows)] = (len(rows), len(people), len({benchmark.source[row] for row in rows}), widest)
    largest, doubtful = group_examples(benchmark)
    sizes = sorted((size for size, _, _, _ in described.values()), reverse=True)
    assert [one.size for one in largest] == sizes[:N_LARGEST]
    is_doubtful = [people > 1 or sources > 1 or widest > 6 for _, people, sources, widest in described.values()]
    assert len(doubtful) == min(N_DOUBTFUL, sum(is_doubtful))
    for one in (*largest, *doubtful):
        (whole,) = (group for group in described if set(one.rows) <= group)
        assert (one.size, one.people, one.sources, one.widest) == described[whole]
    assert [one.people > 1 for one in doubtful] == sorted((one.people > 1 for one in doubtful), reverse=True)


def test_several_people_come_first_then_several_sources_then_wide_hashes() -> None:
    rows = [  # group, person, source, bits of the hash
        *((0, 1, "a", 0), (0, 1, "b", 0)),
        *((1, 2, "a", 0), (1, 2, "a", 0), (1, 2, "a", 3), (1, 2, "a", 9)),
        *((2, 3, "a", 0), (2, 4, "a", 0)),
        *((3, 5, "a", 0), (3, 5, "a", 6)),
    ]
    whole = made()
    assert whole.groups is not None
    group, identity = np.full(whole.images.size, NO_GROUP), whole.identity.copy()
    source, phash = whole.source.copy() if whole.source is not None else whole.images, whole.groups.phash.copy()
    for row, (number, person, place, bits) in enumerate(rows):
        group[row], identity[row], source[row], phash[row] = number, person, place, (1 << bits) - 1
    groups = replace(whole.groups, group=group, phash=phash)
    _, doubtful = group_examples(replace(whole, groups=groups, identity=identity, source=source))
    assert [one.rows for one in doubtful] == [(6, 7), (0, 1), (2, 5, 4, 3)]


def test_without_groups_there_are_no_examples() -> None:
    assert group_examples(replace(made(), groups=None)) == ((), ())
