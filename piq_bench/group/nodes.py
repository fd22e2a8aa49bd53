"""Collects images into the nodes of the near-duplicate graph, and finds the pairs of nodes within a distance.

A node is a set of images that are near-duplicates at any threshold, because they have the same hash. The hash of a
degenerate image (flat, or a ramp) says nothing about it, nor does that of an image below the lowest quality that the
user may set: such an image shares a node only with files of the same bytes, and that node is linked to no other. Where
links are kept within sources, images without a source count as images of one more source. An unreadable image is a
node of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.group.hashes import PHASH, degenerate
from piq_bench.group.pairs import Block, near_pairs
from piq_bench.records import BoolArray, FloatArray, IntArray

FindPairs = Callable[[NDArray[np.uint64], int], Iterator[Block]]  # as `near_pairs`
BY_HASH, BY_BYTES, ALONE = range(3)


@dataclass(frozen=True, eq=False)
class Nodes:
    """Nodes of the near-duplicate graph.

    Attributes:
        of_image: shape (n_images,); the node of each image.
        phash: shape (n_nodes,); the hash of each node's images.
        linked: shape (n_nodes,); whether the node may be linked to others by its hash.
        block: shape (n_nodes,), ascending; nodes of different blocks are never linked.
        size: shape (n_nodes,); number of images in each node.
    """

    of_image: IntArray
    phash: NDArray[np.uint64]
    linked: BoolArray
    block: IntArray
    size: IntArray

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.phash)


def make_nodes(
    phash: NDArray[np.uint64],
    *,
    bytes_hash: NDArray[np.uint64],
    readable: BoolArray,
    quality: FloatArray,
    min_quality: float | None = None,
    source: NDArray[np.object_] | None = None,
    hash_name: str = PHASH,
) -> Nodes:
    """Collects images into nodes.

    Args:
        phash: perceptual hashes, not only of the kind phash; shape (n_images,), as all other arrays.
        bytes_hash: hashes of the files' bytes; 0 where not known.
        readable: whether the image has a hash.
        quality: mean gradients; used only with `min_quality`.
        min_quality: lowest quality at which images are linked by their perceptual hash; None for no limit.
        source: the source of each image, if only images of the same source are linked.
        hash_name: name of the hash, which says when a hash is degenerate.
    """
    n_images = len(phash)
    weak = degenerate(phash, hash_name) | (quality < min_quality if min_quality is not None else False)
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
    return Nodes(
        of_image=of_image,
        phash=phash[leaders],
        linked=kind[leaders] == BY_HASH,
        block=block[leaders],
        size=np.bincount(of_image, minlength=len(leaders)).astype(np.int64),
    )


def near_nodes(nodes: Nodes, threshold: int, find_pairs: FindPairs = near_pairs) -> Iterator[Block]:
    """Yields (first, second, distance) of all nodes within a distance, each pair once, in blocks."""
    linked = np.flatnonzero(nodes.linked)
    cuts = np.flatnonzero(np.diff(nodes.block[linked])) + 1
    for rows in np.split(linked, cuts):
        for first, second, distance in find_pairs(nodes.phash[rows], threshold):
            yield rows[first], rows[second], distance
