"""Knows the perceptual hashes by name: how each is computed, how its distances are spaced, when it says nothing.

`phash` is this package's own and has the same bits everywhere. The others are those of the package `imagehash`, an
optional dependency, on the same decoded pixels. Their bits depend on the versions of imagehash, Pillow and, for
`whash`, PyWavelets, so the header of a groups file names these versions.
"""

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadUsage, Problem
from piq_bench.group import phash as own
from piq_bench.records import BoolArray, Pixels

PHASH = "phash"
BY_IMAGEHASH = {"ahash": "average_hash", "dhash": "dhash", "whash": "whash"}  # name: function of imagehash
HASHES = (PHASH, *BY_IMAGEHASH)
ALL_SET = np.uint64(2**64 - 1)
INSTALL = "pip install 'piq-bench[hashes]'"

DECODING = {"exif": "ignored", "alpha": "laid on white", "depth": "16 bits scaled by 1/257"}


def hash_parameters(name: str) -> dict[str, object]:
    """What defines a hash, for the header of a groups file."""
    if name == PHASH:
        resize = "LANCZOS in 8 bits, width to 32 first, then height to 32"
        return {
            "hash": name,
            "definition": own.DEFINITION,
            "hash_size": own.N_LOW,
            "highfreq_factor": 4,
            "resize": resize,
            **DECODING,
        }
    definition = f"imagehash.{BY_IMAGEHASH[name]}"
    return {"hash": name, "definition": definition, "hash_size": own.N_LOW, **DECODING, "note": versions_note(name)}


def versions_note(name: str) -> str:
    """A sentence that warns of hashes that other software would compute differently."""
    packages = ", Pillow and PyWavelets" if name == "whash" else " and Pillow"
    return f"the bits of {name} depend on the versions of imagehash{packages}"


def hash_software(name: str) -> dict[str, str]:
    """Versions of the software that only this hash depends on; empty for phash.

    Raises:
        BadUsage: if imagehash is not installed.
    """
    if name == PHASH:
        return {}
    from importlib.metadata import version  # only here: scoring, which needs no hash but phash, starts sooner

    try:
        import_module("imagehash")
        found = {"imagehash": version("imagehash")}
        if name == "whash":
            import_module("pywt")
            found["pywavelets"] = version("PyWavelets")
    except ImportError as error:
        found_text = f"{name} needs the package {error.name}, which is not installed"
        problem = Problem("not-installed", "--hash", found_text, f"{INSTALL}, or use --hash phash")
        raise BadUsage("options", [problem]) from error
    return found


def imagehash_bits(name: str, pixels: Pixels) -> int:
    """The 64 bits that imagehash computes from decoded pixels, in order of rows; the first is the most significant."""
    from PIL import Image

    found = getattr(import_module("imagehash"), BY_IMAGEHASH[name])(Image.fromarray(pixels), hash_size=own.N_LOW)
    return int.from_bytes(np.packbits(np.asarray(found.hash, dtype=np.bool_).reshape(-1)).tobytes(), "big")


def distance_step(name: str) -> int:
    """Distances of this hash are multiples of this: 2 for phash, of which every hash that is linked has 32 bits set."""
    return 2 if name == PHASH else 1


def degenerate(hashes: NDArray[np.uint64], name: str) -> BoolArray:
    """Whether a hash says nothing about its image.

    Such a phash does not have 32 bits set. Such a hash of imagehash has none set, as that of a flat image, or all, as
    the dhash of a ramp.
    """
    if name == PHASH:
        return own.degenerate(hashes)
    return np.asarray((hashes == 0) | (hashes == ALL_SET))
