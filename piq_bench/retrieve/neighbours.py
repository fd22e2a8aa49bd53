"""Finds the gallery images most similar to a query, exactly: the top of a ranking, for people to look at.

Takes similarities and candidates and returns a short list per query, under the exclusions of the score: images that the
query ignores and its near-duplicates are left out. The order is by the definition of similarity in float64; images of
equal similarity are ordered by id, and marked.

Float32 products find the images that may be among the first, by faiss where it is installed, or on a GPU. The error of
a product is at most `_Factors.bound`; so with t the k-th largest product, k images have a similarity of at least
t - bound, and an image whose product is below t - 2 bound is not among the first k. The search widens until every image
above that has been seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import frexp, ldexp
from typing import Literal

import numpy as np

from piq_bench.records import Float32Array, FloatArray, IntArray
from piq_bench.retrieve.candidates import Candidates
from piq_bench.retrieve.matrix import MatrixSimilarity
from piq_bench.retrieve.similarity import Similarity

Search = Callable[[Float32Array, Float32Array, int], tuple[Float32Array, IntArray]]
"""Takes queries (n, dimension), gallery (m, dimension) and k; returns the k largest products (n, k), their images."""

QUERY_BLOCK = 256
BLOCK_VALUES = 1 << 22
BLOCK_ROWS = 1 << 14
SPARE = 16  # images requested beyond those that are needed, for near-ties
WIDER = 4  # growth of a search that has not seen enough images
MANY = 4096  # images of one query that may be undecided at once
ROUNDING = 2.0**-24  # relative error of one float32 operation
ROUNDING64 = 2.0**-53  # relative error of one float64 operation
NOTHING = -np.inf  # below every product
MARGIN = 1.01  # covers products of rounding errors, up to 65536 terms, and the rounding of the bound itself
UNDERFLOW = 2.0**-140  # more than a float32 product or value can lose by being too small


@dataclass(frozen=True)
class Neighbour:
    """One image of a query's list.

    Attributes:
        rank: place in the list, from 1.
        row: benchmark row of the image.
        identity: index into benchmark.identities, or NO_IDENTITY.
        similarity: similarity to the query, by definition.
        is_positive: whether it shows the query's person.
        is_tied: whether another candidate, in the list or beyond its end, is exactly as similar.
    """

    rank: int
    row: int
    identity: int
    similarity: float
    is_positive: bool
    is_tied: bool


def nearest(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    *,
    identity: IntArray,
    queries: IntArray,
    k: int,
    engine: Literal["auto", "faiss", "numpy", "gpu"] = "auto",
    block_values: int = BLOCK_VALUES,
) -> list[list[Neighbour]]:
    """The k most similar candidates of some queries, fewer where there are no more.

    Args:
        similarity: similarities of all test rows.
        candidates: who is compared with whom.
        test_row: shape (n_images,); the test row of a benchmark row.
        identity: shape (n_images,); the benchmark's identities.
        queries: shape (n,); indices into `candidates.query`.
        k: length of a list, at least 1.
        engine: how images that may be among the first are found: "auto" is faiss where it is installed; "gpu" is faiss
            or torch on a GPU, which must exist. All give the same list. A matrix needs none.
        block_values: gallery values searched at a time.

    Raises:
        ImportError: if faiss is requested and missing.
        LimitExceeded: if a GPU has too little memory for a block.
    """
    found: list[list[Neighbour]] = []
    if isinstance(similarity, MatrixSimilarity):
        for query in queries.tolist():
            excluded = np.concatenate([candidates.ignored[query], candidates.duplicates[query]])
            row, gallery = int(test_row[candidates.query[query]]), test_row[candidates.gallery]
            images = similarity.first(row, gallery, excluded, k + 1)
            found.append(_neighbours_of(similarity, candidates, test_row, identity, query, images, k))
        return found
    search = _search_of(engine)
    for first in range(0, queries.size, QUERY_BLOCK):
        block = queries[first : first + QUERY_BLOCK]
        kept = _search_gallery(similarity, candidates, test_row, block, k + 1, search, block_values)
        for query, images in zip(block.tolist(), kept, strict=True):
            found.append(_neighbours_of(similarity, candidates, test_row, identity, query, images, k))
    return found


def _neighbours_of(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    identity: IntArray,
    query: int,
    images: IntArray,
    k: int,
) -> list[Neighbour]:
    """One query's list, from gallery images among which are its first k + 1."""
    images, exact = _exact_first(similarity, candidates, test_row, query, images, k + 1)
    tied = np.zeros(images.size + 1, dtype=bool)
    tied[1:-1] = exact[1:] == exact[:-1]
    return [
        Neighbour(
            rank=place + 1,
            row=int(candidates.gallery[image]),
            identity=int(identity[candidates.gallery[image]]),
            similarity=float(exact[place]),
            is_positive=bool(identity[candidates.gallery[image]] == candidates.query_identity[query]),
            is_tied=bool(tied[place] or tied[place + 1]),
        )
        for place, image in enumerate(images[:k])
    ]


def _search_gallery(
    similarity: Similarity,
    candidates: Candidates,
    test_row: IntArray,
    queries: IntArray,
    k: int,
    search: Search,
    block_values: int,
) -> list[IntArray]:
    """For each query, gallery images among which are its first k candidates; reads the gallery once."""
    factors = _Factors.of(similarity, test_row[candidates.query[queries]], test_row[candidates.gallery])
    excluded = [np.concatenate([candidates.ignored[q], candidates.duplicates[q]]) for q in queries.tolist()]
    undecided = [_Undecided(k, float(bound)) for bound in factors.bound]
    n_wanted = k + SPARE + max((images.size for images in excluded), default=0)
    for first, vectors in factors.gallery_blocks(block_values):
        waiting = np.arange(queries.size)
        n_asked = min(n_wanted, vectors.shape[0])
        while waiting.size:
            products, images = search(factors.queries[waiting], vectors, n_asked)
            unseen = []
            for place, values, found in zip(waiting.tolist(), products, images + first, strict=True):
                own = undecided[place]
                allowed = ~np.isin(found, excluded[place])
                if own.add(
                    values[allowed], found[allowed], float(values[-1]) if n_asked < vectors.shape[0] else NOTHING
                ):
                    if own.images.size > MANY:
                        own.keep(_exact_first(similarity, candidates, test_row, int(queries[place]), own.images, k)[0])
                else:
                    unseen.append(place)
            waiting = np.array(unseen, dtype=np.int64)
            n_asked = min(WIDER * n_asked, vectors.shape[0])
    return [own.images for own in undecided]


class _Undecided:
    """The images that may be among one query's first k."""

    def __init__(self, k: int, bound: float) -> None:
        self.k = k
        self.bound = bound
        self.values: FloatArray = np.zeros(0)
        self.images: IntArray = np.zeros(0, dtype=np.int64)

    def add(self, values: Float32Array, images: IntArray, unseen: float) -> bool:
        """Add images; or add none and return False if an image with a product up to `unseen` may be among the first."""
        all_values = np.concatenate([self.values, values])  # float64
        limit = NOTHING
        if all_values.size >= self.k:
            limit = float(np.partition(all_values, all_values.size - self.k)[-self.k]) - 2.0 * self.bound
        if NOTHING < unseen >= limit:
            return False
        kept = all_values >= limit
        self.values, self.images = all_values[kept], np.concatenate([self.images, images])[kept]
        return True

    def keep(self, images: IntArray) -> None:
        """Drop all other images: by definition, k images come before them."""
        kept = np.isin(self.images, images)
        self.values, self.images = self.values[kept], self.images[kept]


def _exact_first(
    similarity: Similarity | MatrixSimilarity,
    candidates: Candidates,
    test_row: IntArray,
    query: int,
    images: IntArray,
    k: int,
) -> tuple[IntArray, FloatArray]:
    """The first k of some gallery images by definition, ties ordered by id, and their similarities."""
    row = test_row[candidates.query[query]]
    exact = similarity.exact_pairs(np.full(images.size, row), test_row[candidates.gallery[images]])
    order = np.lexsort((images, -exact))[:k]
    return images[order], exact[order]


@dataclass(frozen=True, eq=False)
class _Factors:
    """Vectors whose product orders the gallery as similarity does.

    Under cosine these are the unit vectors. Under euclidean, the largest similarity is the largest q g - |g|^2 / 2,
    which takes one more term of the product. Everything is divided by a power of two so that nothing overflows.

    Attributes:
        similarity: similarities of all test rows.
        gallery: shape (n_gallery,); test rows of the gallery.
        scale: that power of two; 1 under cosine.
        queries: shape (n_queries, n_terms), float32; left factors of the products.
        bound: shape (n_queries,); largest difference of a product from the definition, in the units of products. The
            two vectors are rounded once each; the error of a sum of n products is at most n roundings of the sum of
            magnitudes, in any order (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1), and
            so is that of the definition.
    """

    similarity: Similarity
    gallery: IntArray
    scale: float
    queries: Float32Array
    bound: FloatArray

    @classmethod
    def of(cls, similarity: Similarity, queries: IntArray, gallery: IntArray) -> "_Factors":
        """The factors for queries and gallery, both given as test rows."""
        n_roundings = MARGIN * (similarity.dimension + 8)
        vectors = similarity.vectors(queries)
        if similarity.distance == "cosine":
            bound = np.full(queries.size, n_roundings * (ROUNDING + 4.0 * ROUNDING64 + UNDERFLOW))
            return cls(similarity, gallery, 1.0, vectors.astype(np.float32), bound)
        largest = max(float(similarity.norm[rows].max(initial=0.0)) for rows in (queries, gallery))
        scale = ldexp(1.0, frexp(largest)[1])
        own = similarity.norm[queries] / scale
        other = float(similarity.norm[gallery].max(initial=0.0)) / scale
        bound = n_roundings * (ROUNDING * (own * other + other**2) + 4.0 * ROUNDING64 * (own**2 + other**2) + UNDERFLOW)
        one = np.ones((queries.size, 1))
        return cls(similarity, gallery, scale, np.hstack([vectors / scale, one]).astype(np.float32), bound)

    def gallery_blocks(self, block_values: int) -> Iterator[tuple[int, Float32Array]]:
        """Right factors in blocks of shape (n_block, n_terms), float32, each with its first image's gallery index."""
        step = max(1, min(block_values // self.similarity.dimension, BLOCK_ROWS))
        for first in range(0, self.gallery.size, step):
            rows = self.gallery[first : first + step]
            vectors = self.similarity.vectors(rows) / self.scale
            if self.similarity.distance == "euclidean":
                vectors = np.hstack([vectors, (self.similarity.norm[rows] / self.scale)[:, None] ** 2 / -2.0])
            yield first, np.ascontiguousarray(vectors, dtype=np.float32)


def _search_of(engine: str) -> Search:
    if engine == "gpu":
        from piq_bench.retrieve.gpu_neighbours import GpuSearch

        return GpuSearch()
    if engine != "numpy":
        try:
            import faiss  # noqa: F401
        except ImportError:
            if engine == "faiss":
                raise
        else:
            return _search_faiss
    return _search_numpy


def _search_numpy(queries: Float32Array, gallery: Float32Array, n_asked: int) -> tuple[Float32Array, IntArray]:
    products = queries @ gallery.T
    images = np.argpartition(products, products.shape[1] - n_asked, axis=1)[:, products.shape[1] - n_asked :]
    values = np.take_along_axis(products, images, axis=1)
    order = np.argsort(-values, axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(images, order, axis=1)


def _search_faiss(queries: Float32Array, gallery: Float32Array, n_asked: int) -> tuple[Float32Array, IntArray]:
    import faiss

    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    products, images = index.search(queries, n_asked)
    return products, images
