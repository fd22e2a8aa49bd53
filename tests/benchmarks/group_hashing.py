"""Measures images hashed per second, from files to bits, and the cost of decoding the same files.

    python tests/benchmarks/group_hashing.py [FOLDER]

Without a folder, 4,000 JPEG files of 256 x 128 pixels are made (smooth colours with some texture, about 7 kB each).
"""

import io
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from piq_bench.group.hashing import hash_images

N_IMAGES = 4000
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
    """Print three lines, each the best of two runs."""
    images = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    size = sum((folder / image).stat().st_size for image in images) / len(images)
    print(f"{len(images)} files of {size / 1000:.1f} kB")

    def decode() -> None:
        for image in images:
            with Image.open(io.BytesIO((folder / image).read_bytes())) as opened:
                np.asarray(opened)

    def hash_alone() -> None:
        hash_images(images, folder, workers=1)

    def hash_together() -> None:
        hash_images(images, folder, workers=2)

    for task in (decode, hash_alone, hash_together):
        runs = []
        for _ in range(2):
            start, busy = time.perf_counter(), processor_seconds()
            task()
            runs.append((time.perf_counter() - start, processor_seconds() - busy))
        seconds, busy = min(runs)
        n = len(images)
        print(f"{task.__name__:13} {n / seconds:6.0f} images/s, {busy / n * 1e6:4.0f} us of processor time per image")


def processor_seconds() -> float:
    """CPU time of this process and of the child processes it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            make_images(Path(made))
            measure(Path(made))
