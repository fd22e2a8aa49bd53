"""The engine on many machines: parts of the gallery go to Dask's workers, and their counts are added up.

It follows `retrieve.contract`: a count is a sum over the gallery, so neither the number of workers nor the size of a
part nor the engine that a worker chooses (compiled, or a GPU) can change it, and a part whose worker dies is counted by
another one. A part is a range of the gallery in the order in which it is stored. Where embeddings are a mapped file,
workers map it under the same path and read the rows of their part alone; hashes made at the first reading go with each
part, so a file that differs there is refused. Other embeddings (compressed, or given in memory) are sent.

What travels, for Q queries, P points and W workers: once to each worker the points, 8 (P + Q) bytes, and unless they
are in a file the queries; with each part 33 bytes per image or its
embedding, 4 per excluded image and 25 Q, and back 8 P bytes.
tests/benchmarks/README.md has the measured costs, and what they mean for a billion images on a hundred machines.
"""

import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Literal, TypeVar

import numpy as np

from piq_bench.cluster.connect import connected, refuse_unseen
from piq_bench.cluster.tasks import results
from piq_bench.errors import BadSubmission, Problem, printable
from piq_bench.read.mapped import StoredArray, map_stored, rows_of, stored_array
from piq_bench.records import EmbeddingArray, FloatArray, Int32Array, IntArray
from piq_bench.retrieve.contract import Counts, Engine, wide
from piq_bench.retrieve.ragged import Ragged, owners
from piq_bench.retrieve.similarity import Similarity

PARTS_PER_WORKER = 4  # so that the last worker to finish keeps the others waiting for a quarter of its work at most
LEAST_ROWS = 1 << 14  # a smaller part takes less time to count than to send
MOST_ROWS = 1 << 20  # read from a file
MOST_SENT_BYTES = 32 << 20
Choose = Callable[[int, int], tuple[Engine, str]]
Array = TypeVar("Array", FloatArray, IntArray, Int32Array)

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def describe() -> str:
    """This engine's name in a result."""
    return f"dask (distributed {printable(version('distributed'))})"


def count_ranks(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    points: FloatArray,
    excluded: Ragged,
    point_start: IntArray,
    *,
    scheduler: str | None,
    choose: Choose,
    part_rows: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Counts:
    """Count the gallery images above and equal to each point of each query.

    Args:
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        points: shape (n_points,), ascending within each query; see `retrieve.contract`.
        excluded: for each query, the gallery indices that are not counted.
        point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
        scheduler: address of a Dask scheduler; None to start workers on this machine.
        choose: called on a worker with numbers of pairs and threads, returns the engine that counts there.
        part_rows: gallery images per part; None for a number that suits the workers.
        advance: called with the number of queries finished since the last call; spread evenly over the parts, since
            all queries finish together.

    Raises:
        BadUsage: if there is no scheduler or worker, versions differ, or a worker does not see the file.
        BadSubmission: if the file is not everywhere what was read here.
        LimitExceeded: if the workers or their scheduler are lost for good.
    """
    counts = Counts.zero(points.size)
    if points.size == 0 or gallery.size == 0:
        advance(queries.size)
        return counts
    with connected(scheduler) as client:
        n_workers = len(client.nthreads())
        parts = _Parts.of(similarity, queries, gallery, excluded, part_rows, n_workers)
        if parts.file is not None:
            refuse_unseen(client, [parts.file.path])
        job = parts.job(points, point_start, choose, queries.size * gallery.size // max(1, n_workers))
        n_counted = n_reported = 0
        for index, (above, tied) in results(client, count_part, job, parts.part, n_items=parts.n_parts):
            np.add(counts.above, above, out=counts.above)
            np.add(counts.tied, tied, out=counts.tied)
            n_counted += parts.size(index)
            n_now = queries.size * n_counted // gallery.size
            advance(n_now - n_reported)
            n_reported = n_now
    return counts


@dataclass(frozen=True, eq=False)
class Job:
    """What all parts share. Attributes are as in `retrieve.contract`; queries are rows 0 to n_queries - 1.

    Attributes:
        distance: "cosine" or "euclidean".
        query_norm: shape (n_queries,); norms of the queries.
        query_vectors: shape (n_queries, dimension); None if they are read from the file.
        query_rows: shape (n_queries,); rows of the file.
        points: shape (n_points,), ascending within each query; see `retrieve.contract`.
        point_start: shape (n_queries + 1,); where a query's points begin.
        choose: which engine counts.
        n_pairs: queries times gallery images that fall to one worker: its engine is chosen for all its parts.
    """

    distance: Literal["cosine", "euclidean"]
    query_norm: FloatArray
    query_vectors: EmbeddingArray | None
    query_rows: IntArray
    points: FloatArray
    point_start: IntArray
    choose: Choose
    n_pairs: int


@dataclass(frozen=True, eq=False)
class Part:
    """A part of the gallery. Test rows of a part are the queries first, then its images.

    Attributes:
        file: where embeddings lie, with the hashes of the queries' and this part's rows; None if they are sent.
        vectors: shape (n_images, dimension); None if they are read from the file.
        rows: shape (n_images,); rows of the file.
        norm: shape (n_images,); norms.
        twin: shape (n_queries + n_images,); the first row with the same bytes.
        excluded: for each query, the images of this part that are not counted.
    """

    file: StoredArray | None
    vectors: EmbeddingArray | None
    rows: IntArray
    norm: FloatArray
    twin: IntArray
    excluded: Ragged


def count_part(job: Job, part: Part) -> tuple[Int32Array, Int32Array]:
    """Count one part on a worker, with the best engine that works there; a worker counts one part at a time."""
    n_queries = job.query_rows.size
    order = np.concatenate([job.query_rows, part.rows])
    if part.file is not None:
        embedding = map_stored(part.file)
    else:
        assert job.query_vectors is not None and part.vectors is not None  # noqa: S101  (one or the other)
        embedding, order = np.concatenate([job.query_vectors, part.vectors]), np.arange(order.size)
    norm = np.concatenate([job.query_norm, part.norm])
    similarity = Similarity(embedding, order, job.distance, norm, _writable(part.twin))
    worker = import_module("distributed").get_worker()
    with _locks[worker.address]:
        engine, _ = job.choose(wide(job.n_pairs, similarity.dimension), worker.state.nthreads)
        counts = engine(
            similarity,
            np.arange(n_queries),
            np.arange(n_queries, order.size),
            _writable(job.points),
            Ragged(_writable(part.excluded.start), _writable(part.excluded.values)),
            _writable(job.point_start),
            advance=lambda steps: None,
        )
    return counts.above, counts.tied


@dataclass(frozen=True, eq=False)
class _Parts:
    """The parts of a gallery, made one by one.

    Attributes:
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery in the order in which they are stored.
        rows: images per part.
        file: where embeddings lie; None if they are sent.
        excluded_query: shape (n_excluded,); query of each excluded image, in order of the parts.
        excluded_place: shape (n_excluded,); its place in `gallery`, ascending for a query within a part.
        excluded_start: shape (n_parts + 1,); where each part's excluded images begin.
    """

    similarity: Similarity
    queries: IntArray
    gallery: IntArray
    rows: int
    file: StoredArray | None
    excluded_query: Int32Array
    excluded_place: Int32Array
    excluded_start: IntArray

    @classmethod
    def of(
        cls,
        similarity: Similarity,
        queries: IntArray,
        gallery: IntArray,
        excluded: Ragged,
        part_rows: int | None,
        n_workers: int,
    ) -> "_Parts":
        stored = np.argsort(similarity.order[gallery], kind="stable")
        place = np.empty(stored.size, dtype=np.int32)
        place[stored] = np.arange(stored.size)
        file = stored_array(similarity.embedding, np.zeros(0, dtype=np.int64))
        most = MOST_ROWS
        if file is None:
            most = min(most, max(1, MOST_SENT_BYTES // max(1, similarity.embedding[:1].nbytes)))
        even = -(-gallery.size // (PARTS_PER_WORKER * max(1, n_workers)))
        rows = part_rows or min(max(even, LEAST_ROWS), most)
        query, where = owners(excluded).astype(np.int32), place[excluded.values]
        if not bool((stored[1:] > stored[:-1]).all()):
            key = np.sort((query.astype(np.int64) << 32) | where)
            query, where = (key >> 32).astype(np.int32), (key & 0xFFFFFFFF).astype(np.int32)
        n_parts = -(-gallery.size // rows)
        part = (where // rows).astype(np.uint16 if n_parts < 1 << 16 else np.int32)  # few bits are sorted faster
        by_part = np.argsort(part, kind="stable")
        starts = np.searchsorted(part[by_part], np.arange(n_parts + 1))
        return cls(similarity, queries, gallery[stored], rows, file, query[by_part], where[by_part], starts)

    @property
    def n_parts(self) -> int:
        return self.excluded_start.size - 1

    def size(self, index: int) -> int:
        """Number of images of a part."""
        return min(self.gallery.size - index * self.rows, self.rows)

    def job(self, points: FloatArray, point_start: IntArray, choose: Choose, n_pairs: int) -> Job:
        similarity, rows = self.similarity, self.similarity.order[self.queries]
        vectors = None if self.file is not None else rows_of(similarity.embedding, rows)
        norm = similarity.norm[self.queries]
        return Job(similarity.distance, norm, vectors, rows, points, point_start, choose, n_pairs)

    def part(self, index: int) -> Part:
        similarity = self.similarity
        images = self.gallery[index * self.rows : index * self.rows + self.size(index)]
        used = np.concatenate([self.queries, images])
        rows = similarity.order[images]
        file = None if self.file is None else stored_array(similarity.embedding, similarity.order[used])
        if self.file is not None and file is None:
            remedy = "start again, and let nothing write to the file meanwhile"
            raise BadSubmission(self.file.path, [Problem("changed", "embedding", "was replaced meanwhile", remedy)])
        own = slice(self.excluded_start[index], self.excluded_start[index + 1])
        n_excluded = np.bincount(self.excluded_query[own], minlength=self.queries.size)
        _, first, inverse = np.unique(similarity.twin[used], return_index=True, return_inverse=True)
        return Part(
            file=file,
            vectors=None if self.file is not None else rows_of(similarity.embedding, rows),
            rows=rows,
            norm=similarity.norm[images],
            twin=first[inverse].astype(np.int64),
            excluded=Ragged(
                np.concatenate([[0], np.cumsum(n_excluded)]).astype(np.int64),
                self.excluded_place[own] - np.int32(index * self.rows),
            ),
        )


def _writable(values: Array) -> Array:
    """The array, or a copy that may be written to: for read-only arrays the kernel would be compiled anew."""
    return values if values.flags.writeable else values.copy()
