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


def test_without_groups_there_are_no_examples() -> None:
    assert group_examples(replace(made(), groups=None)) == ((), ())
