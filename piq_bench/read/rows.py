"""The record of a data set's rows, the same for every layout: sorted by image id, labels and identities as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.column import Column
from piq_bench.read.validate import RowNamer
from piq_bench.records import NO_IDENTITY, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """The columns of `Benchmark`, rows ascending by image id.

    Attributes:
        images, split, identity, identities, labels, junk, distractor, source, sequence, camera: as in `Benchmark`.
        row_name: names a row in messages, by its place in the file.
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
    row_name: RowNamer


def index_identities(names: Column) -> tuple[IntArray, tuple[str, ...]]:
    """Index of each row's name, NO_IDENTITY for the empty name, and the list of names, ascending."""
    identities = tuple(sorted(names.distinct - {""}))
    return names.to_numbers({name: index for index, name in enumerate(identities)} | {"": NO_IDENTITY}), identities
