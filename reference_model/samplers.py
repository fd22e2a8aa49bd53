"""Chooses which images form the batches of an epoch.

The choice depends on seed and epoch only, so an interrupted epoch could be continued by skipping its first batches. All
batches have the same size; images left over at the end of an epoch are dropped. The three samplers are the paper's
(section 6.3): all images, identified images only (P x K), or batches of identified and of unidentified images.
"""

from typing import Literal, get_args

import numpy as np

from piq_bench.records import NO_IDENTITY, IntArray

Kind = Literal["random", "pk", "shuffle"]
Mix = Literal["batches", "within"]

BATCH_SIZE = 128
N_IMAGES = 4  # of one identity in a batch, as in Bag of Tricks; the paper does not give the number


def batches(
    kind: Kind,
    identity: IntArray,
    epoch: int,
    seed: int,
    *,
    batch_size: int = BATCH_SIZE,
    n_images: int = N_IMAGES,
    mix: Mix = "batches",
) -> IntArray:
    """The batches of one epoch, as row numbers of `identity`.

    Args:
        kind: "random" is a permutation of all images. "pk" puts `n_images` images of each of `batch_size / n_images`
            identities into a batch, until too few identities have images left; an identity with fewer images repeats
            some, and unidentified images never appear. "shuffle" adds batches of unidentified images, in random order.
        identity: shape (n_all_images,); NO_IDENTITY where unidentified.
        epoch: number of the epoch, at least 0.
        seed: at least 0.
        batch_size: images in a batch, over all processes.
        n_images: images of one identity in a batch.
        mix: how "shuffle" mixes: "batches" are of one kind each; "within" makes each batch half of identified and half
            of unidentified images, until one kind runs out.

    Returns:
        Shape (n_batches, batch_size).

    Raises:
        ValueError: if there are too few identities or images for one batch, or the batch size is not divisible.
    """
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    if kind == "random":
        return _full(rng.permutation(identity.size), batch_size, "images")
    if kind == "pk":
        return _of_identities(identity, batch_size, n_images, rng)
    if kind != "shuffle":
        raise ValueError(f"no sampler {kind!r}: expected one of {', '.join(get_args(Kind))}")
    part = batch_size if mix == "batches" else _divided(batch_size, 2, "halves")
    known = _of_identities(identity, part, n_images, rng)
    unknown = _full(rng.permutation(np.flatnonzero(identity == NO_IDENTITY)), part, "unidentified images")
    if mix == "batches":
        return rng.permutation(np.concatenate([known, unknown]))
    n_batches = min(len(known), len(unknown))
    # In random order, so that every process gets a similar mix.
    return rng.permuted(np.concatenate([known[:n_batches], unknown[:n_batches]], axis=1), axis=1)


def n_seen(batches: IntArray) -> int:
    """How many different images an epoch shows."""
    return int(np.unique(batches).size)


def share(batches: IntArray, rank: int, n_processes: int) -> IntArray:
    """The part of every batch that one of several processes computes, shape (n_batches, batch_size / n_processes).

    Parts are contiguous and in the order of ranks, so identities stay together where the sizes allow.

    Raises:
        ValueError: if the processes cannot have equal parts, or there is no such process.
    """
    if not 0 <= rank < n_processes:
        raise ValueError(f"process {rank}: expected 0 to {n_processes - 1}")
    size = _divided(batches.shape[1], n_processes, "processes")
    return batches[:, rank * size : (rank + 1) * size]


def _of_identities(identity: IntArray, batch_size: int, n_images: int, rng: np.random.Generator) -> IntArray:
    """P x K batches: several identities with several images each."""
    n_identities = _divided(batch_size, n_images, "images per identity")
    groups = _groups(identity, n_images, rng)
    if len(groups) < n_identities:
        raise ValueError(
            f"{len(groups)} identities, and a batch of {batch_size} takes {n_identities}, {n_images} images of each: "
            "use a smaller batch size, more images of each, or the sampler 'random'"
        )
    n_left = np.array([len(of_identity) for of_identity in groups])
    found = []
    while (n_left > 0).sum() >= n_identities:
        chosen = rng.choice(np.flatnonzero(n_left), n_identities, replace=False)
        n_left[chosen] -= 1
        found.append(np.concatenate([groups[number][n_left[number]] for number in chosen]))
    return np.stack(found)


def _groups(identity: IntArray, n_images: int, rng: np.random.Generator) -> list[IntArray]:
    """For each identity, its shuffled images in groups, shape (n_groups, n_images)."""
    order = np.argsort(identity, kind="stable")
    order = order[identity[order] != NO_IDENTITY]
    first = np.flatnonzero(np.diff(identity[order])) + 1
    groups = []
    for rows in np.split(order, first) if order.size else []:
        enough = rng.permutation(rows) if rows.size >= n_images else rng.choice(rows, n_images)
        groups.append(enough[: enough.size // n_images * n_images].reshape(-1, n_images))
    return groups


def _full(rows: IntArray, batch_size: int, what: str) -> IntArray:
    """Cut rows into full batches and drop the rest."""
    n_batches = rows.size // batch_size
    if n_batches == 0:
        raise ValueError(
            f"{rows.size} {what} do not fill one batch of {batch_size}: use a smaller batch size or another sampler"
        )
    return rows[: n_batches * batch_size].reshape(n_batches, batch_size)


def _divided(batch_size: int, n_parts: int, what: str) -> int:
    """Size of each of `n_parts` equal parts of a batch."""
    if batch_size < n_parts or batch_size % n_parts:
        raise ValueError(
            f"a batch of {batch_size} and {n_parts} {what}: use a batch size that is a multiple of {n_parts}"
        )
    return batch_size // n_parts
