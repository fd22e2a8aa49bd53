"""Reduces a benchmark to one SHA-256: results with different fingerprints are never ranked or compared with each other.

It covers what can change a score: image ids, splits, identities, junk and distractors, labels, the vocabulary, cameras,
sequences and other columns that a rule names, and the near-duplicate groups with the parameters that decide exclusion.
The rules themselves are part of the protocol. It does not cover names, versions and licences, or the form of the files:
CSV or Parquet, the order of rows, columns or tasks.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.records import Benchmark, Groups

SCHEMA = "piq-bench/fingerprint/1"
PIECE_ROWS = 1 << 16


def fingerprint(benchmark: Benchmark) -> str:
    """SHA-256 in hex of a canonical form of the benchmark's content.

    The form is a sequence of parts, each a name, a length and that many bytes. Whole numbers are 64-bit little-endian;
    texts are UTF-8, each with its length in characters; anything else is JSON with sorted keys.
    """
    groups = benchmark.groups
    canonical = _Canonical()
    canonical.json("schema", SCHEMA)
    canonical.json(
        "tasks",
        sorted([task.name, task.aspect, task.kind, list(task.labels), task.multi_label] for task in benchmark.tasks),
    )
    canonical.json("exclude_same_camera", False)  # a rule of earlier versions; rules are part of the protocol now
    canonical.texts("images", benchmark.images)
    canonical.integers("split", benchmark.split)
    canonical.texts("identities", benchmark.identities)
    canonical.integers("identity", benchmark.identity)
    canonical.integers("junk", benchmark.junk)
    canonical.integers("distractor", benchmark.distractor)
    for name in sorted(benchmark.labels):
        canonical.integers(f"labels {name}", benchmark.labels[name])
    for name, column in (("camera", benchmark.camera), ("sequence", benchmark.sequence)):
        if column is not None:
            canonical.texts(name, column)
    ruled = {name for rule in benchmark.exclude for name in rule.columns}
    for name in sorted(ruled & benchmark.columns.keys()):
        canonical.texts(f"column {name}", benchmark.columns[name])
    if benchmark.source is not None and ruled & {"source", "sequence"}:  # sequences are named within a source
        canonical.texts("source", benchmark.source)
    if groups is not None:
        _add_groups(canonical, groups)
    return canonical.digest.hexdigest()


def _add_groups(canonical: "_Canonical", groups: Groups) -> None:
    grouping = groups.grouping
    canonical.json("grouping", [grouping.hash, grouping.threshold, grouping.mode])
    canonical.integers("phash", groups.phash.view(np.int64))
    canonical.integers("group", groups.group)
    if groups.pairs is not None:
        canonical.integers("pairs", groups.pairs)


class _Canonical:
    """Hashes named parts; different sequences of parts never give the same bytes."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def part(self, name: str, n_bytes: int, pieces: Iterable[bytes]) -> None:
        """Add a part, given in pieces so that millions of rows are never held as bytes."""
        self.digest.update(f"{name}\0{n_bytes}\0".encode())
        for piece in pieces:
            self.digest.update(piece)

    def json(self, name: str, value: object) -> None:
        """Add a small value."""
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        self.part(name, len(text), [text.encode("ascii")])

    def integers(self, name: str, values: NDArray[np.integer] | NDArray[np.bool_]) -> None:
        """Add whole numbers and their shape."""
        self.json(f"{name} shape", list(values.shape))
        pieces = (np.ascontiguousarray(piece, dtype="<i8").tobytes() for piece in _pieces(values))
        self.part(name, 8 * values.size, pieces)

    def texts(self, name: str, values: Sequence[str] | NDArray[np.object_]) -> None:
        """Add texts; their lengths distinguish "a", "bc" from "ab", "c"."""
        self.integers(f"{name} lengths", np.fromiter(map(len, values), dtype=np.int64, count=len(values)))
        n_bytes = sum(map(len, map(_utf8, _pieces(values))))
        self.part(name, n_bytes, map(_utf8, _pieces(values)))


def _pieces(values: Sequence[str] | NDArray[Any]) -> Iterator[Any]:
    """PIECE_ROWS rows at a time."""
    for first in range(0, len(values), PIECE_ROWS):
        yield values[first : first + PIECE_ROWS]


def _utf8(texts: Iterable[str]) -> bytes:
    return "".join(texts).encode("utf-8", "surrogatepass")
