"""For notebooks and training loops: predictions in memory to a score, by the same checks and to the same bits.

Arrays and tables go through the readers of files, in a temporary folder: one set of rules for both, and the same
refusals, with row, value and remedy. The folder needs as much room as the arrays.
"""

import json
import tempfile
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
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.rules import parse_rules, with_rules
from piq_bench.read.submission import read_submission
from piq_bench.read.vocabulary import DEFAULT_TASKS, SCHEMA, TASK_NAME
from piq_bench.records import GALLERY, QUERY, RETRIEVAL, Benchmark, Submission, Task
from piq_bench.report.result import Result
from piq_bench.retrieve.engines import ENGINES, choose
from piq_bench.scoring import score as scoring
from piq_bench.write.submission import write_submission

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_NAME = "in memory"
LONGEST = 400  # characters of a message

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
    advance: Callable[[int], None] = lambda steps: None,
) -> Result:
    """Score predictions that lie in memory, or in a file.

    Args:
        submission: a path; or columns by name, as arrays or as a table of pandas: `image`, ids of every query and
            gallery image, in any order; a column per task, label names or indices, or (n, n_labels) scores; and
            perhaps `embedding`, (n, dimension).
        benchmark: a path, what `read_benchmark` or `make_benchmark` gave, or None for the bundled one.
        embedding: shape (n, dimension), float16 or float32; where it is no column.
        meta: name, distance ("cosine" or "euclidean"), ...
        partial: score what is there; PIQ is then None.
        ap: convention of average precision: "non-interpolated" or "market1501".
        exclude: more exclusion rules, such as "identity+camera" or "sequence"; see `piq-score --help`.
        n_resamples: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.
        engine: "auto", "cpu" or "gpu".
        advance: told the number of queries done.

    Raises:
        BadUsage: if options do not fit together, or the benchmark.
        BadSubmission: with every problem found.
        BadDataset: if the benchmark cannot be read, or has no answer to a submitted task.
        LimitExceeded: if the submission asks for more memory than is allowed.

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
    _refuse_options(ap, n_resamples, seed, engine)
    target = with_rules(target, parse_rules(exclude))
    n_queries, n_gallery = (int((target.split == split).sum()) for split in (QUERY, GALLERY))
    count, engine_name = choose(engine, n_queries * n_gallery)
    found = scoring.score(
        target,
        _submission(submission, target, embedding, meta, partial=partial),
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
    """A benchmark from labels in memory, without near-duplicate groups; a folder may have them as well.

    Args:
        annotations: columns by name, as sequences or as a table of pandas: `image`; `split`, of "train", "query" and
            "gallery"; `identity`, if a task is retrieval; a column per other task, of label names, and for a
            multi-label task "a|b", or "-" for none. None, NaN and "" mean not labelled. Optionally `source`,
            `sequence`, `camera`.
        tasks: the vocabulary.
        name: what results call it.
        version: likewise.

    Raises:
        BadDataset: with every problem found.
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
            parquet.write_table(pa.table(texts), folder / "annotations.parquet")
        except UnicodeEncodeError as error:
            problem = Problem("encoding", "annotations", printable(error, LONGEST), "text that can be written as UTF-8")
            raise BadDataset(name, [problem]) from None
        try:
            return replace(read_benchmark(folder), root=None)
        except BadInput as refusal:
            raise type(refusal)(name, refusal.problems) from None


def _refuse_options(ap: str, n_resamples: int, seed: int, engine: str) -> None:
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
    """Read by the reader of files, whatever it is."""
    if isinstance(given, str | PathLike):
        return read_submission(Path(given), benchmark, partial=partial)
    columns: dict[str, Any] = {str(column): values for column, values in given.items()}
    found = columns.pop("embedding", None) if embedding is None else embedding
    if "image" not in columns:
        problem = Problem("missing-array", "image", "is missing", "the id of each row's image")
        raise BadSubmission(DEFAULT_NAME, [problem])
    about = {"name": DEFAULT_NAME, "benchmark": benchmark.name, **(meta or {})}
    name = str(about["name"])
    # A column becomes a file: no name may leave the folder.
    problems = [
        Problem("unknown-array", printable(column), "is no array of this benchmark", "the name of a task")
        for column in columns
        if not TASK_NAME.fullmatch(column)
    ]
    if problems:
        raise BadSubmission(name, problems)
    # What was read stays mapped into memory, so that a system may not let go of the files.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        path = Path(place, "submission")  # a folder, since compressing takes ten times as long
        try:
            write_submission(
                path,
                images=[str(image) for image in columns.pop("image")],
                embedding=None if found is None else _array(found),
                predictions={task: _array(values) for task, values in columns.items()},
                meta=about,
            )
        except (TypeError, ValueError) as error:
            problem = Problem("bad-arrays", "arrays", printable(error, LONGEST), "a row per image, of numbers or texts")
            raise BadSubmission(name, [problem]) from None
        try:
            return read_submission(path, benchmark, partial=partial)
        except BadInput as refusal:
            raise type(refusal)(name, refusal.problems) from None


def _array(values: Any) -> Any:  # noqa: ANN401
    """Numbers or texts, never objects; a tensor comes from wherever it lies."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    return array.astype(np.str_) if array.dtype == object else array


def _texts(values: ObjectArray) -> list[str]:
    """Empty where a value is missing, in any of the ways that tables say so."""
    return ["" if _is_missing(value) else str(value) for value in values]


def _is_missing(value: object) -> bool:
    """None, NaN, or the NA of pandas, which need not be installed and does not say whether it equals itself."""
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _toml(name: str, version: str, tasks: Sequence[Task]) -> str:
    """benchmark.toml; its reader says what is wrong with a name."""
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
    """As a text of TOML: as in JSON, but without halves of surrogate pairs, and DEL is a control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _path(given: "str | PathLike[str] | None") -> Path | None:
    return None if given is None else Path(given)
