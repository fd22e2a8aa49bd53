"""The rows of a data set, whatever its layout: sorted by image, in numbers, each with its place in a file."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.column import Column
from piq_bench.read.validate import Place
from piq_bench.records import NO_IDENTITY, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns as in `Benchmark`, rows ascending by image id.

    Attributes:
        images, split, identity, identities, labels, junk, distractor, source, sequence, camera: as in `Benchmark`.
        place: where row i stands, for messages.
    """

    images: NDArray[np.object_]
    split: IntArray
    identity: IntArray
    identities: tuple[str, ...]
    labels: Mapping[str, IntArray]
    junk: BoolArray
    distractor: BoolArray
    source: NDArray[np.object_] | None
    sequence: NDArray[np.object_] | None
    camera: NDArray[np.object_] | None
    place: Place


def numbered_identities(names: Column) -> tuple[IntArray, tuple[str, ...]]:
    """Names to indices into the ascending list of names; the empty name is nobody."""
    identities = tuple(sorted(names.distinct - {""}))
    return names.numbered({name: index for index, name in enumerate(identities)} | {"": NO_IDENTITY}), identities
