"""The frozen dataclasses that pass between stages. Rows of a benchmark are sorted by image id, always.

Sorting once, at the door, is what makes every later number independent of the order of rows in any file.
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
"""Shape (height, width), or (height, width, 3) in colour."""

SPLITS = ("train", "query", "gallery")
TRAIN, QUERY, GALLERY = range(3)
NOT_ANNOTATED = -1
NO_IDENTITY = -1
NO_GROUP = -1

RETRIEVAL = "retrieval"
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Task:
    """One task of a benchmark's vocabulary.

    Attributes:
        name: the column in annotations and the array in submissions ("embedding" for retrieval).
        aspect: the part of PIQ that the task counts for.
        kind: "retrieval" or "classification".
        labels: label names in the order of a submission's columns; empty for retrieval.
        multi_label: whether an image may carry any number of labels.
    """

    name: str
    aspect: str
    kind: Literal["retrieval", "classification"] = "classification"
    labels: tuple[str, ...] = ()
    multi_label: bool = False


@dataclass(frozen=True)
class Grouping:
    """How near-duplicate images are found: the parameters that a score was computed with."""

    hash: str = "phash"
    threshold: int = 6
    mode: Literal["components", "neighbours"] = "components"


@dataclass(frozen=True, eq=False)
class Groups:
    """Near-duplicate images of a benchmark's query and gallery, as stored in groups.csv or groups.parquet.

    Attributes:
        grouping: the parameters.
        phash: shape (n_images,), uint64; 0 where the image has none (train, or unreadable).
        group: shape (n_images,); equal numbers are near-duplicates, NO_GROUP is alone. The number is the row of the
            group's first image. Under mode "neighbours" it is still the component, and `pairs` decides.
        pairs: shape (n_pairs, 2); rows of images within the threshold, first < second. None under "components".
        parameters: everything else that the file's header says (versions, pass order, EXIF rule, counts).
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
    """A data set with labels, checked, its rows sorted by image id.

    Attributes:
        name, version, licence: from benchmark.toml.
        tasks: the vocabulary, in file order; at most one is of kind "retrieval".
        grouping: how the benchmark wants its near-duplicates grouped.
        images: shape (n_images,), str (object dtype); relative POSIX paths, unique, ascending by code point.
        split: shape (n_images,); index into SPLITS.
        identity: shape (n_images,); index into `identities`, NO_IDENTITY where unlabelled, junk or distractor.
        identities: names, ascending.
        labels: by classification task; (n_images,) label index or NOT_ANNOTATED, or, for a multi-label task,
            (n_images, n_labels) of 0/1, a row of NOT_ANNOTATED where not annotated.
        junk: shape (n_images,); true where the image takes no part in retrieval (Market-1501 identity -1).
        distractor: shape (n_images,); true where the image shows none of the identities (Market-1501 identity 0000):
            a candidate, never a positive, never a query.
        source, sequence, camera: shape (n_images,), str, "" where unknown; None where the data set has no such column.
        columns: further columns of the annotations, which rules may name: shape (n_images,), str, "" where unknown.
        groups: the stored near-duplicate groups, None where there are none.
        exclude: the rules by which gallery images are no candidates of a query.
        rules_declared: whether benchmark.toml names the rules, so that what they leave unused is meant.
        persons: identities declared to be people, however their names look.
        root: the folder the data set was read from.
        images_folder: where image ids are found, relative to `root`.
        layout: "folder", "market1501" or "table".
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
    layout: Literal["folder", "market1501", "table"] = "folder"

    @property
    def retrieval_task(self) -> Task | None:
        """The re-identification task, if the benchmark has one."""
        return next((task for task in self.tasks if task.kind == RETRIEVAL), None)

    @property
    def classification_tasks(self) -> tuple[Task, ...]:
        """All other tasks, in file order."""
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
    number = {"": -1}
    return np.fromiter((number.setdefault(text, len(number) - 1) for text in texts), np.int64, count=texts.size)


@dataclass(frozen=True, eq=False)
class Submission:
    """A stranger's predictions, checked, aligned with a benchmark: row i belongs to image `benchmark.test_rows[i]`.

    Attributes:
        name: from meta, else the file's stem.
        distance: "cosine" or "euclidean".
        meta: the whole meta object.
        content: SHA-256 (hex) of the arrays with rows sorted by image; independent of row order and compression.
        embedding: shape (n_test, dimension), float16 or float32, as stored; may be a memory map read through
            `order`; None where not submitted.
        order: shape (n_test,); row of `embedding` that belongs to test row i. The embedding alone is not copied into
            benchmark order, since it may be larger than memory.
        predictions: by classification task submitted: (n_test,) label index, or (n_test, n_labels) bool.
        file_sha256, file_bytes: of the file as received.
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


Interval = tuple[float, float] | None
"""Lower and upper end; None where the value is undefined in every resample."""


@dataclass(frozen=True)
class LabelScore:
    """One label of a task; precision and recall are None where their denominator is 0."""

    precision: float | None
    recall: float | None
    f1: float
    support: int
    predicted: int
    hits: int


@dataclass(frozen=True, eq=False)
class QueryScores:
    """What each re-id query reached, its near-duplicates left out. Arrays of shape (n_queries,).

    Attributes:
        row: of the benchmark, ascending; query images with an identity.
        identity: index into benchmark.identities.
        average_precision: NaN where no positive is left.
        with_duplicates: the same with near-duplicates left in; None where there are no groups.
        first_run: shape (n_queries, 3); positives, candidates and candidates before them in the run of equal similarity
            that holds the first positive: all that CMC depends on. 0 where no positive is left.
        first_run_with_duplicates: the same with near-duplicates left in; None where there are no groups.
    """

    row: IntArray
    identity: IntArray
    average_precision: FloatArray
    with_duplicates: FloatArray | None
    first_run: IntArray
    first_run_with_duplicates: IntArray | None


@dataclass(frozen=True)
class ReidScore:
    """Retrieval, with near-duplicates excluded and not.

    Attributes:
        values: macro_map, macro_rank1, ..., map, rank1, ...; None where no query could be scored.
        without_exclusion: the same with the query's near-duplicates left in; None where there are no groups.
        chance: macro_map and macro_rank1 of a constant embedding.
        queries: query images scored.
        queries_skipped: query images with an identity but no positive left.
        identities: identities in the macro mean.
        identities_skipped: names of those whose queries all dropped out.
        queries_unlabelled: query images without an identity, which are no re-id queries.
        by_identity: mean average precision of each identity in the macro mean.
        by_query: for reports that look closer; no part of the score file.
    """

    values: Mapping[str, float | None]
    without_exclusion: Mapping[str, float | None] | None
    chance: Mapping[str, float | None]
    queries: int
    queries_skipped: int
    identities: int
    identities_skipped: tuple[str, ...]
    queries_unlabelled: int
    by_query: QueryScores | None = field(default=None, compare=False, repr=False)
    by_identity: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Intervals:
    """Percentile bootstrap intervals over identities and, for unlabelled images, near-duplicate groups."""

    level: float
    resamples: int
    seed: int
    piq: Interval
    aspects: Mapping[str, Interval]
    reid: Mapping[str, Interval]
    f1: Mapping[str, Interval]


@dataclass(frozen=True)
class Protocol:
    """Every choice that can move a score, besides the data."""

    version: int
    ap: str
    grouping: Grouping | None
    exclude: tuple[str, ...]
    unlabelled: str = "distractor"


@dataclass(frozen=True)
class Score:
    """A submission's result.

    Attributes:
        piq: None for a partial submission.
        aspects: by aspect; None where a task of it was not submitted.
        reid: None where the benchmark or the submission has no re-id.
        f1: macro F1 by submitted task; None where no label occurs.
        labels: by task, by label.
        confusion: by single-label task: counts, true label by predicted label.
        chance_f1, majority_f1: what guessing and the most frequent answer would reach, by task.
        intervals: None where no resamples were asked for.
        notes: what a reader of the numbers must know.
        submission, benchmark: what was scored, against what: plain values, as in the score file.
        protocol: the choices.
        engine: what counted.
        file: SHA-256 and size of the file as received.
    """

    piq: float | None
    aspects: Mapping[str, float | None]
    reid: ReidScore | None
    f1: Mapping[str, float | None]
    labels: Mapping[str, Mapping[str, LabelScore]]
    confusion: Mapping[str, tuple[tuple[int, ...], ...]]
    chance_f1: Mapping[str, float | None]
    majority_f1: Mapping[str, float | None]
    intervals: Intervals | None
    notes: tuple[str, ...]
    submission: Mapping[str, str | int | None]
    benchmark: Mapping[str, str]
    protocol: Protocol
    engine: str
    file: Mapping[str, str | int]


Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One remarkable thing: a stable kebab-case code, how bad it is, and a sentence with counts and first examples."""

    code: str
    severity: Severity
    text: str

    @property
    def rank(self) -> int:
        """0 for errors, then warnings, then notes."""
        return SEVERITIES.index(self.severity)
