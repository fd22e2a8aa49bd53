"""Hashes image files in parallel processes, and resumes an interrupted run.

Worker processes get lists of file names and return numbers; no pixels are sent between processes.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from piq_bench.errors import LimitExceeded, Problem
from piq_bench.group.cache import SCHEMA as CACHE_SCHEMA
from piq_bench.group.cache import Cache, Hashed
from piq_bench.group.hashes import PHASH, hash_software, imagehash_bits
from piq_bench.group.phash import DEFINITION, phash, quality
from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable
from piq_bench.images.lanczos import shrink_all
from piq_bench.images.processes import available_cores, interrupts_blocked, process_pool
from piq_bench.limits import MAX_IMAGE_PIXELS
from piq_bench.records import BoolArray, FloatArray, Pixels

CHUNK = 128  # files that a process gets at a time: 0.1 s of work
IN_FLIGHT = 4  # chunks per process that wait or run
WORTH_A_PROCESS = 1_000  # starting a process takes as long as hashing about this many images
WORTH_COMPILED_CODE = 10_000  # loading compiled code takes as long as it gains with about this many images
UNREADABLE = Hashed("", 0, 0, 0, float("nan"), 0)  # the row of an unreadable image


@dataclass(frozen=True)
class Failure:
    """An image that could not be hashed: its id, and the code and the words of the reason."""

    image: str
    code: str
    found: str


@dataclass(frozen=True, eq=False)
class HashedImages:
    """Hashes of images, in the order of the ids given.

    Attributes:
        phash: shape (n_images,); hashes of the kind asked for, 0 where unreadable.
        quality: shape (n_images,); mean step between neighbouring pixels of the 32 x 32, nan where unreadable.
        bytes_hash: shape (n_images,); first 64 bits of the file's SHA-256, 0 where unreadable.
        readable: shape (n_images,); whether the image could be hashed.
        failures: the images that are not readable, in the same order.
        n_resumed: number of images taken from the cache of an interrupted run.
    """

    phash: NDArray[np.uint64]
    quality: FloatArray
    bytes_hash: NDArray[np.uint64]
    readable: BoolArray
    failures: tuple[Failure, ...] = ()
    n_resumed: int = 0


def hash_images(
    images: Sequence[str],
    root: Path,
    *,
    hash_name: str = PHASH,
    workers: int | None = None,
    limit_pixels: int = MAX_IMAGE_PIXELS,
    follow_links: bool = False,
    cache_path: Path | None = None,
    spread: Callable[..., Iterator[list[Hashed | Failure]]] | None = None,
    advance: Callable[[int], None] | None = None,
) -> HashedImages:
    """Hashes images; those that cannot be read are listed, not raised.

    Args:
        images: image ids, relative POSIX paths below `root`.
        root: the folder that image ids are relative to.
        hash_name: one of HASHES.
        workers: number of processes; None chooses by free cores and number of images, 1 uses this process alone. With
            more, a script must guard its entry by `if __name__ == "__main__":`, as for any spawned process.
        limit_pixels: larger images are refused before they are decoded.
        follow_links: whether links may lead out of the folder.
        cache_path: file of hashes from which an interrupted run resumes, removed by the caller; None keeps no hashes.
        spread: does what `hashed_chunks` does, on other machines; None uses processes of this one.
        advance: called with the number of images finished since the last call.

    Raises:
        BadUsage: if the hash needs a package that is not installed.
        LimitExceeded: if a process dies, as when memory runs out.
    """
    software = hash_software(hash_name)
    folder = ImageFolder(root, follow_links=follow_links)
    advance = advance or (lambda images: None)
    results: dict[str, Hashed | Failure] = {}
    parameters: dict[str, object] = {"schema": CACHE_SCHEMA, "limit_pixels": limit_pixels}
    if hash_name == PHASH:
        parameters["definition"] = DEFINITION
    else:
        parameters |= {"hash": hash_name, "pillow": PIL.__version__, **software}
    with Cache(cache_path, parameters) as cache:
        results.update((image, hashed) for image, hashed in cache.known.items() if unchanged(folder, hashed))
        todo = [image for image in images if image not in results]
        n_resumed = len(images) - len(todo)
        advance(n_resumed)
        if workers is None:
            workers = min(available_cores(), 1 + len(todo) // WORTH_A_PROCESS)
        is_compiled = len(todo) >= WORTH_COMPILED_CODE * workers
        if spread is not None:
            chunks = spread(todo, root, hash_name, limit_pixels, follow_links, is_compiled)
        else:
            chunks = hashed_chunks(todo, root, hash_name, limit_pixels, follow_links, is_compiled, workers)
        for chunk in chunks:
            cache.add(result for result in chunk if isinstance(result, Hashed))
            results.update((result.image, result) for result in chunk)
            advance(len(chunk))
    return as_columns([results[image] for image in images], n_resumed)


def unchanged(folder: ImageFolder, known: Hashed) -> bool:
    """Whether a file still has the size and modification time that it was hashed with."""
    try:
        found = folder.stat(known.image)
    except Unreadable:
        return False
    return (found.st_size, found.st_mtime_ns) == (known.size, known.modified_ns)


def hashed_chunks(
    images: Sequence[str],
    root: Path,
    hash_name: str,
    limit_pixels: int,
    follow_links: bool,
    is_compiled: bool,
    workers: int,
) -> Iterator[list[Hashed | Failure]]:
    """Yields chunks of results in the order in which they are finished."""
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    how = (root, hash_name, limit_pixels, follow_links, is_compiled)
    if workers == 1:
        yield from (hash_chunk(chunk, *how) for chunk in chunks)
        return
    with process_pool(workers) as pool:
        running: set[Future[list[Hashed | Failure]]] = set()
        try:
            while True:
                with interrupts_blocked():
                    for chunk in islice(chunks, workers * IN_FLIGHT - len(running)):
                        running.add(pool.submit(hash_chunk, chunk, *how))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            problem = Problem(
                "process-died", "images", "a hashing process died", "free some memory or use --workers 1, and run again"
            )
            raise LimitExceeded(str(root), [problem]) from error
        finally:
            pool.shutdown(cancel_futures=True)  # waits for running chunks, which take a moment


def hash_chunk(
    images: Sequence[str], root: Path, hash_name: str, limit_pixels: int, follow_links: bool, is_compiled: bool = False
) -> list[Hashed | Failure]:
    """Reads, decodes and shrinks images a few at a time, which fit the processor's cache; hashes all at once."""
    folder = ImageFolder(root, follow_links=follow_links)
    to_small = _compiled_shrink() if is_compiled else shrink_all
    grey = hash_name == PHASH and not is_compiled  # compiled code is sooner than Pillow
    results: list[Hashed | Failure] = []
    files: list[tuple[str, int, int, int]] = []  # image, size, time, hash of the bytes
    others: list[int] = []  # hashes that are not phash, which need all pixels

    def decoded() -> Iterator[Pixels]:
        for image in images:
            try:
                file = folder.read(image)
                pixels = decode(file.data, limit_pixels=limit_pixels, grey=grey)
            except Unreadable as failure:
                results.append(Failure(image, failure.code, failure.found))
                continue
            if hash_name != PHASH:
                others.append(imagehash_bits(hash_name, pixels))
            files.append((image, len(file.data), file.modified_ns, hash_of_bytes(file.data)))
            yield pixels

    with strict_decoding(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd files; what matters here is raised or checked
        small = to_small(decoded())
    hashes = phash(small) if hash_name == PHASH else np.array(others, dtype=np.uint64)
    results.extend(
        Hashed(image, size, modified_ns, value, found, digest)
        for (image, size, modified_ns, digest), value, found in zip(
            files, hashes.tolist(), quality(small).tolist(), strict=True
        )
    )
    return results


def _compiled_shrink() -> Callable[[Iterable[Pixels]], Pixels]:
    from piq_bench.images.lanczos_kernel import shrink_all_compiled  # only here: few images should not wait for numba

    return shrink_all_compiled


def hash_of_bytes(data: bytes) -> int:
    """The first 64 bits of the SHA-256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def as_columns(results: Sequence[Hashed | Failure], n_resumed: int) -> HashedImages:
    """Turns one result per image into arrays."""
    readable = np.array([isinstance(result, Hashed) for result in results], dtype=np.bool_)
    rows = [result if isinstance(result, Hashed) else UNREADABLE for result in results]
    return HashedImages(
        phash=np.array([row.phash for row in rows], dtype=np.uint64),
        quality=np.array([row.quality for row in rows], dtype=np.float64),
        bytes_hash=np.array([row.bytes_hash for row in rows], dtype=np.uint64),
        readable=readable,
        failures=tuple(result for result in results if isinstance(result, Failure)),
        n_resumed=n_resumed,
    )
