"""Finds for each query its positives, the gallery images it ignores, and its near-duplicates.

Takes a benchmark's labels and groups and returns lists of gallery indices, one list per query. The rules of who is a
candidate live here and nowhere else; engines only receive the gallery images to exclude.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, Benchmark, BoolArray, Int32Array, IntArray, Rule, joint_codes
from piq_bench.retrieve.ragged import Ragged, owners, union

QUERY_BLOCK = 512  # queries; few enough that their lists stay in the cache


@dataclass(frozen=True, eq=False)
class Candidates:
    """Who is compared with whom. A gallery index is a position in `gallery`.

    Attributes:
        query: shape (n_queries,); benchmark rows of the query images that have an identity, ascending.
        gallery: shape (n_gallery,); benchmark rows of the gallery images that are not junk, ascending.
        query_identity: shape (n_queries,); index into benchmark.identities.
        positives: gallery images of the query's identity that are not ignored, near-duplicates included.
        ignored: gallery images that a rule without the near-duplicate group excludes; never candidates.
        duplicates: gallery images that a rule with the near-duplicate group excludes, and that are not ignored.
    """

    query: IntArray
    gallery: IntArray
    query_identity: IntArray
    positives: Ragged
    ignored: Ragged
    duplicates: Ragged


def find_candidates(benchmark: Benchmark) -> Candidates:
    """Apply the exclusion rules of a benchmark with a retrieval task to all its queries."""
    query = np.flatnonzero((benchmark.split == QUERY) & (benchmark.identity != NO_IDENTITY) & ~benchmark.junk)
    gallery = np.flatnonzero((benchmark.split == GALLERY) & ~benchmark.junk)
    same_identity = _matches(benchmark.identity[query], benchmark.identity[gallery])
    ignored = duplicates = _empty(query.size)
    plain = _needed([rule for rule in benchmark.exclude if "group" not in rule.columns])
    for rule in plain:
        ignored = union(ignored, _rule_matches(benchmark, rule, query, gallery))
    for rule in benchmark.exclude:
        if "group" in rule.columns:
            duplicates = union(duplicates, _rule_matches(benchmark, rule, query, gallery))
    return Candidates(
        query=query,
        gallery=gallery,
        query_identity=benchmark.identity[query],
        positives=_not_excluded(benchmark, plain, same_identity, query, gallery),
        ignored=ignored,
        duplicates=_not_excluded(benchmark, plain, duplicates, query, gallery),
    )


def _needed(rules: Sequence[Rule]) -> list[Rule]:
    """The rules without those that another one makes needless, as "camera" makes "identity+camera"."""
    return [
        rule
        for rule in rules
        if not any(
            other != rule and {*other.agree} <= {*rule.agree} and {*other.differ} <= {*rule.differ} for other in rules
        )
    ]


def _rule_matches(benchmark: Benchmark, rule: Rule, query: IntArray, gallery: IntArray) -> Ragged:
    """For each query the gallery images that one rule excludes."""
    pairs = benchmark.groups.pairs if benchmark.groups is not None else None
    if "group" in rule.agree and pairs is not None:  # mode "neighbours": near-duplicates are pairs, not classes
        found = _pair_matches(pairs, benchmark.images.size, query, gallery)
        agree = tuple(name for name in rule.agree if name != "group")
    else:
        key = joint_codes([benchmark.codes(name) for name in rule.agree])
        found, agree = _matches(key[query], key[gallery]), ()
    if not agree and not rule.differ:
        return found
    rows = query[owners(found)], gallery[found.values]
    return _keep(found, _excludes(benchmark, Rule(agree, rule.differ), *rows))


def _not_excluded(
    benchmark: Benchmark, rules: Sequence[Rule], lists: Ragged, query: IntArray, gallery: IntArray
) -> Ragged:
    """The lists without the gallery images that one of the rules excludes; none of them names the group."""
    rows = query[owners(lists)], gallery[lists.values]
    kept = np.ones(lists.values.size, dtype=bool)
    for rule in rules:
        kept &= ~_excludes(benchmark, rule, *rows)
    return lists if kept.all() else _keep(lists, kept)


def _excludes(benchmark: Benchmark, rule: Rule, one: IntArray, other: IntArray) -> BoolArray:
    """Shape (n_pairs,); whether a rule that does not name the group excludes pairs of benchmark rows."""
    found = np.ones(one.size, dtype=bool)
    for name in rule.columns:
        codes = benchmark.codes(name)
        left, right = codes[one], codes[other]
        found &= (left >= 0) & (right >= 0) & ((left == right) == (name in rule.agree))
    return found


def _pair_matches(pairs: IntArray, n_images: int, query: IntArray, gallery: IntArray) -> Ragged:
    """For each query the gallery images that form a pair with it; `pairs` are benchmark rows, in either order."""
    place = np.full(n_images, -1)  # of a benchmark row within the gallery
    place[gallery] = np.arange(gallery.size)
    rank = np.full(n_images, -1)  # of a benchmark row within the queries
    rank[query] = np.arange(query.size)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    of_query, of_gallery = rank[both[:, 0]], place[both[:, 1]]
    kept = (of_query >= 0) & (of_gallery >= 0)
    return _ragged(of_query[kept], of_gallery[kept], query.size)


def _matches(query_key: IntArray, gallery_key: IntArray) -> Ragged:
    """For each query the gallery indices that have its key; an empty list for a negative key."""
    order = np.argsort(gallery_key, kind="stable").astype(np.int32)
    key = gallery_key[order]
    first = np.searchsorted(key, query_key, "left")
    last = np.searchsorted(key, query_key, "right")
    length = np.where(query_key < 0, 0, last - first)
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
    width = int(gallery.max(initial=0)) + 1
    query, gallery = np.divmod(np.unique(query * width + gallery), width)
    return _lists(query, gallery, n_queries)


def _lists(query: IntArray, gallery: IntArray | Int32Array, n_queries: int) -> Ragged:
    """Lists from pairs of query and gallery index that are sorted already."""
    start = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=n_queries))])
    return Ragged(start.astype(np.int64), gallery.astype(np.int32))


def _empty(n_queries: int) -> Ragged:
    return Ragged(np.zeros(n_queries + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))


def _keep(lists: Ragged, kept: BoolArray) -> Ragged:
    return _lists(owners(lists)[kept], lists.values[kept], len(lists))
