"""Image files to hashes, in parallel processes, going on where an interrupted run stopped.

Processes get lists of file names and return numbers; no picture ever travels between them.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import LimitExceeded, Problem
from piq_bench.group.cache import Cache, Hashed
from piq_bench.group.phash import DEFINITION, phash, quality
from piq_bench.images.decode import DEFAULT_LIMIT_PIXELS, decode, strict_decoding
from piq_bench.images.folder import ImageFolder, Unreadable, bytes_hash
from piq_bench.images.lanczos import SIDE, shrink
from piq_bench.images.processes import available_cores, quiet_start
from piq_bench.records import BoolArray, FloatArray

CHUNK = 128  # files handed to a process at once: 0.1 s of work
IN_FLIGHT = 4  # chunks per process that wait or run
WORTH_A_PROCESS = 1_000  # images; starting a process costs as much as hashing about this many


@dataclass(frozen=True)
class Failure:
    """An image that could not be hashed."""

    image: str
    code: str
    found: str


@dataclass(frozen=True, eq=False)
class HashedImages:
    """What is known of each image, in the order asked for.

    Attributes:
        phash: shape (n_images,); 0 where unreadable.
        quality: shape (n_images,); mean step between neighbouring pixels of the 32 x 32, nan where unreadable.
        bytes_hash: shape (n_images,); first 64 bits of the file's SHA-256, 0 where unreadable.
        readable: shape (n_images,).
        failures: the others, in the same order.
        n_resumed: images taken over from an earlier, interrupted run.
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
    workers: int | None = None,
    limit_pixels: int = DEFAULT_LIMIT_PIXELS,
    cache_path: Path | None = None,
    advance: Callable[[int], None] | None = None,
) -> HashedImages:
    """Hash every image below a folder; what cannot be read is listed, not raised.

    Args:
        images: ids, relative POSIX paths below `root`.
        root: the folder of images.
        workers: processes; None for as many as there are free cores and work. 1 works inside this process. With
            more, a script must guard its entry by `if __name__ == "__main__":`, as for any spawned process.
        limit_pixels: larger pictures are refused before they are decoded.
        cache_path: where to keep what has been hashed until the caller removes it; None keeps nothing.
        advance: called with the number of images done since the last call.

    Raises:
        LimitExceeded: if a process dies, which is what happens when memory runs out.
    """
    folder = ImageFolder(root)
    report = advance or (lambda steps: None)
    results: dict[str, Hashed | Failure] = {}
    parameters = {"schema": "piq-bench/groups-cache/1", "definition": DEFINITION, "limit_pixels": limit_pixels}
    with Cache(cache_path, parameters) as cache:
        results.update((image, one) for image, one in cache.known.items() if unchanged(folder, one))
        todo = [image for image in images if image not in results]
        n_resumed = len(images) - len(todo)
        report(n_resumed)
        if workers is None:
            workers = min(available_cores(), 1 + len(todo) // WORTH_A_PROCESS)
        for chunk in hashed_chunks(todo, root, limit_pixels, workers):
            cache.add(one for one in chunk if isinstance(one, Hashed))
            results.update((one.image, one) for one in chunk)
            report(len(chunk))
    return gathered([results[image] for image in images], n_resumed)


def unchanged(folder: ImageFolder, known: Hashed) -> bool:
    """Whether the file is still the one that was hashed."""
    try:
        found = folder.stat(known.image)
    except Unreadable:
        return False
    return (found.st_size, found.st_mtime_ns) == (known.size, known.modified_ns)


def hashed_chunks(
    images: Sequence[str], root: Path, limit_pixels: int, workers: int
) -> Iterator[list[Hashed | Failure]]:
    """Chunks in the order in which they are done."""
    chunks = (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))
    if workers == 1:
        yield from (hash_chunk(chunk, root, limit_pixels) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        running: set[Future[list[Hashed | Failure]]] = set()
        try:
            while True:
                with quiet_start():
                    for chunk in islice(chunks, workers * IN_FLIGHT - len(running)):
                        running.add(pool.submit(hash_chunk, chunk, root, limit_pixels))
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
            pool.shutdown(cancel_futures=True)  # waits for what runs: a chunk takes a moment


def hash_chunk(images: Sequence[str], root: Path, limit_pixels: int) -> list[Hashed | Failure]:
    """Read, decode and shrink one by one, while a picture is in the processor's cache; hash all at once."""
    folder = ImageFolder(root)
    results: list[Hashed | Failure] = []
    small = np.zeros((len(images), SIDE, SIDE), dtype=np.uint8)
    found: list[tuple[str, int, int, int]] = []
    with strict_decoding(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow on odd files; what matters to us is raised or checked
        for image in images:
            try:
                file = folder.read(image)
                small[len(found)] = shrink(decode(file.data, limit_pixels=limit_pixels))
                found.append((image, len(file.data), file.modified_ns, bytes_hash(file.data)))
            except Unreadable as failure:
                results.append(Failure(image, failure.code, failure.found))
    hashes, qualities = phash(small[: len(found)]), quality(small[: len(found)])
    results.extend(
        Hashed(image, size, modified_ns, int(hashes[row]), float(qualities[row]), digest)
        for row, (image, size, modified_ns, digest) in enumerate(found)
    )
    return results


def gathered(results: Sequence[Hashed | Failure], n_resumed: int) -> HashedImages:
    """Columns of rows."""
    readable = np.array([isinstance(one, Hashed) for one in results], dtype=np.bool_)
    rows = [one if isinstance(one, Hashed) else Hashed("", 0, 0, 0, float("nan"), 0) for one in results]
    return HashedImages(
        phash=np.array([one.phash for one in rows], dtype=np.uint64),
        quality=np.array([one.quality for one in rows], dtype=np.float64),
        bytes_hash=np.array([one.bytes_hash for one in rows], dtype=np.uint64),
        readable=readable,
        failures=tuple(one for one in results if isinstance(one, Failure)),
        n_resumed=n_resumed,
    )
