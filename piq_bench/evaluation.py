"""Scores re-identification from features, or from a matrix of distances, as they are in a notebook or training loop.

Arrays or tensors, ids and cameras go in, no files. The numbers are those of a submission, to the last bit.
"""

import json
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.api import DEFAULT_NAME, as_array, refuse_options
from piq_bench.errors import BadUsage, Problem, quoted
from piq_bench.read.container import DISTANCE, GALLERY_IDS, QUERY_IDS, Container
from piq_bench.read.pair_matrix import ROUNDED
from piq_bench.read.rules import ordered, parse_rules, with_rules
from piq_bench.read.submission import check_submission
from piq_bench.records import (
    GALLERY,
    NO_GROUP,
    NO_IDENTITY,
    QUERY,
    SAME_CAMERA,
    SAME_GROUP,
    Benchmark,
    Grouping,
    Groups,
    IntArray,
    Submission,
    Task,
)
from piq_bench.records import GIVEN as GIVEN_GROUPS
from piq_bench.report.result import Result
from piq_bench.retrieve.engines import choose, work_of
from piq_bench.scoring import score as scoring

GIVEN = "given"
DISTANCES = ("cosine", "euclidean", GIVEN)
TASK = Task("reid", "reid", kind="retrieval")

Array = NDArray[Any]
Texts = NDArray[np.object_]


def evaluate(
    query: Any,  # noqa: ANN401  (arrays and tensors of any library)
    gallery: Any,  # noqa: ANN401
    query_ids: Any,  # noqa: ANN401
    gallery_ids: Any,  # noqa: ANN401
    query_cams: Any = None,  # noqa: ANN401
    gallery_cams: Any = None,  # noqa: ANN401
    *,
    distance: str = "cosine",
    exclude: Sequence[str] | None = None,
    groups: tuple[Any, Any] | None = None,
    junk: Sequence[object] = (),
    distractors: Sequence[object] = (),
    ap: str = "non-interpolated",
    n_resamples: int = scoring.RESAMPLES,
    seed: int = 0,
    engine: str = "auto",
    scheduler: str | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Result:
    """Score re-identification from features or distances in memory.

    It takes the arguments of the evaluators in use, here those of torchreid and of layumi's Person_reID_baseline:

        evaluate(distmat, None, q_pids, g_pids, q_camids, g_camids, distance="given")
        evaluate(query_f, gallery_f, query_label, gallery_label, query_cam, gallery_cam, junk=[-1], distractors=[0])

    Args:
        query: shape (n_query, dimension), features; or (n_query, n_gallery), distances, with `gallery` None and
            `distance` "given": the smaller, the more similar. Similarities are passed as `-similarity`.
        gallery: shape (n_gallery, dimension); None if `query` is a matrix of distances.
        query_ids: the person in each query image, as numbers or texts; None, NaN and "" mean not known.
        gallery_ids: the person in each gallery image, likewise.
        query_cams: the camera of each query image, likewise; None if cameras do not matter.
        gallery_cams: the camera of each gallery image, likewise; None if cameras do not matter.
        distance: between features, "cosine" or "euclidean"; or "given".
        exclude: rules by which a gallery image is no candidate of a query, such as "identity+camera", "camera" or
            "group"; an image is excluded if both agree in every column of a rule. By default "identity+camera" if
            there are cameras, and "group" if there are groups.
        groups: the near-duplicate group of each query and of each gallery image, likewise.
        junk: ids whose images take no part at all, such as -1 in Market-1501.
        distractors: ids that are nobody's, such as 0 in Market-1501: candidates, never positives, never queries.
        ap: convention of average precision: "non-interpolated" or "market1501".
        n_resamples: number of bootstrap resamples; 0 for no intervals.
        seed: seed of the bootstrap resampling.
        engine: retrieval engine: "auto", "cpu", "gpu" or "dask"; all engines give the same score.
        scheduler: with "dask", address of the scheduler, which you trust; None starts workers on this machine.
        advance: called with the number of queries finished since the last call.

    Raises:
        BadUsage: if shapes or options do not fit each other.
        BadSubmission: if a feature or distance is NaN or infinite, or a feature vector is 0 under cosine.
        BadDataset: if no query has a positive.

    >>> import piq_bench
    >>> distances = [[0.1, 0.9, 0.4], [0.8, 0.3, 0.2]]  # 2 queries, 3 gallery images
    >>> result = piq_bench.evaluate(distances, None, ["ann", "bob"], ["ann", "bob", "cy"], distance="given")
    >>> result.score.reid.values["map"]  # the mean of 1/1 and 1/2
    0.75
    """
    refuse_options(ap, n_resamples, seed, engine)
    given = _Given.of(query, gallery, distance)
    columns = _columns(
        given,
        ids=(query_ids, gallery_ids),
        cams=None if query_cams is None and gallery_cams is None else (query_cams, gallery_cams),
        groups=groups,
    )
    benchmark = _benchmark(given, columns, _names(junk), _names(distractors))
    if exclude is not None:
        benchmark = with_rules(replace(benchmark, exclude=(), rules_declared=True), parse_rules(exclude))
    submission = _submission(given, benchmark)
    count, engine_name = choose(engine, work_of(benchmark, submission), scheduler=scheduler)
    found = scoring.score(
        benchmark,
        submission,
        ap=ap,
        n_resamples=n_resamples,
        seed=seed,
        engine=count,
        engine_name=engine_name,
        advance=advance,
    )
    scoring.require_numbers(found)
    return Result(found, benchmark)


class _Given:
    """The features or distances.

    Attributes:
        query: shape (n_query, dimension), or (n_query, n_gallery) if they are distances.
        gallery: shape (n_gallery, dimension); None if they are distances.
        distance: one of DISTANCES.
        is_rounded: whether values had to be rounded to float32.
    """

    def __init__(self, query: Array, gallery: Array | None, distance: str) -> None:
        self.query, self.gallery, self.distance = query, gallery, distance
        self.is_rounded = any(values.dtype.itemsize == 8 for values in (query, gallery) if values is not None)

    @property
    def n_query(self) -> int:
        """Number of query images."""
        return int(self.query.shape[0])

    @property
    def n_gallery(self) -> int:
        """Number of gallery images."""
        return int(self.query.shape[1] if self.gallery is None else self.gallery.shape[0])

    @classmethod
    def of(cls, query: Any, gallery: Any, distance: str) -> "_Given":  # noqa: ANN401
        """The values as arrays of floats, checked for their shapes.

        Raises:
            BadUsage: if they do not fit each other or the distance.
        """
        problems = []
        if distance not in DISTANCES:
            problems.append(Problem("option", "distance", f"is {quoted(distance)}", f"one of {', '.join(DISTANCES)}"))
        elif gallery is None and distance != GIVEN:
            remedy = "pass distance='given' if query is a matrix of distances, or the features of the gallery"
            problems.append(Problem("option", "gallery", f"is None, but distance is {quoted(distance)}", remedy))
        elif gallery is not None and distance == GIVEN:
            remedy = "pass None as gallery: query is the matrix of distances, shape (n_query, n_gallery)"
            problems.append(Problem("option", "gallery", "is an array, but distance is 'given'", remedy))
        arrays: dict[str, Array] = {"query": as_array(query)}
        if gallery is not None:
            arrays["gallery"] = as_array(gallery)
        for name, values in arrays.items():
            if values.ndim != 2 or values.dtype.kind not in "fiub":
                found = f"has shape {values.shape} and dtype {values.dtype.str}"
                problems.append(Problem("bad-shape", name, found, "numbers of shape (n_images, dimension)"))
        if not problems and gallery is not None and arrays["query"].shape[1] != arrays["gallery"].shape[1]:
            found = f"has {arrays['gallery'].shape[1]} values per image, but query has {arrays['query'].shape[1]}"
            problems.append(Problem("bad-shape", "gallery", found, "features of one model"))
        if problems:
            raise BadUsage("evaluate", problems)
        floats = {name: _as_floats(values) for name, values in arrays.items()}
        return cls(floats["query"], floats.get("gallery"), distance)


def _as_floats(values: Array) -> Array:
    """Floats of native bytes: float16, float32 or float64; whole numbers that float32 holds exactly become float32."""
    if values.dtype.kind != "f":
        small = values.astype(np.float32)
        return small if np.array_equal(small, values) else values.astype(np.float64)
    if values.dtype.itemsize > 8:
        return values.astype(np.float64)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _columns(
    given: _Given, *, ids: tuple[Any, Any], cams: tuple[Any, Any] | None, groups: tuple[Any, Any] | None
) -> dict[str, Texts]:
    """Texts of each column by name, for gallery images and then for query images; "" where a value is missing.

    Raises:
        BadUsage: if a column has not one value per image.
    """
    problems: list[Problem] = []
    columns = {}
    for column, pair in (("ids", ids), ("cams", cams), ("groups", groups)):
        if pair is None:
            continue
        parts = []
        for split, values, n_images in (("gallery", pair[1], given.n_gallery), ("query", pair[0], given.n_query)):
            texts = _texts(values)
            if texts.size != n_images:
                found = f"has {texts.size} values, but there are {n_images} {split} images"
                problems.append(Problem("bad-shape", f"{split}_{column}", found, "one value per image"))
            parts.append(texts)
        columns[column] = np.concatenate(parts)
    if problems:
        raise BadUsage("evaluate", problems)
    return columns


def _texts(values: Any) -> Texts:  # noqa: ANN401
    """One text per image from numbers or texts of any shape; 7 and 7.0 are one name, and "" is a missing value."""
    if values is None:
        return np.zeros(0, dtype=object)
    array = as_array(values, keep_objects=True).ravel()
    if array.dtype.kind in "US" and isinstance(values, list | tuple):  # numpy makes the text "nan" of a NaN among texts
        array = np.array(values, dtype=object).ravel()
    if array.dtype.kind == "O":
        return np.array([_text(value) for value in array] or [], dtype=object)
    distinct, place = np.unique(array, return_inverse=True)
    return np.array([_text(value) for value in distinct.tolist()], dtype=object)[place]


def _names(values: Any) -> set[str]:  # noqa: ANN401
    """Identities that are declared to be junk or distractors, named as `_texts` names them."""
    return set(_texts([*values] if isinstance(values, Set) else values).tolist()) - {""}


def _text(value: object) -> str:
    if value is None or type(value).__name__ == "NAType" or value != value:
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _benchmark(given: _Given, columns: dict[str, Texts], junk: set[str], distractors: set[str]) -> Benchmark:
    """The labels as a benchmark; its gallery images come first, since their ids do."""
    names = columns["ids"]
    people = sorted(set(names.tolist()) - {""} - junk - distractors)
    index = {name: number for number, name in enumerate(people)}
    images = [f"gallery/{i:09}" for i in range(given.n_gallery)] + [f"query/{i:09}" for i in range(given.n_query)]
    groups = None if "groups" not in columns else _groups(columns["groups"])
    cameras = columns.get("cams")
    rules = [rule for rule, used in ((SAME_CAMERA, cameras is not None), (SAME_GROUP, groups is not None)) if used]
    return Benchmark(
        name=DEFAULT_NAME,
        version="1",
        licence="",
        tasks=(TASK,),
        grouping=Grouping() if groups is None else groups.grouping,
        images=np.array(images, dtype=object),
        split=np.repeat([GALLERY, QUERY], [given.n_gallery, given.n_query]),
        identity=np.array([index.get(name, NO_IDENTITY) for name in names], dtype=np.int64),
        identities=tuple(people),
        labels={},
        junk=np.array([name in junk for name in names], dtype=bool),
        distractor=np.array([name in distractors for name in names], dtype=bool),
        source=None,
        sequence=None,
        camera=cameras,
        groups=groups,
        exclude=ordered(rules),
    )


def _groups(names: Texts) -> Groups:
    """Groups from their names; each is numbered by the row of its first image, and an image alone is in none."""
    _, first, place, size = np.unique(names.astype(str), return_index=True, return_inverse=True, return_counts=True)
    number: IntArray = np.where((size[place] > 1) & (names != ""), first[place], NO_GROUP)
    grouping = GIVEN_GROUPS
    return Groups(grouping, np.zeros(names.size, dtype=np.uint64), number)


def _submission(given: _Given, benchmark: Benchmark) -> Submission:
    """The features or distances as a submission, checked as those of a file are.

    Raises:
        BadSubmission: with every problem found.
    """
    distance = "cosine" if given.distance == GIVEN else given.distance
    images = benchmark.images.astype(np.str_)
    if given.gallery is None:
        arrays = {
            DISTANCE: given.query, QUERY_IDS: images[given.n_gallery :], GALLERY_IDS: images[: given.n_gallery],
        }  # fmt: skip
    else:
        arrays = {"image": images, "embedding": _joined(given.gallery, given.query)}
    container = Container(arrays, json.dumps({"distance": distance}), names={*arrays, "meta"})
    found = check_submission(container, benchmark, source="evaluate", name=DEFAULT_NAME)
    found = replace(found, file_sha256=found.content, file_bytes=sum(values.nbytes for values in arrays.values()))
    return replace(found, notes=(ROUNDED,)) if given.is_rounded else found


def _joined(gallery: Array, query: Array) -> Array:
    """All features, those of the gallery first; float16 if all are, otherwise float32."""
    dtype = np.float16 if gallery.dtype.itemsize == query.dtype.itemsize == 2 else np.float32
    joined = np.empty((gallery.shape[0] + query.shape[0], query.shape[1]), dtype=dtype)
    with np.errstate(over="ignore"):  # a value that overflows is reported as infinite
        joined[: gallery.shape[0]] = gallery
        joined[gallery.shape[0] :] = query
    return joined
