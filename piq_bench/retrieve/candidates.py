"""Finds for each query its positives, the gallery images it ignores, and its near-duplicates.

Takes a benchmark's labels and groups and returns lists of gallery indices, one list per query. The rules of who is a
candidate live here and nowhere else; engines only receive the gallery images to exclude.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from piq_bench.records import GALLERY, NO_GROUP, NO_IDENTITY, QUERY, Benchmark, BoolArray, Int32Array, IntArray

QUERY_BLOCK = 512  # queries; few enough that their lists stay in the cache


@dataclass(frozen=True, eq=False)
class Ragged:
    """Lists of different lengths, one per query, concatenated.

    Attributes:
        start: shape (n_queries + 1,); list q is `values[start[q]:start[q + 1]]`.
        values: shape (n_values,), int32 to halve the memory; gallery indices, ascending within a list.
    """

    start: IntArray
    values: Int32Array

    def __getitem__(self, query: int) -> Int32Array:
        return self.values[self.start[query] : self.start[query + 1]]

    def __len__(self) -> int:
        return self.start.size - 1


@dataclass(frozen=True, eq=False)
class Candidates:
    """Who is compared with whom. A gallery index is a position in `gallery`.

    Attributes:
        query: shape (n_queries,); benchmark rows of the query images that have an identity, ascending.
        gallery: shape (n_gallery,); benchmark rows of the gallery images that are not junk, ascending.
        query_identity: shape (n_queries,); index into benchmark.identities.
        positives: gallery images of the query's identity that are not ignored, near-duplicates included.
        ignored: gallery images that are never candidates, because of the same camera or sequence.
        duplicates: gallery images of the query's near-duplicate group that are not ignored.
    """

    query: IntArray
    gallery: IntArray
    query_identity: IntArray
    positives: Ragged
    ignored: Ragged
    duplicates: Ragged


def find_candidates(benchmark: Benchmark, *, exclude_sequence: bool = False) -> Candidates:
    """Apply the benchmark's rules to all its queries.

    Args:
        benchmark: a benchmark with a retrieval task.
        exclude_sequence: also ignore gallery images of the query's own sequence, where the data names sequences.
    """
    query = np.flatnonzero((benchmark.split == QUERY) & (benchmark.identity != NO_IDENTITY) & ~benchmark.junk)
    gallery = np.flatnonzero((benchmark.split == GALLERY) & ~benchmark.junk)
    same_identity = _matches(benchmark.identity[query], benchmark.identity[gallery], NO_IDENTITY)
    ignored = _empty(query.size)
    if benchmark.exclude_same_camera and benchmark.camera is not None:
        camera = _codes(benchmark.camera)
        same_person = _filter(same_identity, lambda q, g: _known_and_equal(camera, query[q], gallery[g]))
        ignored = _union(ignored, same_person)
    if exclude_sequence and benchmark.sequence is not None:
        sequence = _sequence_codes(benchmark)
        ignored = _union(ignored, _matches(sequence[query], sequence[gallery], NO_GROUP))
    return Candidates(
        query=query,
        gallery=gallery,
        query_identity=benchmark.identity[query],
        positives=_difference(same_identity, ignored),
        ignored=ignored,
        duplicates=_difference(_duplicates(benchmark, query, gallery), ignored),
    )


def owners(lists: Ragged) -> IntArray:
    """Shape (n_values,); the query whose list holds each value."""
    return np.repeat(np.arange(len(lists)), np.diff(lists.start))


def _duplicates(benchmark: Benchmark, query: IntArray, gallery: IntArray) -> Ragged:
    groups = benchmark.groups
    if groups is None:
        return _empty(query.size)
    if groups.pairs is None:
        return _matches(groups.group[query], groups.group[gallery], NO_GROUP)
    gallery_index = np.full(benchmark.images.size, -1)  # of a benchmark row
    gallery_index[gallery] = np.arange(gallery.size)
    query_index = np.full(benchmark.images.size, -1)
    query_index[query] = np.arange(query.size)
    both = np.concatenate([groups.pairs, groups.pairs[:, ::-1]])
    of_query, of_gallery = query_index[both[:, 0]], gallery_index[both[:, 1]]
    kept = (of_query >= 0) & (of_gallery >= 0)
    return _ragged(of_query[kept], of_gallery[kept], query.size)


def _sequence_codes(benchmark: Benchmark) -> IntArray:
    """A number for each row's sequence. Names hold within a source: shot 3 of one film is not shot 3 of another."""
    assert benchmark.sequence is not None  # noqa: S101  (the caller checked; for the type checker)
    sequence = _codes(benchmark.sequence)
    if benchmark.source is None:
        return sequence
    source = _codes(benchmark.source)
    joint = sequence * (int(source.max(initial=0)) + 2) + source + 1
    return np.where(sequence == NO_GROUP, NO_GROUP, joint)


def _codes(values: np.ndarray[tuple[int], np.dtype[np.object_]]) -> IntArray:
    """A whole number for each distinct text, NO_GROUP for the empty text."""
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return np.where(names[codes] == "", NO_GROUP, codes).astype(np.int64)


def _known_and_equal(codes: IntArray, one: IntArray, other: IntArray) -> BoolArray:
    return np.asarray((codes[one] == codes[other]) & (codes[one] != NO_GROUP))


def _matches(query_key: IntArray, gallery_key: IntArray, none: int) -> Ragged:
    """For each query the gallery indices that have its key; an empty list for the key `none`."""
    order = np.argsort(gallery_key, kind="stable").astype(np.int32)
    key = gallery_key[order]
    first = np.searchsorted(key, query_key, "left")
    last = np.searchsorted(key, query_key, "right")
    length = np.where(query_key == none, 0, last - first)
    start = np.concatenate([[0], np.cumsum(length)])
    values = np.empty(start[-1], dtype=np.int32)
    for part in range(0, query_key.size, QUERY_BLOCK):
        block = slice(part, part + QUERY_BLOCK)
        own = slice(start[part], start[min(part + QUERY_BLOCK, query_key.size)])
        place = np.repeat(first[block] - start[:-1][block], length[block]) + np.arange(own.start, own.stop)
        values[own] = order[place]
    return Ragged(start.astype(np.int64), values)


def _ragged(query: IntArray, gallery: IntArray | Int32Array, n_queries: int) -> Ragged:
    """Sorted lists from pairs of query and gallery index, in any order and possibly repeated."""
    if query.size:
        query, gallery = np.unique(np.stack([query, gallery], axis=1), axis=0).T
    start = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=n_queries))])
    return Ragged(start.astype(np.int64), gallery.astype(np.int32))


def _empty(n_queries: int) -> Ragged:
    return Ragged(np.zeros(n_queries + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))


def _union(one: Ragged, other: Ragged) -> Ragged:
    return _ragged(np.concatenate([owners(one), owners(other)]), np.concatenate([one.values, other.values]), len(one))


def _filter(lists: Ragged, keep: Callable[[IntArray, Int32Array], BoolArray]) -> Ragged:
    owner = owners(lists)
    kept = keep(owner, lists.values)
    return _ragged(owner[kept], lists.values[kept], len(lists))


def _difference(one: Ragged, other: Ragged) -> Ragged:
    if other.values.size == 0:
        return one
    width = int(max(one.values.max(initial=0), other.values.max(initial=0))) + 1
    pair = owners(one) * width + one.values
    kept = ~np.isin(pair, owners(other) * width + other.values)
    return _ragged(owners(one)[kept], one.values[kept], len(one))
