"""Writes a submission from a feature file: reads it, matches its rows to images, checks the values and stores them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from piq_bench.convert.features import UnnamedFeatures, refusal
from piq_bench.convert.layumi import NOTE, match_folder_order
from piq_bench.convert.match import NO_ROW, match_names
from piq_bench.convert.rerank import Parameters, rerank
from piq_bench.convert.source import read_features
from piq_bench.documents import parse_json
from piq_bench.errors import BadSubmission, BadUsage, Problem, first_few
from piq_bench.read.mapped import Array, rows_of
from piq_bench.records import QUERY, Benchmark, BoolArray, EmbeddingArray, IntArray
from piq_bench.write.submission import write_distances, write_submission

Distance = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        n_images, dimension: of the features.
        notes: sentences that a user must know.
    """

    n_images: int
    dimension: int
    notes: tuple[str, ...]


def convert(
    source: Path,
    benchmark: Benchmark,
    out: Path,
    *,
    names: Path | None = None,
    distance: Distance = "cosine",
    name: str | None = None,
    reranking: Parameters | None = None,
    advance: Callable[[int], None] = lambda images: None,
) -> Converted:
    """Write a submission from the features of another tool.

    Args:
        source: the feature file or folder.
        benchmark: the benchmark that the images belong to; its labels are not used.
        out: .npz or .parquet file, or folder, to write.
        names: a list of names, one for each row of features, if `source` has none.
        distance: how features are compared.
        name: name of the submission; by default that of the source.
        reranking: if given, the distances after re-ranking are written instead of the features.
        advance: called with the number of images re-ranked since the last call.

    Raises:
        BadSubmission: if the source cannot be read, or does not fit the benchmark.
        BadUsage: if the benchmark has no re-id task, or a library is missing.
    """
    if benchmark.retrieval_task is None:
        remedy = "features answer re-id alone: store what was predicted for its tasks; `piq template` writes an example"
        problem = Problem("no-retrieval-task", benchmark.name, "has no re-id task", remedy)
        raise BadUsage(str(source), [problem])
    values, rows, notes = _matched(source, benchmark, names, distance)
    images = benchmark.images[benchmark.test_rows]
    present = rows != NO_ROW
    if not present.all():
        notes.append(f"{int((~present).sum())} junk images have no features; they take no part")
    embedding = _embedding(source, values, rows[present], images[present], distance, notes)
    meta: dict[str, object] = {"name": name or source.stem, "benchmark": benchmark.name}
    if reranking is not None:
        is_query = (benchmark.split[benchmark.test_rows] == QUERY)[present]
        order = np.argsort(~is_query, kind="stable")  # queries first
        n_queries = int(is_query.sum())
        final = rerank(embedding[order], n_queries, distance=distance, parameters=reranking, advance=advance)
        meta["method"] = (
            f"k-reciprocal re-ranking of {distance} distances,"
            f" k1 {reranking.k1}, k2 {reranking.k2}, lambda {reranking.weight}"
        )
        ids = images[present][order]
        write_distances(out, query=ids[:n_queries], gallery=ids[n_queries:], distance=final, meta=meta)
    else:
        write_submission(out, images=images[present], embedding=embedding, meta={**meta, "distance": distance})
    return Converted(int(present.sum()), embedding.shape[1], tuple(notes))


def _matched(
    source: Path, benchmark: Benchmark, names: Path | None, distance: Distance
) -> tuple[Array, IntArray, list[str]]:
    """The features, the row of each test image, and notes."""
    features = read_features(source, names)
    if isinstance(features, UnnamedFeatures):
        values, rows = match_folder_order(source, features, benchmark)
        return values, rows, [NOTE]
    _check_distance(source, features.meta, distance)
    rows, note = match_names(source, features.names, benchmark, stems=features.stems)
    return features.values, rows, [note] if note else []


def _check_distance(source: Path, meta: str | None, distance: Distance) -> None:
    """Refuse another distance than a submission asks for; its reader has not checked meta."""
    other: Distance = "euclidean" if distance == "cosine" else "cosine"
    try:
        declared = parse_json(meta or "null")
    except ValueError:
        return
    if isinstance(declared, dict) and declared.get("distance", "cosine") == other:
        found = f"is a submission whose distance is {other}, not {distance}"
        raise refusal(source, "wrong-distance", found, f"pass --distance {other}", "meta")


def _embedding(
    source: Path, values: Array, rows: IntArray, images: Array, distance: Distance, notes: list[str]
) -> EmbeddingArray:
    """The rows of the given images as float16 or float32, finite and, under cosine, not zero."""
    kept = rows_of(values, rows)
    target = kept.dtype.newbyteorder("=") if kept.dtype.kind == "f" and kept.dtype.itemsize < 8 else np.dtype("f4")
    if kept.dtype.newbyteorder("=") != target:
        notes.append(f"values were rounded from {kept.dtype.newbyteorder('=').name} to float32")
    with np.errstate(over="ignore"):
        embedding = np.ascontiguousarray(kept, dtype=target)
    problems = []
    wrong = np.asarray(~np.isfinite(embedding).all(axis=1))
    if wrong.any():
        problems.append(_fault("not-finite", "NaN or infinite values", wrong, images, "every value must be finite"))
    zero = np.asarray(~embedding.any(axis=1))
    if distance == "cosine" and zero.any():
        remedy = "a zero vector has no direction: correct it, or pass --distance euclidean"
        problems.append(_fault("zero-vector", "only zeros", zero, images, remedy))
    if problems:
        raise BadSubmission(str(source), problems)
    return embedding


def _fault(code: str, what: str, wrong: BoolArray, images: Array, remedy: str) -> Problem:
    n_wrong = int(wrong.sum())
    verb = "images have" if n_wrong > 1 else "image has"
    return Problem(code, "features", f"{n_wrong} {verb} {what}: {first_few(images[wrong], n_wrong)}", remedy, n_wrong)
