"""k-reciprocal re-ranking: distances between query and gallery images, corrected by what their neighbours share.

Two images are near if their neighbourhoods are. An image's neighbourhood are those of its k1 nearest neighbours which
count it among their own; each member weighs exp(-distance), and neighbourhoods are averaged over the k2 nearest images.
The result is (1 - weight) * Jaccard distance of neighbourhoods + weight * original distance.

The original distance is the squared Euclidean distance, of unit vectors under cosine, divided by the largest one of its
image; some public code squares it once more, and differs a little. Everything is computed in float64 from similarities
by the benchmark's definition, so that the result is the same on every machine up to the rounding of exp. Equal
distances are ranked by the order of the images, and an image is always its own nearest neighbour. Query and gallery
take part alike, junk images too, as in the public implementations.
No table of all pairs is held: memory is that of the result, and k1 neighbours of each image.
Source: Zhong, Zheng, Cao, Li, Re-ranking person re-identification with k-reciprocal encoding, CVPR 2017.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import TYPE_CHECKING, Literal

import numpy as np

from piq_bench.records import EmbeddingArray, Float32Array, FloatArray, IntArray, Submission
from piq_bench.retrieve.definition import write_exact
from piq_bench.retrieve.similarity import Similarity

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK_VALUES = 1 << 21  # similarities at a time, for each worker


@dataclass(frozen=True)
class Parameters:
    """Parameters of the re-ranking, with the values of the paper.

    Attributes:
        k1: size of a neighbourhood.
        k2: number of images over which neighbourhoods are averaged.
        weight: of the original distance; lambda in the paper.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3


def rerank(
    embedding: EmbeddingArray,
    n_queries: int,
    *,
    distance: Literal["cosine", "euclidean"],
    parameters: Parameters = Parameters(),
    advance: Callable[[int], None] = lambda images: None,
) -> Float32Array:
    """Re-ranked distances, shape (n_queries, n_gallery); smaller is more similar.

    Args:
        embedding: shape (n_images, dimension); the queries first, then the gallery.
        n_queries: number of queries.
        distance: the distance of the embedding.
        parameters: of the re-ranking.
        advance: called with the number of images finished since the last call.
    """
    similarity = _similarity(embedding, distance)
    nearest, largest = _neighbours(similarity, parameters, advance)
    weights = _neighbourhoods(similarity, nearest, largest, parameters)
    return _final_distances(similarity, n_queries, largest, weights, parameters.weight)


def _similarity(embedding: EmbeddingArray, distance: Literal["cosine", "euclidean"]) -> Similarity:
    submission = Submission(
        name="",
        distance=distance,
        meta={},
        content="",
        embedding=embedding,
        order=np.arange(embedding.shape[0]),
        predictions={},
        file_sha256="",
        file_bytes=0,
    )
    return Similarity.of(submission)


def _neighbours(
    similarity: Similarity, parameters: Parameters, advance: Callable[[int], None]
) -> tuple[IntArray, FloatArray]:
    """The nearest images of each image, itself first, and the largest distance of each.

    Returns:
        nearest: shape (n_images, n_nearest); nearest first.
        largest: shape (n_images,); 1 where all distances are 0.
    """
    n_images = similarity.order.size
    n_nearest = min(n_images, max(parameters.k1 + 1, parameters.k2))
    nearest = np.empty((n_images, n_nearest), dtype=np.int64)
    largest = np.empty(n_images)

    def work(rows: IntArray) -> int:
        distances = _distances(similarity, rows, np.arange(n_images))
        largest[rows] = distances.max(axis=1)
        distances[np.arange(rows.size), rows] = -np.inf
        nearest[rows] = _smallest(distances, n_nearest)
        return rows.size

    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        for n_done in pool.map(work, _blocks(n_images, n_images)):
            advance(n_done)
    largest[largest == 0] = 1.0
    return nearest, largest


def _blocks(n_rows: int, n_columns: int) -> list[IntArray]:
    step = max(1, BLOCK_VALUES // max(1, n_columns))
    return [np.arange(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]


def _distances(similarity: Similarity, rows: IntArray, columns: IntArray) -> FloatArray:
    """Shape (n_rows, n_columns); squared Euclidean distances."""
    table = np.empty(rows.size * columns.size)
    write_exact(similarity, rows, columns, table, np.arange(rows.size) * columns.size)
    return _squared(similarity, table.reshape(rows.size, columns.size))


def _squared(similarity: Similarity, values: FloatArray) -> FloatArray:
    """Similarities as squared Euclidean distances."""
    # Of a vector with itself, rounding may give a little more than 1.
    return np.maximum(0.0, 2.0 - 2.0 * values) if similarity.distance == "cosine" else -values


def _smallest(table: FloatArray, n_smallest: int) -> IntArray:
    """The columns of the smallest values of each row, ascending; of equal values the first columns come first."""
    threshold = np.partition(table, n_smallest - 1, axis=1)[:, n_smallest - 1]
    found = np.empty((table.shape[0], n_smallest), dtype=np.int64)
    for row, values in enumerate(table):
        columns = np.flatnonzero(values <= threshold[row])
        found[row] = columns[np.argsort(values[columns], kind="stable")][:n_smallest]
    return found


def _neighbourhoods(
    similarity: Similarity, nearest: IntArray, largest: FloatArray, parameters: Parameters
) -> "csr_array":
    """The weight of each image in each image's neighbourhood: shape (n_images, n_images), sparse; rows sum to 1."""
    from scipy.sparse import csr_array

    n_images = nearest.shape[0]
    whole = _reciprocal(nearest[:, : parameters.k1 + 1])
    half = _reciprocal(nearest[:, : round(parameters.k1 / 2) + 1])  # to even, like numpy.around in the public code
    members: list[IntArray] = []
    for own in whole:
        shared = set(own.tolist())
        extended = [own]
        for neighbour in own.tolist():
            candidates = half[neighbour]
            n_shared = sum(candidate in shared for candidate in candidates.tolist())
            if 3 * n_shared > 2 * candidates.size:
                extended.append(candidates)
        members.append(np.unique(np.concatenate(extended)))
    sizes = np.array([member.size for member in members])
    start = np.concatenate([[0], np.cumsum(sizes)])
    columns, rows = np.concatenate(members), np.repeat(np.arange(n_images), sizes)
    distances = _squared(similarity, similarity.exact_pairs(rows, columns)) / largest[rows]
    closeness = np.exp(-distances)
    shape = (n_images, n_images)
    weights = csr_array((closeness / np.add.reduceat(closeness, start[:-1])[rows], columns, start), shape=shape)
    k2 = min(parameters.k2, n_images)
    shares = np.full(n_images * k2, 1 / k2)
    averaged = csr_array((shares, nearest[:, :k2].ravel(), np.arange(0, n_images * k2 + 1, k2)), shape=shape)
    return averaged @ weights


def _reciprocal(nearest: IntArray) -> list[IntArray]:
    """For each image, those of its nearest images that count it among their own nearest."""
    mutual = np.empty(nearest.shape, dtype=np.bool_)
    for place in range(nearest.shape[1]):
        mutual[:, place] = (nearest[nearest[:, place]] == np.arange(nearest.shape[0])[:, None]).any(axis=1)
    return [row[is_mutual] for row, is_mutual in zip(nearest, mutual, strict=True)]


def _final_distances(
    similarity: Similarity, n_queries: int, largest: FloatArray, weights: "csr_array", weight: float
) -> Float32Array:
    """(1 - weight) * Jaccard distance + weight * original distance, of each query to the gallery."""
    n_images = largest.size
    weights.sort_indices()  # sums run over images in ascending order
    gallery = weights[n_queries:].tocsc()
    final = np.empty((n_queries, n_images - n_queries), dtype=np.float32)
    for rows in _blocks(n_queries, n_images - n_queries):
        original = _distances(similarity, rows, np.arange(n_queries, n_images)) / largest[rows][:, None]
        for query, distances in zip(rows.tolist(), original, strict=True):
            shared = np.zeros(n_images - n_queries)
            for place in range(weights.indptr[query], weights.indptr[query + 1]):
                member, closeness = weights.indices[place], weights.data[place]
                part = slice(gallery.indptr[member], gallery.indptr[member + 1])
                shared[gallery.indices[part]] += np.minimum(closeness, gallery.data[part])
            final[query] = (1 - weight) * (1 - shared / (2 - shared)) + weight * distances
    return final
