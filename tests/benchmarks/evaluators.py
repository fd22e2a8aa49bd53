"""The bare matrix product and our evaluation with each of its engines, which the benchmark compares.

An evaluator takes data and returns an mAP, nothing else: `alone` measures time and memory. It imports what it needs
when it is prepared, in a process of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from types import ModuleType

import numpy as np
from benchmarks.people import Recipe, made

from piq_bench.records import NO_GROUP, Benchmark, Float32Array, IntArray, Submission
from piq_bench.retrieve.candidates import find_candidates
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.reid import score_reid

BLOCKS = (256, 512, 1024, 2048)  # queries per bare product


class NotHereError(Exception):
    """Raised if this machine lacks what an evaluator needs."""


@dataclass(frozen=True, eq=False)
class Data:
    """The input of an evaluation: as records for our engines, as plain arrays for other evaluators.

    Attributes:
        benchmark: labels and groups.
        submission: the embeddings.
    """

    benchmark: Benchmark
    submission: Submission

    @classmethod
    def of(cls, recipe: Recipe) -> "Data":
        """Make the data of a recipe, arrays included."""
        data = cls(*made(recipe))
        _ = data.queries, data.gallery, data.query_group, data.gallery_group
        return data

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray]:
        """Rows of the queries and of the gallery; test rows equal benchmark rows, since there is no train split."""
        candidates = find_candidates(self.benchmark)
        return candidates.query, candidates.gallery

    @cached_property
    def queries(self) -> Float32Array:
        """Shape (n_queries, dimension)."""
        assert self.submission.embedding is not None
        return np.asarray(self.submission.embedding[self.rows[0]], dtype=np.float32)

    @cached_property
    def gallery(self) -> Float32Array:
        """Shape (n_gallery, dimension)."""
        assert self.submission.embedding is not None
        return np.asarray(self.submission.embedding[self.rows[1]], dtype=np.float32)

    @property
    def query_identity(self) -> IntArray:
        """Shape (n_queries,); all of them at least 0."""
        return self.benchmark.identity[self.rows[0]]

    @property
    def gallery_identity(self) -> IntArray:
        """Shape (n_gallery,); NO_IDENTITY where unlabelled."""
        return self.benchmark.identity[self.rows[1]]

    @cached_property
    def query_group(self) -> IntArray:
        """Shape (n_queries,); a query and a gallery image are near-duplicates if their numbers are equal."""
        return self._group[self.rows[0]]

    @cached_property
    def gallery_group(self) -> IntArray:
        """Shape (n_gallery,)."""
        return self._group[self.rows[1]]

    @property
    def _group(self) -> IntArray:
        assert self.benchmark.groups is not None
        group = self.benchmark.groups.group
        return np.where(group == NO_GROUP, np.arange(group.size), group)  # an image alone is its own group


@dataclass(frozen=True)
class Found:
    """The result of an evaluation.

    Attributes:
        map: mean over queries of the average precision; None if something else was computed.
        map_with_duplicates: mAP with near-duplicates left in; None if it was not computed.
    """

    map: float | None = None
    map_with_duplicates: float | None = None


Evaluate = Callable[[Data], Found]


@dataclass(frozen=True)
class Evaluator:
    """One row of the table.

    Attributes:
        name: name in the table.
        computes: "exact", or in a word or two what it computes instead.
        prepare: imports and returns the function to time. Raises ImportError or NotHereError.
        excludes: whether near-duplicates are left out.
        remark: note below the table.
        on_gpu: whether it is compared with the bare product on the GPU.
    """

    name: str
    computes: str
    prepare: Callable[[], Evaluate]
    excludes: bool = False
    remark: str = ""
    on_gpu: bool = False


def bare_product(data: Data, block: int) -> None:
    """All similarities in float32, a block of queries at a time: the least work of any exact evaluation."""
    n_queries, n_gallery = data.queries.shape[0], data.gallery.shape[0]
    table = np.empty((min(block, n_queries), n_gallery), dtype=np.float32)
    for first in range(0, n_queries, block):
        queries = data.queries[first : first + block]
        np.matmul(queries, data.gallery.T, out=table[: queries.shape[0]])


def bare_product_torch(data: Data, block: int) -> None:
    """All similarities by torch on the CPU."""
    torch = import_module("torch")
    queries, gallery = torch.from_numpy(data.queries), torch.from_numpy(data.gallery).T
    table = torch.empty((min(block, queries.shape[0]), gallery.shape[1]))
    for rows in torch.split(queries, block):
        torch.mm(rows, gallery, out=table[: rows.shape[0]])


def bare_product_gpu(data: Data, block: int) -> None:
    """All similarities by torch on the first GPU, in full float32; includes copying the embeddings to it."""
    torch = _torch_with_gpu()
    torch.backends.cuda.matmul.allow_tf32 = False
    queries, gallery = torch.from_numpy(data.queries).cuda(), torch.from_numpy(data.gallery).cuda().T
    table = torch.empty((min(block, queries.shape[0]), gallery.shape[1]), device="cuda")
    for rows in torch.split(queries, block):
        torch.mm(rows, gallery, out=table[: rows.shape[0]])
    torch.cuda.synchronize()


PRODUCTS: dict[str, Callable[[Data, int], None]] = {
    "bare product, numpy": bare_product,
    "bare product, torch": bare_product_torch,
    "bare product, torch on GPU": bare_product_gpu,
}


def ours(module: str) -> Evaluate:
    """The whole evaluation of re-id, from embeddings in memory to all metrics, by one of our engines."""
    engine = import_module(module).count_ranks

    def evaluate(data: Data) -> Found:
        _, score, _ = score_reid(
            data.benchmark,
            data.submission,
            clusters_of(data.benchmark),
            engine,
            ap="non-interpolated",
            advance=lambda steps: None,
        )
        with_duplicates = None if score.without_exclusion is None else score.without_exclusion["map"]
        return Found(score.values["map"], with_duplicates)

    return evaluate


def ours_on_gpu() -> Evaluate:
    """The whole evaluation of re-id on all GPUs."""
    _torch_with_gpu()
    return ours("piq_bench.retrieve.gpu")


def _torch_with_gpu() -> ModuleType:
    torch = import_module("torch")
    if not torch.cuda.is_available():
        raise NotHereError("no GPU here")
    return torch


CPU = "piq-bench, cpu"
OURS = (
    Evaluator(CPU, "exact", lambda: ours("piq_bench.retrieve.cpu"), excludes=True),
    Evaluator("piq-bench, plain", "exact", lambda: ours("piq_bench.retrieve.plain"), excludes=True),
    Evaluator("piq-bench, gpu", "exact", ours_on_gpu, excludes=True, on_gpu=True),
)
