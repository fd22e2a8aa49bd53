"""Compares a sample of queries with the gallery: similarities of right and wrong pairs, and AP by camera.

Nothing here is part of a score. Queries and images are taken at even distances, so that no chance is involved and no
number depends on a seed. Products are those of a fast matrix product: a picture needs no exact ties.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.metrics.retrieval import Rankings, average_precision
from piq_bench.records import Benchmark, BoolArray, Float32Array, FloatArray, IntArray
from piq_bench.retrieve.candidates import Candidates
from piq_bench.retrieve.matrix import MatrixSimilarity
from piq_bench.retrieve.similarity import Similarity

N_BINS = 40  # of the histogram
N_QUERIES = 400  # most queries in a sample
N_GALLERY = 3000  # gallery images in a sample
N_POSITIVES = 40  # positives of a query in a sample
MOST_PAIRS = 20_000_000  # pairs in a sample that needs the whole gallery
MOST_CAMERAS = 10  # in the table, those with most queries
GALLERY_BLOCK = 4096  # images


@dataclass(frozen=True)
class Histogram:
    """Similarities of right and of wrong pairs.

    Attributes:
        low, high: smallest and largest similarity; the bins between them are equally wide.
        right, wrong: shape (N_BINS,); share of the pairs of each kind in each bin.
        n_queries, n_right, n_wrong: numbers of queries and of pairs in the sample.
        above_median: share of the wrong pairs that are more similar than half of the right pairs.
    """

    low: float
    high: float
    right: tuple[float, ...]
    wrong: tuple[float, ...]
    n_queries: int
    n_right: int
    n_wrong: int
    above_median: float


@dataclass(frozen=True)
class CameraPairs:
    """Mean average precision by the camera of the query and the only camera of the gallery that is searched.

    Attributes:
        cameras: names of the cameras.
        values: mean over queries by camera of the query (outer) and of the gallery (inner); None without a query.
        counts: number of these queries.
        n_queries: number of queries in the sample.
        n_scored: number of scored queries.
    """

    cameras: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    counts: tuple[tuple[int, ...], ...]
    n_queries: int
    n_scored: int


def evenly(values: IntArray, most: int) -> IntArray:
    """At most that many of some values, at even distances."""
    if values.size <= most:
        return values
    return values[np.linspace(0, values.size - 1, most).astype(np.int64)]


def similarity_histogram(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    identity: IntArray,
    queries: IntArray,
) -> Histogram | None:
    """The histogram of a sample of the queries, given as indices into `candidates.query`; None without both kinds.

    Near-duplicates and ignored images are in neither kind.
    """
    chosen = evenly(queries, N_QUERIES)
    positives = [evenly(own_positives(candidates, query), N_POSITIVES) for query in chosen.tolist()]
    owner = np.repeat(chosen, [own.size for own in positives])
    images = np.concatenate([np.zeros(0, dtype=np.int64), *positives])
    right = similarity.exact_pairs(test_row[candidates.query[owner]], test_row[candidates.gallery[images]]).astype(
        np.float32
    )
    gallery = evenly(np.arange(candidates.gallery.size), N_GALLERY)
    is_wrong = identity[candidates.gallery[gallery]][None, :] != candidates.query_identity[chosen][:, None]
    is_wrong &= candidates_among(candidates, chosen, gallery)
    table = _table(similarity, test_row[candidates.query[chosen]], test_row[candidates.gallery[gallery]])
    wrong = table[is_wrong]
    if not right.size or not wrong.size:
        return None
    low, high = (float(end) for end in (min(right.min(), wrong.min()), max(right.max(), wrong.max())))
    if not high > low or not isfinite(high - low):
        return None
    shares = [np.histogram(values, N_BINS, (low, high))[0] / values.size for values in (right, wrong)]
    return Histogram(
        low=low,
        high=high,
        right=tuple(shares[0].tolist()),
        wrong=tuple(shares[1].tolist()),
        n_queries=chosen.size,
        n_right=right.size,
        n_wrong=wrong.size,
        above_median=float((wrong > np.median(right)).mean()),
    )


def by_camera(
    benchmark: Benchmark,
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    queries: IntArray,
) -> CameraPairs | None:
    """Average precision of a sample of the queries by pair of cameras; None with fewer than two cameras."""
    if benchmark.camera is None or not queries.size or not candidates.gallery.size:
        return None
    names, counts = np.unique(benchmark.camera[candidates.query[queries]].astype(np.str_), return_counts=True)
    counts = counts[names != ""]
    names = names[names != ""]
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_CAMERAS])
    cameras = [str(name) for name in names[kept]]
    if len(cameras) < 2:
        return None
    chosen = evenly(queries, max(1, min(N_QUERIES, MOST_PAIRS // candidates.gallery.size)))
    table = _table(similarity, test_row[candidates.query[chosen]], test_row[candidates.gallery])
    gallery = np.arange(candidates.gallery.size)
    is_candidate = candidates_among(candidates, chosen, gallery)
    is_right = positives_among(candidates, chosen, gallery)
    gallery_camera = benchmark.camera[candidates.gallery]
    query_camera = benchmark.camera[candidates.query[chosen]]
    values: list[tuple[float | None, ...]] = []
    numbers: list[tuple[int, ...]] = []
    images = [np.flatnonzero(gallery_camera == camera) for camera in cameras]
    for camera in cameras:
        own = np.flatnonzero(query_camera == camera)
        means = [precisions(table, is_candidate, is_right, own, part) for part in images]
        numbers.append(tuple(one.size for one in means))
        values.append(tuple(float(one.mean()) if one.size else None for one in means))
    return CameraPairs(tuple(cameras), tuple(values), tuple(numbers), chosen.size, queries.size)


def _table(similarity: Similarity | MatrixSimilarity, queries: IntArray, gallery: IntArray) -> Float32Array:
    """Shape (n_queries, n_gallery); similarities of test rows, rounded to float32, which is as exact as they are."""
    if isinstance(similarity, MatrixSimilarity):
        column = similarity.matrix.column[gallery]
        parts = [similarity.rows(queries[first : first + 64])[:, column] for first in range(0, queries.size, 64)]
        return np.concatenate(parts)
    one = similarity.vectors(queries)
    table = np.empty((queries.size, gallery.size), dtype=np.float32)
    for first in range(0, gallery.size, GALLERY_BLOCK):
        part = slice(first, first + GALLERY_BLOCK)
        table[:, part] = similarity.fast_table(one, similarity.vectors(gallery[part]))
    return table


def precisions(
    table: Float32Array,
    is_candidate: BoolArray,
    is_right: BoolArray,
    own: IntArray,
    columns: IntArray,
) -> FloatArray:
    """Average precision of some queries within some gallery images, of those with a positive there.

    Args:
        table: shape (n_chosen, n_columns); similarities.
        is_candidate: shape (n_chosen, n_columns); whether the image is a candidate of the query.
        is_right: shape (n_chosen, n_columns); whether it shows the person of the query.
        own: rows of the table to measure.
        columns: columns of the table to rank.
    """
    runs = []
    for place in own.tolist():
        kept = is_candidate[place, columns]
        right = is_right[place, columns][kept]
        if right.any():
            runs.append(_runs(table[place, columns][kept], right))
    start = np.cumsum([0, *(len(one[0]) for one in runs)])
    joined = [np.concatenate([np.zeros(0, dtype=np.int64), *parts]) for parts in zip(*runs, strict=True)]
    return average_precision(Rankings(start, *joined)) if runs else np.zeros(0)


def _runs(values: Float32Array, is_right: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Positives, images, and images above, of each run of equal similarity that holds a positive."""
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    n_right = np.add.reduceat(is_right[order].astype(np.int64), first)
    n_images = np.diff(np.append(first, values.size))
    kept = n_right > 0
    return n_right[kept], n_images[kept], first[kept]


def own_positives(candidates: Candidates, query: int) -> IntArray:
    """Gallery indices of a query's positives without its near-duplicates."""
    return np.setdiff1d(candidates.positives[query], candidates.duplicates[query]).astype(np.int64)


def candidates_among(candidates: Candidates, chosen: IntArray, gallery: IntArray) -> BoolArray:
    """Shape (n_chosen, n_gallery); whether each of some gallery images is a candidate of each query."""
    return ~_marked(_excluded(candidates, chosen.tolist()), chosen.size, gallery, candidates.gallery.size)


def positives_among(candidates: Candidates, chosen: IntArray, gallery: IntArray) -> BoolArray:
    """Shape (n_chosen, n_gallery); whether each of some gallery images shows the person of each query."""
    images = (candidates.positives[query] for query in chosen.tolist())
    return _marked(images, chosen.size, gallery, candidates.gallery.size)


def _marked(
    images: Iterable[NDArray[np.signedinteger[Any]]], n_rows: int, gallery: IntArray, n_gallery: int
) -> BoolArray:
    """Shape (n_rows, n_columns); whether a column's image, given by its gallery index, is among a row's."""
    column = np.full(n_gallery, -1)
    column[gallery] = np.arange(gallery.size)
    marked = np.zeros((n_rows, gallery.size), dtype=bool)
    for place, own in enumerate(images):
        found = column[own]
        marked[place, found[found >= 0]] = True
    return marked


def _excluded(candidates: Candidates, queries: Sequence[int]) -> Iterator[IntArray]:
    for query in queries:
        yield np.concatenate([candidates.ignored[query], candidates.duplicates[query]]).astype(np.int64)
