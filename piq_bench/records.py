"""The frozen dataclasses that pass between stages. The rows of a benchmark are always sorted by image id.

They are sorted once, when a data set is read, so that no later number depends on the order of rows in a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Int32Array = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
EmbeddingArray = NDArray[np.float16] | NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""An image, shape (height, width) if grey or (height, width, 3) if in colour; 0 to 255."""

SPLITS = ("train", "query", "gallery")
TRAIN, QUERY, GALLERY = range(3)
NOT_ANNOTATED = -1
NO_IDENTITY = -1
NO_GROUP = -1

RETRIEVAL = "retrieval"
CLASSIFICATION = "classification"

OWN_LAYOUTS = ("folder", "table")  # of a data set's files; all others are those of public data sets


@dataclass(frozen=True)
class Task:
    """One task of a benchmark's vocabulary.

    Attributes:
        name: name of the task; of its column in annotations and its array in submissions too, but a retrieval task has
            the column "identity" and the array "embedding".
        aspect: the aspect of PIQ that the task's score enters.
        kind: "retrieval" or "classification".
        labels: label names in the order of a submission's columns; empty for retrieval.
        multi_label: whether an image may have any number of labels instead of exactly one.
    """

    name: str
    aspect: str
    kind: Literal["retrieval", "classification"] = "classification"
    labels: tuple[str, ...] = ()
    multi_label: bool = False


@dataclass(frozen=True)
class Grouping:
    """How near-duplicate images are found.

    Attributes:
        hash: name of the perceptual hash; "given" where the groups came with the data set and no hash is known.
        threshold: most bits in which the hashes of two near-duplicates differ; None where the groups are given.
        mode: "components": all images connected by near-duplicate pairs form one group; "neighbours": only the pairs
            themselves are near-duplicates; "given": images with the same name of a group are near-duplicates.
    """

    hash: str = "phash"
    threshold: int | None = 6
    mode: Literal["components", "neighbours", "given"] = "components"

    @property
    def max_bits(self) -> int:
        """The threshold of groups that are made by a hash.

        Raises:
            ValueError: if the groups are given.
        """
        if self.threshold is None:
            raise ValueError("groups that are given have no threshold")
        return self.threshold


GIVEN = Grouping("given", None, "given")
"""The grouping of groups that another tool or a person made."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Near-duplicate images of a benchmark's query and gallery, as stored in groups.csv or groups.parquet.

    Attributes:
        grouping: the parameters that the groups were made with; GIVEN where they are not known.
        phash: shape (n_images,), uint64; hash of each image, by the method that `grouping` names; 0 where the image has
            none: in train, unreadable, or in given groups.
        group: shape (n_images,); near-duplicates have equal numbers, the row of their group's first image; NO_GROUP for
            an image without near-duplicates. In mode "neighbours" this is still the component, but `pairs` decides.
        pairs: shape (n_pairs, 2); rows of images within the threshold, first < second. None in mode "components".
        parameters: the header of the file: all parameters, versions and counts; of a file without a header, the
            grouping and where it is from.
    """

    grouping: Grouping
    phash: NDArray[np.uint64]
    group: IntArray
    pairs: IntArray | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Rule:
    """Excludes a gallery image from a query's candidates if both agree in some columns and differ in others.

    An empty cell neither agrees with anything nor differs from anything.

    Attributes:
        agree: columns in which both have the same value; at least one. "group" is the near-duplicate group.
        differ: columns in which both have a value, and not the same.

    >>> str(Rule(("identity",), ("clothes",)))
    'identity+~clothes'
    """

    agree: tuple[str, ...]
    differ: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((*self.agree, *(f"~{name}" for name in self.differ)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the rule compares."""
        return self.agree + self.differ


SAME_GROUP = Rule(("group",))
SAME_CAMERA = Rule(("identity", "camera"))
"""The standard rule of re-identification: Market-1501 and most data sets after it."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A checked data set with labels, rows sorted by image id.

    Attributes:
        name, version, licence: as in benchmark.toml.
        tasks: in file order; at most one is of kind "retrieval".
        grouping: how near-duplicates must be grouped for this benchmark.
        images: shape (n_images,), str (object dtype); relative POSIX paths, unique, ascending by code point.
        split: shape (n_images,); index into SPLITS.
        identity: shape (n_images,); index into `identities`, NO_IDENTITY where unlabelled, junk or distractor.
        identities: names of the identities, ascending.
        labels: by name of classification task; shape (n_images,), label index or NOT_ANNOTATED; for a multi-label task
            shape (n_images, n_labels), 0 or 1, with a row of NOT_ANNOTATED where not annotated.
        junk: shape (n_images,); true where the image takes no part in retrieval (Market-1501 identity -1).
        distractor: shape (n_images,); true where the image is marked as a distractor (Market-1501 identity 0000).
        source, sequence, camera: shape (n_images,), str, "" where unknown; None where the data set has no such column.
        groups: the stored near-duplicate groups; None where there are none.
        columns: further columns of the annotations, which rules may name: shape (n_images,), str, "" where unknown.
        exclude: rules by which gallery images are not candidates of a query.
        rules_declared: whether benchmark.toml or the layout states the rules, so that what they leave unused is meant.
        persons: identities declared to be people although their names look like missing values.
        root: the folder that the data set was read from.
        images_folder: where image ids are found, relative to `root`.
        follow_links: whether image files may be links that leave that folder.
        layout: layout of the files: one of OWN_LAYOUTS, or the name of a public data set in `read.layouts`.
    """

    name: str
    version: str
    licence: str
    tasks: tuple[Task, ...]
    grouping: Grouping
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
    groups: Groups | None
    columns: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    exclude: tuple[Rule, ...] = ()
    rules_declared: bool = False
    persons: tuple[str, ...] = ()
    root: Path | None = None
    images_folder: str = "images"
    follow_links: bool = False
    layout: str = "folder"

    @property
    def retrieval_task(self) -> Task | None:
        """The re-identification task, if the benchmark has one."""
        return next((task for task in self.tasks if task.kind == RETRIEVAL), None)

    @property
    def classification_tasks(self) -> tuple[Task, ...]:
        """The classification tasks, in file order."""
        return tuple(task for task in self.tasks if task.kind == CLASSIFICATION)

    @property
    def test_rows(self) -> IntArray:
        """Rows of query and gallery images, ascending: the rows that a submission covers."""
        return np.flatnonzero(self.split != TRAIN)

    @property
    def rule_columns(self) -> tuple[str, ...]:
        """The columns that a rule can name."""
        given = ("source", "sequence", "camera")
        present = tuple(name for name in given if getattr(self, name) is not None)
        return ("identity", *(["group"] if self.groups is not None else []), *present, *self.columns)

    def codes(self, column: str) -> IntArray:
        """Shape (n_images,); equal numbers where images agree in a column, -1 where the cell is empty.

        Sequences are named within a source: shot 3 of one film is not shot 3 of another.

        Raises:
            KeyError: if the data set has no such column.
        """
        if column not in self.rule_columns:
            raise KeyError(column)
        if column == "identity":
            return self.identity
        if column == "group":
            assert self.groups is not None  # noqa: S101  (one of rule_columns)
            return self.groups.group
        if column == "sequence" and self.source is not None:
            return joint_codes([_text_codes(self._texts("sequence")), _text_codes(self.source) + 1])
        return _text_codes(self._texts(column))

    def _texts(self, column: str) -> NDArray[np.object_]:
        texts: NDArray[np.object_] = self.columns[column] if column in self.columns else getattr(self, column)
        return texts


def joint_codes(columns: Sequence[IntArray]) -> IntArray:
    """Shape (n_images,); equal numbers where images agree in every column, -1 where any of them is negative."""
    joint = columns[0]
    for column in columns[1:]:
        known = (joint >= 0) & (column >= 0)
        pairs = joint[known] * (int(column.max(initial=0)) + 1) + column[known]
        joint = np.full(column.size, -1, dtype=np.int64)
        joint[known] = np.unique(pairs, return_inverse=True)[1]
    return joint


def _text_codes(texts: NDArray[np.object_]) -> IntArray:
    values = texts.tolist()
    names = dict.fromkeys(values)  # in the order of first appearance
    names.pop("", None)
    number = {"": -1} | {name: code for code, name in enumerate(names)}
    return np.fromiter(map(number.__getitem__, values), np.int64, count=len(values))


@dataclass(frozen=True, eq=False)
class PairMatrix:
    """A submitted matrix of distances or similarities of query and gallery images. It is the similarity, by definition.

    Attributes:
        values: shape (n_rows, n_columns), finite; float16, float32, or float64, of which each value is rounded to
            float32 when it is read. In the order of the file and possibly memory-mapped.
        is_distance: whether a smaller value means a more similar image; similarity is then minus the value.
        row: shape (n_test,); row of `values` that belongs to each test row, -1 for one that is no query or is junk
            without a row.
        column: shape (n_test,); column that belongs to each test row, -1 for one that is not in the gallery or is junk
            without a column.
    """

    values: NDArray[np.floating]
    is_distance: bool
    row: IntArray
    column: IntArray


@dataclass(frozen=True, eq=False)
class Submission:
    """A checked submission, aligned with a benchmark: row i belongs to the image in row `benchmark.test_rows[i]`.

    Attributes:
        name: as in meta, otherwise the file's name without its suffix.
        distance: distance between embeddings, "cosine" or "euclidean".
        meta: the whole meta object.
        content: SHA-256 (hex) of the arrays with rows sorted by image; independent of row order and compression.
        embedding: shape (n_test, dimension), float16 or float32, in the order of the file and possibly memory-mapped;
            None where not submitted.
        order: shape (n_test,); row of `embedding` for each test row. Only the embedding stays in file order, since it
            may be larger than memory. Junk without a row of its own gets another image's, which nothing uses.
        predictions: by name of each submitted classification task; shape (n_test,), label index; for a multi-label task
            shape (n_test, n_labels), bool.
        file_sha256, file_bytes: SHA-256 (hex) and size of the file as received.
        scores: by name of each task submitted as floats; shape (n_test, n_labels), as submitted. `predictions` has
            the decisions made from them.
        matrix: distances or similarities that were submitted instead of an embedding; None where there are none.
        notes: what a reader of the score should know about how the submission was read.
    """

    name: str
    distance: Literal["cosine", "euclidean"]
    meta: Mapping[str, object]
    content: str
    embedding: EmbeddingArray | None
    order: IntArray
    predictions: Mapping[str, IntArray | BoolArray]
    file_sha256: str
    file_bytes: int
    scores: Mapping[str, EmbeddingArray | FloatArray] = field(default_factory=dict)
    matrix: PairMatrix | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_retrieval(self) -> bool:
        """Whether it ranks images: by an embedding or by a matrix."""
        return self.embedding is not None or self.matrix is not None


Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something remarkable about a data set.

    Attributes:
        code: stable kebab-case name of the kind of finding.
        severity: "error", "warning" or "note".
        text: a sentence with counts and the first examples.
    """

    code: str
    severity: Severity
    text: str

    @property
    def rank(self) -> int:
        """0 for errors, then warnings, then notes."""
        return SEVERITIES.index(self.severity)
