"""The rows of a data set, whatever its layout: sorted by image, in numbers, each with its place in a file.

Here, too, identities that benchmark.toml declares to be junk or distractors stop being identities.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from piq_bench.read.column import Column
from piq_bench.read.validate import Place
from piq_bench.records import NO_IDENTITY, BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Columns as in `Benchmark`, rows ascending by image id.

    Attributes:
        images, split, identity, identities, labels, source, sequence, camera, columns: as in `Benchmark`.
        junk, distractor: as in `Benchmark`; false until `declared` has set them.
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
    columns: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)


def numbered_identities(names: Column) -> tuple[IntArray, tuple[str, ...]]:
    """Names to indices into the ascending list of names; the empty name is nobody."""
    identities = tuple(sorted(names.distinct - {""}))
    return names.numbered({name: index for index, name in enumerate(identities)} | {"": NO_IDENTITY}), identities


def declared(rows: Rows, junk: Collection[str], distractors: Collection[str]) -> Rows:
    """The rows with some identities taken out: images of junk take no part, those of distractors are nobody's."""
    kept = [name for name in rows.identities if name not in junk and name not in distractors]
    if len(kept) == len(rows.identities):
        return rows
    place = {name: index for index, name in enumerate(kept)}
    number = np.array([place.get(name, NO_IDENTITY) for name in rows.identities] + [NO_IDENTITY])
    is_junk = np.array([name in junk for name in rows.identities] + [False])
    is_distractor = np.array([name in distractors for name in rows.identities] + [False])
    return replace(
        rows,
        identity=number[rows.identity],  # NO_IDENTITY is -1: the last element
        identities=tuple(kept),
        junk=is_junk[rows.identity],
        distractor=is_distractor[rows.identity],
    )
