"""Hashes image files in parallel processes, and resumes an interrupted run.

Worker processes get lists of file names and return numbers; no pixels are sent between processes.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
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
from piq_bench.images.folder import ImageBytes, ImageFolder, Unreadable
from piq_bench.images.lanczos import shrink
from piq_bench.images.processes import available_cores, interrupts_blocked, process_pool
from piq_bench.limits import MAX_IMAGE_PIXELS
from piq_bench.records import BoolArray, FloatArray, Pixels

CHUNK = 128  # files that a process gets at a time: 0.1 s of work
IN_FLIGHT = 4  # chunks per process that wait or run
WORTH_A_PROCESS = 1_000  # starting a process takes as long as hashing about this many images
BATCH_BYTES = 1 << 23  # files are read before the first is decoded, until they have so many bytes
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
        if spread is not None:
            chunks = spread(todo, root, hash_name, limit_pixels, follow_links)
        else:
            chunks = hashed_chunks(todo, root, hash_name, limit_pixels, follow_links, workers)
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
    workers: int,
) -> Iterator[list[Hashed | Failure]]:
    """Yields chunks of results in the order in which they are finished."""
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    how = (root, hash_name, limit_pixels, follow_links)
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
    images: Sequence[str], root: Path, hash_name: str, limit_pixels: int, follow_links: bool
) -> list[Hashed | Failure]:
    """Hashes images step by step: all are read, then decoded, then shrunk.

    Image by image, each step would find its code and its tables thrown out of the processor's caches by the others.
    """
    folder = ImageFolder(root, follow_links=follow_links)
    results: list[Hashed | Failure] = []
    todo = iter(images)
    with strict_decoding(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd files; what matters here is raised or checked
        while files := read_files(todo, folder, results):
            hash_files(files, hash_name, limit_pixels, results)
    return results


def read_files(images: Iterator[str], folder: ImageFolder, results: list[Hashed | Failure]) -> dict[str, ImageBytes]:
    """Reads the next files, up to BATCH_BYTES; those that cannot be read become results."""
    files: dict[str, ImageBytes] = {}
    n_bytes = 0
    for image in images:
        try:
            files[image] = folder.read(image)
        except Unreadable as failure:
            results.append(Failure(image, failure.code, failure.found))
            continue
        n_bytes += len(files[image].data)
        if n_bytes >= BATCH_BYTES:
            break
    return files


def hash_files(
    files: dict[str, ImageBytes], hash_name: str, limit_pixels: int, results: list[Hashed | Failure]
) -> None:
    """Hashes files, and adds a result for each."""
    of_bytes = {image: hash_of_bytes(file.data) for image, file in files.items()}
    decoded: list[str] = []
    others: list[int] = []  # hashes that are not phash, which need all pixels

    def pixels_of_all() -> Iterator[Pixels]:
        for image, file in files.items():
            try:
                pixels = decode(file.data, limit_pixels=limit_pixels, grey=hash_name == PHASH)
            except Unreadable as failure:
                results.append(Failure(image, failure.code, failure.found))
                continue
            if hash_name != PHASH:
                others.append(imagehash_bits(hash_name, pixels))
            decoded.append(image)
            yield pixels

    small = shrink(pixels_of_all())
    hashes = phash(small) if hash_name == PHASH else np.array(others, dtype=np.uint64)
    for image, value, found in zip(decoded, hashes.tolist(), quality(small).tolist(), strict=True):
        file = files[image]
        results.append(Hashed(image, len(file.data), file.modified_ns, value, found, of_bytes[image]))


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
