"""Measures images hashed per second, from files to bits, and the cost of decoding the same files.

    python tests/benchmarks/group_hashing.py [FOLDER]

Without a folder, 4,000 JPEG files of 256 x 128 pixels are made (smooth colours with some texture, about 10 kB each).
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from piq_bench.group.hashing import hash_images

N_IMAGES = 4000
TURN = 128  # images that are decoded, and then hashed: as many as `hash_images` takes at a time
WIDTH, HEIGHT = 128, 256


def make_images(folder: Path, n_images: int = N_IMAGES) -> None:
    """Make images that take as long to decode as photographs of people."""
    rng = np.random.Generator(np.random.PCG64(0))
    for number in range(n_images):
        coarse = Image.fromarray(rng.integers(0, 256, (24, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int64)
        noisy = smooth + rng.integers(-6, 7, smooth.shape)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.jpg", quality=90)


def measure(folder: Path) -> None:
    """Print what it takes to decode an image, and to hash it, by one process and by two.

    Decoding and hashing take turns, because a machine's speed may change by half from one second to the next. Before
    each turn memory is shuffled: where Pillow's buffer for a line of pixels begins at a multiple of 32 bytes, decoding
    takes half as long again, because libjpeg-turbo then writes past the caches what Pillow reads at once.
    """
    rng = np.random.Generator(np.random.PCG64(1))
    images = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    size = sum((folder / image).stat().st_size for image in images) / len(images)
    print(f"{len(images)} files of {size / 1000:.1f} kB")

    def decode(part: list[str]) -> None:
        for image in part:
            with Image.open(io.BytesIO((folder / image).read_bytes())) as opened:
                np.asarray(opened)

    def hash_alone(part: list[str]) -> None:
        hash_images(part, folder, workers=1)

    def hash_together(part: list[str]) -> None:
        hash_images(part, folder, workers=2)

    parts = [images[first : first + TURN] for first in range(0, len(images), TURN)] * 2
    turns = []
    for part in parts:
        occupied = [bytearray(size) for size in rng.integers(600, 60_000, 40).tolist()]
        turns.append((timed(decode, part), timed(hash_alone, part)))
        del occupied
    runs = {
        "decode": [decoding for decoding, _ in turns],
        "hash alone": [hashing for _, hashing in turns],
        "hash together": [timed(hash_together, images) for _ in range(2)],
    }
    for name, found in runs.items():
        wall, busy = (statistics.median(column) for column in zip(*found, strict=True))
        fastest = min(busy for _, busy in found)
        print(f"{name:13} {1 / wall:6.0f} images/s, {busy * 1e6:4.0f} us of processor time per image", end="")
        print(f", {fastest * 1e6:4.0f} in the fastest turn")
    busy = {name: [busy for _, busy in found] for name, found in runs.items()}
    ratios = [summary(busy["hash alone"]) / summary(busy["decode"]) for summary in (statistics.mean, min)]
    print("hash alone takes {:.2f} x the processor time of decode, in their fastest turns {:.2f} x".format(*ratios))


def timed(task: Callable[[list[str]], None], images: list[str]) -> tuple[float, float]:
    """Seconds per image, and seconds of processor time."""
    start, busy = time.perf_counter(), processor_seconds()
    task(images)
    return (time.perf_counter() - start) / len(images), (processor_seconds() - busy) / len(images)


def processor_seconds() -> float:
    """CPU time of this process and of the child processes it has waited for."""
    of_children = os.times()
    return time.process_time() + of_children.children_user + of_children.children_system


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder with .jpg files")
    given = parser.parse_args().folder
    if given is None:
        with tempfile.TemporaryDirectory() as made:
            make_images(Path(made))
            measure(Path(made))
    elif any(given.rglob("*.jpg")):
        measure(given)
    else:
        parser.error(f"{given} holds no .jpg files")
