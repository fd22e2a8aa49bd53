"""For notebooks and training loops: predictions in memory to a score, by the same checks and to the same bits.

Arrays and tables go through the readers of files, in a temporary folder: one set of rules for both, and the same
refusals, with row, value and remedy.
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
from pyarrow import parquet

from piq_bench import scoring
from piq_bench.errors import BadSubmission, Problem
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.read.vocabulary import DEFAULT_TASKS, SCHEMA
from piq_bench.records import GALLERY, QUERY, RETRIEVAL, Benchmark, Submission, Task
from piq_bench.result import Result
from piq_bench.retrieve.engines import choose
from piq_bench.write import write_submission

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_NAME = "in memory"


def score(
    submission: "str | PathLike[str] | Mapping[str, Any] | pd.DataFrame",
    benchmark: "str | PathLike[str] | Benchmark | None" = None,
    *,
    embedding: Any = None,  # noqa: ANN401
    meta: Mapping[str, object] | None = None,
    partial: bool = False,
    ap: str = "non-interpolated",
    exclude_sequence: bool = False,
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
        exclude_sequence: leave gallery images of the query's own sequence out of its candidates.
        n_resamples: of the bootstrap; 0 for no intervals.
        seed: of the bootstrap.
        engine: "auto", "cpu" or "gpu".
        advance: told the number of queries done.

    Raises:
        BadSubmission: with every problem found.
        BadDataset: if the benchmark cannot be read.

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
    n_queries, n_gallery = (int((target.split == split).sum()) for split in (QUERY, GALLERY))
    count, engine_name = choose(engine, n_queries * n_gallery)
    found = scoring.score(
        target,
        _submission(submission, target, embedding, meta, partial=partial),
        ap=ap,
        exclude_sequence=exclude_sequence,
        n_resamples=n_resamples,
        seed=seed,
        engine=count,
        engine_name=engine_name,
        advance=advance,
    )
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
    columns = {str(column): _texts(values) for column, values in annotations.items()}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "benchmark.toml").write_text(_toml(name, version, tasks), encoding="utf-8")
        parquet.write_table(
            pa.table({column: pa.array(texts) for column, texts in columns.items()}), folder / "annotations.parquet"
        )
        return replace(read_benchmark(folder), root=None)


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
    images = [str(image) for image in columns.pop("image")]
    about = {"name": DEFAULT_NAME, "benchmark": benchmark.name, **(meta or {})}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "submission.npz")
        try:
            write_submission(
                path,
                images=images,
                embedding=None if found is None else _array(found),
                predictions={task: _array(values) for task, values in columns.items()},
                meta=about,
            )
        except (TypeError, ValueError) as error:
            problem = Problem("bad-arrays", "arrays", str(error), "a row per image, of numbers or texts")
            raise BadSubmission(str(about["name"]), [problem]) from None
        return read_submission(path, benchmark, partial=partial)


def _array(values: Any) -> Any:  # noqa: ANN401
    """Numbers or texts, never objects; a tensor comes from wherever it lies."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    return array.astype(np.str_) if array.dtype == object else array


def _texts(values: Any) -> list[str]:  # noqa: ANN401
    return ["" if value is None or value != value else str(value) for value in np.asarray(values, dtype=object)]


def _toml(name: str, version: str, tasks: Sequence[Task]) -> str:
    """benchmark.toml; texts of JSON are texts of TOML."""
    lines = [f"schema = {json.dumps(SCHEMA)}", f"name = {json.dumps(name)}", f"version = {json.dumps(version)}"]
    lines.append('licence = ""')
    for task in tasks:
        lines += [f"[tasks.{task.name}]", f"aspect = {json.dumps(task.aspect)}"]
        if task.kind == RETRIEVAL:
            lines.append('kind = "retrieval"')
        else:
            lines += [f"labels = {json.dumps(list(task.labels))}", f"multi_label = {json.dumps(task.multi_label)}"]
    return "\n".join(lines) + "\n"


def _path(given: "str | PathLike[str] | None") -> Path | None:
    return None if given is None else Path(given)
