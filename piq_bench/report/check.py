"""Formats the result of `piq check`: a table for people, and JSON with stable keys for scripts.

Refusals are available as JSON too, so that a leaderboard does not have to parse messages.
"""

import json

from piq_bench.errors import BadInput, hanging, printable
from piq_bench.records import Benchmark, Submission

SCHEMA = "piq-bench/check/1"


def check_table(entry: Submission, benchmark: Benchmark, *, width: int | None = None) -> str:
    """The contents of a valid submission, one entry each, in lines that fit a width; None never breaks a line."""
    lines = [
        ("submission", entry.name),
        ("benchmark", f"{benchmark.name} {benchmark.version}".strip()),
        ("images", str(entry.order.size)),
    ]
    if entry.embedding is not None:
        lines.append(
            ("embedding", f"{entry.embedding.shape[1]} values, {entry.embedding.dtype.name}, {entry.distance}")
        )
    elif entry.matrix is not None:
        n_query, n_gallery = entry.matrix.values.shape
        kind = "distance" if entry.matrix.is_distance else "similarity"
        lines.append((kind, f"{n_query} x {n_gallery} values, {entry.matrix.values.dtype.name}"))
    elif benchmark.retrieval_task is not None:
        lines.append(("embedding", "not submitted"))
    for task in benchmark.classification_tasks:
        kind = "multi-label" if task.multi_label else "single-label"
        contents = f"{kind}, {len(task.labels)} labels" if task.name in entry.predictions else "not submitted"
        lines.append((task.name, contents))
    lines += [("content", entry.content), ("file", f"{entry.file_bytes} bytes, SHA-256 {entry.file_sha256}")]
    column = max(12, *(len(name) for name, _ in lines))
    return (
        "".join(hanging(f"{name:{column}} ", printable(value, 200), width) + "\n" for name, value in lines) + "valid\n"
    )


def check_json(entry: Submission, benchmark: Benchmark) -> str:
    """The contents of a valid submission; `null` for parts that were not submitted."""
    embedding = None
    if entry.embedding is not None:
        embedding = {
            "dimension": entry.embedding.shape[1],
            "dtype": entry.embedding.dtype.name,
            "distance": entry.distance,
        }
    tasks = {
        task.name: {"labels": len(task.labels), "multi_label": task.multi_label}
        if task.name in entry.predictions
        else None
        for task in benchmark.classification_tasks
    }
    matrix = {}
    if entry.matrix is not None:
        kind = "distance" if entry.matrix.is_distance else "similarity"
        matrix = {kind: {"shape": list(entry.matrix.values.shape), "dtype": entry.matrix.values.dtype.name}}
    return _text(
        {
            "schema": SCHEMA,
            "valid": True,
            "submission": {"name": entry.name, "content": entry.content, "images": entry.order.size},
            "benchmark": {"name": benchmark.name, "version": benchmark.version},
            "embedding": embedding,
            **matrix,
            "tasks": tasks,
            "file": {"sha256": entry.file_sha256, "bytes": entry.file_bytes},
        }
    )


def refusal_json(refusal: BadInput) -> str:
    """Every problem of a refused submission."""
    problems = [
        {
            "code": problem.code,
            "where": printable(problem.where),
            "found": problem.found,
            "remedy": problem.remedy,
            "count": problem.count,
        }
        for problem in refusal.problems
    ]
    return _text({"schema": SCHEMA, "valid": False, "problems": problems})


def _text(document: dict[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
