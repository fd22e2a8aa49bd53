"""Prepares stored embeddings for the compiled kernel, and computes similarities by definition with it.

The numbers are those that `Similarity` computes with numpy, to the last bit and many times faster; on large jobs this
repays the compiler's start.
"""

import numpy as np

from piq_bench.read.mapped import is_mapped, rows_of
from piq_bench.records import Float32Array, FloatArray, IntArray
from piq_bench.retrieve import kernel
from piq_bench.retrieve.similarity import Similarity

BLOCK_VALUES = 1 << 18  # values of images at a time: they stay in the cache, and their memory is reused


def stored_vectors(similarity: Similarity, rows: IntArray) -> Float32Array:
    """Stored values of some test rows, shape (n_rows, dimension); exact, since float16 fits into float32.

    Do not write to them: they may be the submission's own memory.
    """
    stored = similarity.order[rows]
    if stored.size and not is_mapped(similarity.embedding) and bool((np.diff(stored) == 1).all()):
        return np.ascontiguousarray(similarity.embedding[stored[0] : stored[0] + stored.size], dtype=np.float32)
    return np.ascontiguousarray(rows_of(similarity.embedding, stored), dtype=np.float32)


def column_buffer(n_images: int, dimension: int) -> FloatArray:
    """A buffer for the values that the definition sums; its memory is allocated as it is written."""
    return np.zeros((-(-n_images // kernel.LANES), kernel.n_terms(dimension), kernel.LANES))


def images_of(similarity: Similarity, rows: IntArray, columns: FloatArray, first: int = 0) -> kernel.Images:
    """Gallery images in the form that the kernel takes.

    Args:
        similarity: similarities of all test rows.
        rows: shape (n_images,); test rows of the images.
        columns: a `column_buffer` for at least as many images.
        first: position of the first image in the gallery.
    """
    return kernel.Images(
        vectors=stored_vectors(similarity, rows),
        norm=similarity.norm[rows],
        columns=columns,
        built=np.zeros(-(-rows.size // kernel.LANES), dtype=bool),
        first=first,
    )


def write_exact(
    similarity: Similarity, queries: IntArray, gallery: IntArray, values: FloatArray, first: IntArray
) -> None:
    """Write the numbers of `Similarity.exact_table`, those of one query next to each other.

    Args:
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        values: array to write into.
        first: shape (n_queries,); where a query's n_gallery numbers begin in `values`.
    """
    units = np.zeros((queries.size, kernel.n_terms(similarity.dimension)))
    units[:, : similarity.dimension] = similarity.vectors(queries)
    step = max(1, BLOCK_VALUES // (similarity.dimension * kernel.LANES)) * kernel.LANES
    columns = column_buffer(min(step, gallery.size), similarity.dimension)
    for image in range(0, gallery.size, step):
        images = images_of(similarity, gallery[image : image + step], columns)
        kernel.write_definitions(units, images, similarity.distance == "cosine", values, first + image)
