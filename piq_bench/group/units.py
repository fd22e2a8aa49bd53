"""Which images may be linked: images to units, the nodes of the near-duplicate graph.

A unit is a set of images that are near-duplicates at any threshold: those of one hash. A hash of a degenerate picture
(flat, a ramp) says nothing, nor, where the user sets a lowest quality, does that of a picture with next to no content:
such images form a unit only with files of the same bytes, and are linked to nothing else. With `within`, nothing is
ever linked across sources, and images without a source count as one source more. An unreadable image is alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.pairs import Block, near_pairs
from piq_bench.group.phash import degenerate
from piq_bench.records import BoolArray, FloatArray, IntArray

BY_HASH, BY_BYTES, ALONE = range(3)


@dataclass(frozen=True, eq=False)
class Units:
    """Nodes of the graph.

    Attributes:
        of_image: shape (n_images,); the unit of each image.
        phash: shape (n_units,).
        linked: shape (n_units,); whether the unit may be linked to others by its hash.
        block: shape (n_units,), ascending; units of different blocks are never linked.
        size: shape (n_units,); images.
    """

    of_image: IntArray
    phash: NDArray[np.uint64]
    linked: BoolArray
    block: IntArray
    size: IntArray

    @property
    def n_units(self) -> int:
        """How many."""
        return len(self.phash)


def units_of(
    phash: NDArray[np.uint64],
    *,
    bytes_hash: NDArray[np.uint64],
    readable: BoolArray,
    quality: FloatArray,
    min_quality: float | None = None,
    source: NDArray[np.object_] | None = None,
) -> Units:
    """Collect images into units.

    Args:
        phash: shape (n_images,), as are all others.
        bytes_hash: of the files; 0 where not known.
        readable: false where there is no hash.
        quality: mean gradient; looked at only if there is a `min_quality`.
        min_quality: below it, a hash links nothing.
        source: with it, only images of one source are linked.
    """
    n_images = len(phash)
    weak = degenerate(phash) | (quality < min_quality if min_quality is not None else False)
    kind = np.where(readable & ~weak, BY_HASH, np.where(readable & (bytes_hash != 0), BY_BYTES, ALONE))
    value = np.choose(kind, [phash, bytes_hash, np.arange(n_images, dtype=np.uint64)])
    block = np.zeros(n_images, dtype=np.int64)
    if source is not None:
        block = np.unique(source.astype(np.str_), return_inverse=True)[1].reshape(-1).astype(np.int64)
    order = np.lexsort((value, kind, block))
    keys = np.stack([block.astype(np.uint64), kind.astype(np.uint64), value], axis=1)[order]  # (n_images, 3)
    first = np.ones(n_images, dtype=np.bool_)
    first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    of_image = np.empty(n_images, dtype=np.int64)
    of_image[order] = np.cumsum(first) - 1
    leaders = order[first]
    return Units(
        of_image=of_image,
        phash=phash[leaders],
        linked=kind[leaders] == BY_HASH,
        block=block[leaders],
        size=np.bincount(of_image, minlength=len(leaders)).astype(np.int64),
    )


def near_units(units: Units, threshold: int) -> Iterator[Block]:
    """Yield (first, second, distance) of all units within a distance, each pair once, in blocks."""
    linked = np.flatnonzero(units.linked)
    cuts = np.flatnonzero(np.diff(units.block[linked])) + 1
    for rows in np.split(linked, cuts):
        for first, second, distance in near_pairs(units.phash[rows], threshold):
            yield rows[first], rows[second], distance
