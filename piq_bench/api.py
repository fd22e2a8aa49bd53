"""Scores predictions in memory, for notebooks and training loops; checks and scores are exactly those of files.

Arrays and tables are written to a temporary folder and read by the readers of files: one set of rules for both, and the
same error messages, with row, value and remedy. The folder needs as much space as the arrays.
"""

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from piq_bench.errors import BadDataset, BadInput, BadSubmission, BadUsage, Problem, printable, quoted
from piq_bench.metrics.retrieval import AVERAGE_PRECISIONS
from piq_bench.read.container import MATRICES, OF_MATRIX
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.rules import parse_rules, with_rules
from piq_bench.read.submission import read_submission, takes_matrix, without_other_columns
from piq_bench.read.unpacking import own_files
from piq_bench.read.vocabulary import DEFAULT_TASKS, SCHEMA, TASK_NAME
from piq_bench.records import RETRIEVAL, Benchmark, Submission, Task
from piq_bench.report.result import Result
from piq_bench.retrieve.engines import ENGINES, choose, work_of
from piq_bench.scoring import score as scoring
from piq_bench.write.submission import write_submission

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_NAME = "in memory"
LONGEST = 400  # most characters of a message

ObjectArray = NDArray[np.object_]


def score(
    submission: "str | PathLike[str] | Mapping[str, Any] | pd.DataFrame",
    benchmark: "str | PathLike[str] | Benchmark | None" = None,
    *,
    embedding: Any = None,  # noqa: ANN401
    meta: Mapping[str, object] | None = None,
    partial: bool = False,
    ap: str = "non-interpolated",
    exclude: Sequence[str] = (),
    n_resamples: int = scoring.RESAMPLES,
    seed: int = 0,
    engine: str = "auto",
    scheduler: str | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Result:
    """Score predictions given in memory or as a file.

    Args:
        submission: a path; or columns by name, as arrays or as a pandas table: `image`, the ids of every query and
            gallery image, in any order; a column per task with label names, label indices or scores of shape
            (n, n_labels); and optionally `embedding`, of shape (n, dimension). In place of an embedding: `distance` or
            `similarity`, of shape (n_query, n_gallery), with `query` and `gallery`, the ids of its rows and columns;
            without other tasks, `image` is then not needed. In a table each row of a column may hold a vector; columns
            that are not of the benchmark are ignored with a warning.
        benchmark: a path, the result of `read_benchmark` or `make_benchmark`, or None for the bundled one.
        embedding: shape (n, dimension), float16 or float32; an alternative to the column of that name.
        meta: name of the submission, distance of its embedding ("cosine" or "euclidean"), and further entries.
        partial: accept a submission that lacks tasks; PIQ is then None.
        ap: convention of average precision: "non-interpolated" or "market1501".
        exclude: further exclusion rules, such as "identity+camera" or "sequence"; see `piq-score --help`.
        n_resamples: number of bootstrap resamples; 0 for no intervals.
        seed: seed of the bootstrap resampling.
        engine: retrieval engine: "auto", "cpu", "gpu" or "dask"; all engines give the same score.
        scheduler: with "dask", address of the scheduler, which you trust; None starts workers on this machine.
        advance: called with the number of queries finished since the last call.

    Raises:
        BadUsage: if options do not fit the benchmark or each other.
        BadSubmission: if the submission has problems; the error lists all of them.
        BadDataset: if the benchmark cannot be read, or has no answer to a submitted task.
        LimitExceeded: if the submission needs more memory than is allowed.

    >>> import numpy as np
    >>> import piq_bench
    >>> people = np.repeat(["ann", "bob", "cy"], 3)
    >>> images = [f"{i}.jpg" for i in range(9)]
    >>> labels = {"image": images, "split": ["query", "gallery", "gallery"] * 3, "identity": people}
    >>> benchmark = piq_bench.make_benchmark(labels, [piq_bench.Task("who", "reid", kind="retrieval")])
    >>> features = (people[:, None] == np.unique(people)).astype(np.float32)
    >>> piq_bench.score({"image": images}, benchmark, embedding=features).piq
    1.0
    """
    target = benchmark if isinstance(benchmark, Benchmark) else read_benchmark(_path(benchmark))
    refuse_options(ap, n_resamples, seed, engine)
    target = with_rules(target, parse_rules(exclude))
    entry = _submission(submission, target, embedding, meta, partial=partial)
    count, engine_name = choose(engine, work_of(target, entry), scheduler=scheduler)
    found = scoring.score(
        target,
        entry,
        ap=ap,
        n_resamples=n_resamples,
        seed=seed,
        engine=count,
        engine_name=engine_name,
        advance=advance,
    )
    scoring.require_numbers(found)
    return Result(found, target)


def make_benchmark(
    annotations: "Mapping[str, Any] | pd.DataFrame",
    tasks: Sequence[Task] = DEFAULT_TASKS,
    *,
    name: str = DEFAULT_NAME,
    version: str = "1",
) -> Benchmark:
    """Make a benchmark from labels in memory, with near-duplicate groups if they are given.

    Args:
        annotations: columns by name, as sequences or as a pandas table: `image`; `split`, one of "train", "query" and
            "gallery"; `identity`, if a task is retrieval; for every other task a column of label names, in a
            multi-label task "a|b", or "-" for no label. None, NaN and "" mean not labelled. Optionally `source`,
            `sequence`, `camera`; and `group`: query and gallery images with the same value are near-duplicates.
        tasks: the tasks and their labels.
        name: name of the benchmark in results.
        version: version of the benchmark in results.

    Raises:
        BadDataset: if the annotations have problems; the error lists all of them.
    """
    columns = {str(column): np.asarray(values, dtype=object) for column, values in annotations.items()}
    n_rows = len(columns.get("image", ()))
    problems = [
        Problem("bad-shape", printable(column), f"has shape {values.shape}", f"({n_rows},), as 'image' has")
        for column, values in columns.items()
        if values.shape != (n_rows,)
    ]
    if problems:
        raise BadDataset(name, problems)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            (folder / "benchmark.toml").write_text(_toml(name, version, tasks), encoding="utf-8")
            texts = {column: pa.array(_texts(values), pa.string()) for column, values in columns.items()}
            if "group" in texts and "image" in texts:
                groups = pa.table({"image": texts["image"], "group": texts.pop("group")})
                parquet.write_table(groups, folder / "groups.parquet")
            parquet.write_table(pa.table(texts), folder / "annotations.parquet")
        except UnicodeEncodeError as error:
            problem = Problem("encoding", "annotations", printable(error, LONGEST), "text that can be written as UTF-8")
            raise BadDataset(name, [problem]) from None
        try:
            with own_files():
                return replace(read_benchmark(folder), root=None)
        except BadInput as refusal:
            raise type(refusal)(name, refusal.problems) from None


def refuse_options(ap: str, n_resamples: int, seed: int, engine: str) -> None:
    """Refuse options that have no such value.

    Raises:
        BadUsage: naming each of them.
    """
    problems = [
        Problem("option", option, f"is {quoted(value)}", f"one of {', '.join(known)}")
        for option, value, known in (("ap", ap, tuple(AVERAGE_PRECISIONS)), ("engine", engine, ENGINES))
        if value not in known
    ]
    problems += [
        Problem("option", option, f"is {value}", "0 or more")
        for option, value in (("n_resamples", n_resamples), ("seed", seed))
        if value < 0
    ]
    if problems:
        raise BadUsage("score", problems)


def _submission(
    given: "str | PathLike[str] | Mapping[str, Any] | pd.DataFrame",
    benchmark: Benchmark,
    embedding: Any,  # noqa: ANN401
    meta: Mapping[str, object] | None,
    *,
    partial: bool,
) -> Submission:
    """Read a submission and warn of what was ignored; arrays are written to a temporary folder first."""
    notes: list[str] = []
    found = _read(given, benchmark, embedding, meta, partial=partial, tell=notes.append)
    for note in notes:
        warnings.warn(note, stacklevel=3)  # at the line that calls `score`
    return found


def _read(
    given: "str | PathLike[str] | Mapping[str, Any] | pd.DataFrame",
    benchmark: Benchmark,
    embedding: Any,  # noqa: ANN401
    meta: Mapping[str, object] | None,
    *,
    partial: bool,
    tell: Callable[[str], None],
) -> Submission:
    if isinstance(given, str | PathLike):
        return read_submission(Path(given), benchmark, partial=partial, tell=tell)
    columns: dict[str, Any] = {str(column): values for column, values in given.items()}
    if not isinstance(given, Mapping):  # a table of pandas, whose further columns are ignored as in a Parquet file
        columns = without_other_columns(columns, benchmark, tell)
    found = columns.pop("embedding", None) if embedding is None else embedding
    matrix = {each: columns.pop(each) for each in OF_MATRIX if each in columns} if takes_matrix(benchmark) else {}
    images = columns.pop("image", None)
    if images is None and (columns or found is not None or not matrix):
        problem = Problem("missing-array", "image", "is missing", "the id of each row's image")
        raise BadSubmission(DEFAULT_NAME, [problem])
    about = {"name": DEFAULT_NAME, "benchmark": benchmark.name, **(meta or {})}
    name = str(about["name"])
    # A column becomes a file, so no name may point outside the folder.
    problems = [
        Problem("unknown-array", printable(column), "is no array of this benchmark", "the name of a task")
        for column in columns
        if not TASK_NAME.fullmatch(column)
    ]
    if problems:
        raise BadSubmission(name, problems)
    # What was read stays mapped into memory, so some systems cannot delete the files yet.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        path = Path(place, "submission")  # a folder, since compressing takes ten times as long
        try:
            write_submission(
                path,
                images=None if images is None else [str(image) for image in images],
                embedding=None if found is None else as_array(found),
                predictions={task: as_array(values) for task, values in columns.items()},
                matrix={each: _of_matrix(each, values) for each, values in matrix.items()},
                meta=about,
            )
        except (TypeError, ValueError) as error:
            problem = Problem("bad-arrays", "arrays", printable(error, LONGEST), "a row per image, of numbers or texts")
            raise BadSubmission(name, [problem]) from None
        try:
            return read_submission(path, benchmark, partial=partial, tell=tell)
        except BadInput as refusal:
            raise type(refusal)(name, refusal.problems) from None


def _of_matrix(name: str, values: Any) -> Any:  # noqa: ANN401
    """A matrix as an array, or the ids of its rows or columns as texts."""
    return as_array(values) if name in MATRICES else np.array([str(image) for image in values], dtype=np.str_)


def as_array(values: Any, *, keep_objects: bool = False) -> Any:  # noqa: ANN401
    """An array of numbers or texts, of objects only if they are kept; a tensor is copied from its device.

    Rows that are vectors, as in a column of a data frame, are stacked. bfloat16, which files lack, becomes float32.

    Raises:
        ValueError: if the vectors differ in length, or not all rows are vectors.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()
    array = np.asarray(values)
    if array.dtype.name == "bfloat16":  # of ml_dtypes, as in JAX
        return array.astype(np.float32)
    if array.dtype != object or keep_objects:
        return array
    if not any(np.ndim(value) for value in array.ravel()):
        return array.astype(np.str_)
    try:
        return np.stack([as_array(value) for value in array])
    except ValueError as error:
        raise ValueError(f"rows are no vectors of one length, so numpy.stack(list(rows)) fails: {error}") from None


def _texts(values: ObjectArray) -> list[str]:
    """Values as texts; empty where a value is missing, in any form that tables use."""
    return ["" if _is_missing(value) else str(value) for value in values]


def _is_missing(value: object) -> bool:
    """Whether a value is None, NaN, or the NA of pandas, which cannot be compared and need not be imported."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _toml(name: str, version: str, tasks: Sequence[Task]) -> str:
    """Content of benchmark.toml; its reader reports names that are not allowed."""
    lines = [f"schema = {_quoted(SCHEMA)}", f"name = {_quoted(name)}", f"version = {_quoted(version)}"]
    lines.append('licence = ""')
    for task in tasks:
        lines += [f"[tasks.{_quoted(task.name)}]", f"aspect = {_quoted(task.aspect)}"]
        if task.kind == RETRIEVAL:
            lines.append('kind = "retrieval"')
        else:
            labels = ", ".join(map(_quoted, task.labels))
            lines += [f"labels = [{labels}]", f"multi_label = {json.dumps(task.multi_label)}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML string: as in JSON, except that it has no escaped surrogate pairs and must escape DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _path(given: "str | PathLike[str] | None") -> Path | None:
    return None if given is None else Path(given)
