"""The contract of an engine on one or several GPUs: with its siblings `gpu_*` the only place that imports torch.

In comes what `retrieve.contract` says, out come the same counts as from any engine. Each chunk of the gallery travels
once, to one of the devices, and meets all queries there (`gpu_tally`); the counts of all devices add up, so embeddings
may be larger than any device's memory, and memory-mapped. Which devices, which products, which block sizes: here.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch

from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve import gpu_products as products
from piq_bench.retrieve.candidates import Ragged
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.gpu_products import Multiply, Precision
from piq_bench.retrieve.gpu_tally import MakeTable, Questions, Tally, out_of_memory
from piq_bench.retrieve.similarity import Similarity

QUERY_BLOCK = 4096
GALLERY_BLOCK = 16384
BYTES_PER_PAIR = 128  # of a block in which every pair is open
CHUNK_BYTES = 1 << 28  # of the gallery on a device at a time
PANEL_BYTES = 1 << 30  # of queries and their points on a device at a time
BYTES_PER_POINT = 64
BYTES_PER_EXCLUDED = 32


def count_ranks(
    similarity: Similarity,
    queries: IntArray,
    gallery: IntArray,
    points: FloatArray,
    excluded: Ragged,
    point_start: IntArray,
    *,
    devices: Sequence[str] | None = None,
    precision: Precision | None = None,
    faiss: bool = True,
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
    chunk_bytes: int = CHUNK_BYTES,
    panel_bytes: int = PANEL_BYTES,
    advance: Callable[[int], None] = lambda steps: None,
) -> Counts:
    """Count the gallery images above and equal to each point of each query.

    Args:
        similarity: of all test rows.
        queries: shape (n_queries,); test rows.
        gallery: shape (n_gallery,); test rows.
        points: shape (n_points,); similarities by definition, ascending within each query.
        excluded: per query, gallery indices that are not counted.
        point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
        devices: names of torch devices, such as "cuda:0", which may repeat; all GPUs if None.
        precision: of the first tables: "half" for float16 embeddings only. By the embeddings' type if None.
        faiss: let faiss make the tables where it can.
        query_block: queries per table at most.
        gallery_block: gallery images per table at most.
        chunk_bytes: of gallery embeddings on a device at a time, if more than a block.
        panel_bytes: of queries and their points on a device at a time, if more than one query.
        advance: told the number of queries done; spread over the work, since all queries end together.

    Raises:
        LimitExceeded: if a GPU has too little memory even for small blocks.
        RuntimeError: if a table is further from the definition than its bound: a bug, or a broken device.
    """
    counts = Counts.zero(points.size)
    n_points = np.diff(point_start)
    asked = np.flatnonzero(n_points > 0)
    asked = asked[np.argsort(n_points[asked], kind="stable")]  # like numbers of points together: little padding
    order = np.arange(gallery.size)
    if similarity.distance == "euclidean":  # blocks of like norms have tight error bounds
        order = np.argsort(similarity.norm[gallery], kind="stable")
    place = np.empty_like(order)  # of a gallery index
    place[order] = np.arange(order.size)

    used = [torch.device(name) for name in devices or _all_gpus()]
    row_bytes = similarity.dimension * similarity.embedding.dtype.itemsize
    n_rows = max(gallery_block, min(chunk_bytes // row_bytes, -(-gallery.size // len(used))))
    starts = range(0, gallery.size, n_rows)
    query_bytes = row_bytes + BYTES_PER_POINT * n_points + BYTES_PER_EXCLUDED * np.diff(excluded.start)
    progress = _Progress(point_start.size - 1, asked.size * gallery.size, advance)
    with full_precision():
        tables = {}
        for device in used:
            with on(device):
                tables[device] = _tables(similarity, precision, device, faiss)
        for panel in _panels(asked, query_bytes[asked], panel_bytes):
            start, own = _gathered(point_start, panel)
            left_start, left = _gathered(excluded.start, panel)
            questions = Questions(queries[panel], start, points[own], left_start, place[excluded.values[left]])
            chunks = _Shared((first, gallery[order[first : first + n_rows]]) for first in starts)
            work = partial(_count_chunks, similarity, questions, tables, chunks, query_block, gallery_block, progress)
            for above, tied in _on_all(work, used, chunks):
                counts.above[own] += above
                counts.tied[own] += tied
    progress.finish()
    return counts


def describe(*, faiss: bool = True) -> str:
    """What the result calls this engine: "gpu (faiss 1.14.1, torch 2.11.0, NVIDIA H200)"."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    module, _ = products.find_faiss() if faiss else (None, "")
    parts = [] if module is None else [f"faiss {module.__version__}"]
    parts.append(f"torch {torch.__version__.partition('+')[0]}")
    parts.extend(f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names))
    return f"gpu ({', '.join(parts)})"


def why_no_faiss() -> str:
    """Why torch alone makes the tables, in words that follow "faiss"; nothing if faiss does."""
    return products.find_faiss()[1]


class _Shared:
    """An iterator that several threads take from, until one of them fails."""

    def __init__(self, items: Iterator[tuple[int, IntArray]]) -> None:
        self.items, self.lock, self.stopped = items, threading.Lock(), False

    def __iter__(self) -> Iterator[tuple[int, IntArray]]:
        while True:
            with self.lock:
                item = None if self.stopped else next(self.items, None)
            if item is None:
                return
            yield item


class _Progress:
    """Tells of queries done while pairs are done, from any thread."""

    def __init__(self, n_queries: int, n_pairs: int, advance: Callable[[int], None]) -> None:
        self.n_queries, self.n_pairs, self.advance = n_queries, n_pairs, advance
        self.lock, self.pairs, self.told = threading.Lock(), 0, 0

    def add(self, pairs: int) -> None:
        with self.lock:
            self.pairs += pairs
            self._tell(self.n_queries * self.pairs // max(1, self.n_pairs))

    def finish(self) -> None:
        with self.lock:
            self._tell(self.n_queries)

    def _tell(self, queries: int) -> None:
        if queries > self.told:
            self.advance(queries - self.told)
            self.told = queries


def _on_all(
    work: Callable[[torch.device], tuple[IntArray, IntArray]], devices: Sequence[torch.device], chunks: _Shared
) -> list[tuple[IntArray, IntArray]]:
    """Run on every device: in this thread if there is but one, so that an interrupt stops it at once."""
    if len(devices) == 1:
        return [work(devices[0])]
    with ThreadPoolExecutor(len(devices)) as pool:
        futures = [pool.submit(work, device) for device in devices]
        try:
            return [future.result() for future in futures]
        finally:
            chunks.stopped = True  # after a failure or an interrupt the others need not go on


def _count_chunks(
    similarity: Similarity,
    questions: Questions,
    tables: dict[torch.device, list[MakeTable]],
    chunks: _Shared,
    query_block: int,
    gallery_block: int,
    progress: _Progress,
    device: torch.device,
) -> tuple[IntArray, IntArray]:
    """Count on one device the chunks that no other device has taken."""
    with on(device):
        query_block, gallery_block = _fitting(query_block, gallery_block, device)
        tally = Tally(
            similarity,
            questions,
            tables[device],
            device,
            query_block=query_block,
            gallery_block=gallery_block,
        )
        for first, rows in chunks:
            tally.add(rows, first, progress.add)
        return tally.counts()


@contextmanager
def on(device: torch.device) -> Iterator[None]:
    """Make it the current device, by whose stream faiss orders its work, and refuse work that does not fit on it."""
    with torch.cuda.device(device if device.type == "cuda" else -1):
        try:
            yield
        except torch.cuda.OutOfMemoryError:
            raise out_of_memory(device) from None


def _tables(similarity: Similarity, precision: Precision | None, device: torch.device, faiss: bool) -> list[MakeTable]:
    """How a device makes its tables, least precise first; a product that breaks its promises is not used."""
    distance = similarity.distance
    in_double: list[MakeTable] = [partial(products.double_table, distance=distance)]
    half = similarity.embedding.dtype == np.float16
    if precision == "double" or similarity.dimension == 0:
        return in_double
    if precision == "half" and not half:
        raise ValueError("float32 embeddings have no table in half precision")
    half = half and precision != "single"
    make = products.half_table if half else products.single_table
    kind = torch.float16 if half else torch.float32
    for multiply in _products(device, faiss):
        if products.stays_within_bound(multiply, kind, similarity.dimension, device):
            return [partial(make, distance=distance, multiply=multiply), *in_double]
    return in_double


def _products(device: torch.device, faiss: bool) -> Iterator[Multiply]:
    module, _ = products.find_faiss() if faiss and device.type == "cuda" else (None, "")
    if module is not None:
        yield products.faiss_multiply(module, device)
    yield products.torch_multiply


def _fitting(query_block: int, gallery_block: int, device: torch.device) -> tuple[int, int]:
    """Blocks no larger than the device's free memory holds when every pair is open."""
    if device.type != "cuda":
        return query_block, gallery_block
    free, _ = torch.cuda.mem_get_info(device)
    while query_block * gallery_block * BYTES_PER_PAIR > free and max(query_block, gallery_block) > 1:
        if query_block > gallery_block:
            query_block //= 2
        else:
            gallery_block //= 2
    return query_block, gallery_block


def _panels(asked: IntArray, sizes: IntArray, limit: int) -> Iterator[IntArray]:
    """Queries that fit on a device together; at least one."""
    total = np.cumsum(sizes)
    first = 0
    while first < asked.size:
        before = int(total[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(total, before + limit, "right")))
        yield asked[first:last]
        first = last


def _gathered(start: IntArray, lists: IntArray) -> tuple[IntArray, IntArray]:
    """Some lists out of many, end to end: their starts, and the index of each value among those of all lists."""
    length = np.diff(start)[lists]
    new_start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return new_start, np.arange(new_start[-1]) + np.repeat(start[lists] - new_start[:-1], length)


def _all_gpus() -> list[str]:
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 products in float32, whatever the process has chosen, for as long as this runs."""
    matmul = torch.backends.cuda.matmul
    reduced, newer = matmul.allow_fp16_reduced_precision_reduction, getattr(matmul, "fp32_precision", None)
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # chosen by `fp32_precision`, from torch 2.9 on, which the older function will not hear of
        precision = "highest"
    torch.set_float32_matmul_precision("highest")  # both
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if newer is not None:
            matmul.fp32_precision = newer
        matmul.allow_fp16_reduced_precision_reduction = reduced
