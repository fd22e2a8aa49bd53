"""Finds the near-duplicate groups that a person should look at: the largest, and those that may join unlike images."""

from dataclasses import dataclass

import numpy as np

from piq_bench.describe.findings import text_codes
from piq_bench.group.phash import popcount
from piq_bench.records import NO_GROUP, NO_IDENTITY, Benchmark, IntArray

N_LARGEST = 4
N_DOUBTFUL = 6
N_SHOWN = 8  # images of a group
MOST_COMPARED = 500  # images of a group whose hashes are compared with one another


@dataclass(frozen=True)
class GroupExample:
    """A near-duplicate group.

    Attributes:
        size: number of images.
        rows: benchmark rows of the images to show, N_SHOWN at most; of a doubtful group those that are least alike.
        people: number of people among the images with an identity.
        sources: number of sources; None where sources are not known.
        widest: most bits in which two hashes of the group differ; None where hashes are not known.
    """

    size: int
    rows: tuple[int, ...]
    people: int
    sources: int | None
    widest: int | None


def group_examples(benchmark: Benchmark) -> tuple[tuple[GroupExample, ...], tuple[GroupExample, ...]]:
    """The largest groups, and the doubtful ones: with several people or sources, or hashes further apart than allowed.

    Doubtful groups with several people come first, then those with several sources, then those with the widest hashes.
    """
    groups = benchmark.groups
    if groups is None:
        return (), ()
    rows = np.flatnonzero(groups.group != NO_GROUP)
    rows = rows[np.argsort(groups.group[rows], kind="stable")]
    members = np.split(rows, np.flatnonzero(np.diff(groups.group[rows])) + 1) if rows.size else []
    sources = None if benchmark.source is None else text_codes(benchmark.source)
    threshold = groups.grouping.threshold
    described = [(own, _describe(benchmark, own, sources, own[:N_SHOWN])) for own in members]
    largest = sorted(described, key=lambda one: -one[1].size)[:N_LARGEST]
    doubtful = [
        (own, one)
        for own, one in described
        if one.people > 1 or (one.sources or 0) > 1 or _is_wider(one.widest, threshold)
    ]
    doubtful.sort(key=lambda one: (one[1].people < 2, (one[1].sources or 0) < 2, -(one[1].widest or 0), -one[1].size))
    return (
        tuple(one for _, one in largest),
        tuple(_describe(benchmark, own, sources, _unlike(benchmark, own, sources)) for own, _ in doubtful[:N_DOUBTFUL]),
    )


def _describe(benchmark: Benchmark, own: IntArray, sources: IntArray | None, shown: IntArray) -> GroupExample:
    identity = benchmark.identity[own]
    return GroupExample(
        size=own.size,
        rows=tuple(shown.tolist()),
        people=np.unique(identity[identity != NO_IDENTITY]).size,
        sources=None if sources is None else np.unique(sources[own][sources[own] >= 0]).size,
        widest=_widest(benchmark, own),
    )


def _widest(benchmark: Benchmark, own: IntArray) -> int | None:
    """Most bits between two hashes, of at most MOST_COMPARED images; None in given groups, which have no hashes."""
    assert benchmark.groups is not None  # noqa: S101  (the caller has checked it)
    if benchmark.groups.grouping.threshold is None:
        return None
    hashes = np.unique(benchmark.groups.phash[own])[:MOST_COMPARED]
    return int(popcount(hashes[:, None] ^ hashes[None, :]).max())


def _is_wider(widest: int | None, threshold: int | None) -> bool:
    return widest is not None and threshold is not None and widest > threshold


def _unlike(benchmark: Benchmark, own: IntArray, sources: IntArray | None) -> IntArray:
    """The images to show: one of each person and source first, then those whose hashes are furthest from the first."""
    assert benchmark.groups is not None  # noqa: S101
    kinds = benchmark.identity[own] if sources is None else np.stack([benchmark.identity[own], sources[own]], axis=1)
    _, first = np.unique(kinds, axis=0, return_index=True)
    distance = popcount(benchmark.groups.phash[own] ^ benchmark.groups.phash[own[0]]).astype(np.int64)
    rest = np.setdiff1d(np.arange(own.size), first)
    rest = rest[np.argsort(-distance[rest], kind="stable")]
    return np.asarray(own[np.concatenate([np.sort(first), rest])[:N_SHOWN]])
