"""The record of a data set's rows, the same for every layout: sorted by image id, labels and identities as numbers.

Identities that benchmark.toml declares to be junk or distractors stop being identities here.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.column import Column
from piq_bench.read.validate import RowNamer
from piq_bench.records import NO_IDENTITY, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """The columns of `Benchmark`, rows ascending by image id.

    Attributes:
        images, split, identity, identities, labels, source, sequence, camera, columns: as in `Benchmark`.
        junk, distractor: as in `Benchmark`; false until `declare_identities` has set them.
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
    columns: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    @property
    def texts(self) -> dict[str, NDArray[np.object_]]:
        """Every column of text but the identity, by name; those that the data set lacks are left out."""
        given = {"source": self.source, "sequence": self.sequence, "camera": self.camera, **self.columns}
        return {name: texts for name, texts in given.items() if texts is not None}


def index_identities(names: Column) -> tuple[IntArray, tuple[str, ...]]:
    """Index of each row's name, NO_IDENTITY for the empty name, and the list of names, ascending."""
    identities = tuple(sorted(names.distinct - {""}))
    return names.to_numbers({name: index for index, name in enumerate(identities)} | {"": NO_IDENTITY}), identities


def declare_identities(rows: Rows, junk: Collection[str], distractors: Collection[str]) -> Rows:
    """The rows with images of junk taken out of retrieval, and images of distractors shown to be nobody's."""
    kept = [name for name in rows.identities if name not in junk and name not in distractors]
    if len(kept) == len(rows.identities):
        return rows
    index = {name: number for number, name in enumerate(kept)}
    new_identity = np.array([index.get(name, NO_IDENTITY) for name in rows.identities] + [NO_IDENTITY])
    is_junk = np.array([name in junk for name in rows.identities] + [False])
    is_distractor = np.array([name in distractors for name in rows.identities] + [False])
    return replace(
        rows,
        identity=new_identity[rows.identity],  # NO_IDENTITY is -1: the last element
        identities=tuple(kept),
        junk=is_junk[rows.identity],
        distractor=is_distractor[rows.identity],
    )
