"""The engine on one or several GPUs; it and its siblings `gpu_*` are the only modules that import torch.

It follows `retrieve.contract` and gives the same counts as any engine. Each chunk of the gallery is copied once, to one
of the devices, and compared with all queries there (`gpu_tally`); the counts of all devices add up, so embeddings may
be memory-mapped, and larger than any device's memory. This module chooses devices, matrix products and block sizes.
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
from piq_bench.retrieve.contract import Counts
from piq_bench.retrieve.gpu_products import Multiply, Precision
from piq_bench.retrieve.gpu_tally import MakeTable, Panel, Tally, out_of_memory
from piq_bench.retrieve.ragged import Ragged, gather
from piq_bench.retrieve.similarity import Similarity

QUERY_BLOCK = 4096
GALLERY_BLOCK = 16384
BYTES_PER_PAIR = 128  # of device memory, in a block in which every pair is open
CHUNK_BYTES = 1 << 28  # of gallery embeddings on a device at a time
PANEL_BYTES = 1 << 30  # of queries and their points on a device at a time; together they are a panel
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
        similarity: similarities of all test rows.
        queries: shape (n_queries,); test rows of the queries.
        gallery: shape (n_gallery,); test rows of the gallery.
        points: shape (n_points,), ascending within each query; see `retrieve.contract`.
        excluded: for each query, the gallery indices that are not counted.
        point_start: shape (n_queries + 1,); query q has points[point_start[q]:point_start[q + 1]].
        devices: names of torch devices, such as "cuda:0", which may repeat; all GPUs if None.
        precision: precision of the first tables; "half" for float16 embeddings only; by the embeddings' type if None.
        faiss: whether faiss computes the tables where it can.
        query_block: largest number of queries per table.
        gallery_block: largest number of gallery images per table.
        chunk_bytes: bytes of gallery embeddings on a device at a time; a chunk is at least one block.
        panel_bytes: bytes of queries and their points on a device at a time; a panel is at least one query.
        advance: called with the number of queries finished since the last call; spread evenly over the work, since all
            queries finish together.

    Raises:
        LimitExceeded: if a GPU has too little memory even for small blocks.
        RuntimeError: if a table is further from the definition than its bound: a bug, or a broken device.
    """
    counts = Counts.zero(points.size)
    n_points = np.diff(point_start)
    with_points = np.flatnonzero(n_points > 0)
    # Queries with similar numbers of points are neighbours, so that a block needs little padding.
    with_points = with_points[np.argsort(n_points[with_points], kind="stable")]
    order = np.arange(gallery.size)
    if similarity.distance == "euclidean":  # blocks of similar norms have tight error bounds
        order = np.argsort(similarity.norm[gallery], kind="stable")
    place = np.empty_like(order)  # of a gallery index in this order
    place[order] = np.arange(order.size)

    used = [torch.device(name) for name in devices or _all_gpus()]
    row_bytes = similarity.dimension * similarity.embedding.dtype.itemsize
    n_rows = max(gallery_block, min(chunk_bytes // row_bytes, -(-gallery.size // len(used))))
    starts = range(0, gallery.size, n_rows)
    query_bytes = row_bytes + BYTES_PER_POINT * n_points + BYTES_PER_EXCLUDED * np.diff(excluded.start)
    progress = _Progress(point_start.size - 1, with_points.size * gallery.size, advance)
    with full_precision():
        tables = {}
        for device in used:
            with on(device):
                tables[device] = _tables(similarity, precision, device, faiss)
        for members in _panels(with_points, query_bytes[with_points], panel_bytes):
            start, own = gather(point_start, members)
            excluded_start, own_excluded = gather(excluded.start, members)
            excluded_place = place[excluded.values[own_excluded]]
            panel = Panel(queries[members], start, points[own], excluded_start, excluded_place)
            chunks = _Shared((first, gallery[order[first : first + n_rows]]) for first in starts)
            work = partial(_count_chunks, similarity, panel, tables, chunks, query_block, gallery_block, progress)
            for above, tied in _on_all(work, used, chunks):
                counts.above[own] += above
                counts.tied[own] += tied
    progress.finish()
    return counts


def describe(*, faiss: bool = True) -> str:
    """This engine's name in a result, such as "gpu (faiss 1.14.1, torch 2.11.0, NVIDIA H200)"."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    module, _ = products.find_faiss() if faiss else (None, "")
    parts = [] if module is None else [f"faiss {module.__version__}"]
    parts.append(f"torch {torch.__version__.partition('+')[0]}")
    parts.extend(f"{names.count(name)} x {name}" if names.count(name) > 1 else name for name in dict.fromkeys(names))
    return f"gpu ({', '.join(parts)})"


def why_no_faiss() -> str:
    """Why faiss does not compute the tables, in words that follow "faiss"; empty if it does."""
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
    """Reports finished queries from the number of finished pairs, in any thread."""

    def __init__(self, n_queries: int, n_pairs: int, advance: Callable[[int], None]) -> None:
        self.n_queries, self.n_pairs, self.advance = n_queries, n_pairs, advance
        self.lock, self.pairs, self.n_reported = threading.Lock(), 0, 0

    def add(self, pairs: int) -> None:
        with self.lock:
            self.pairs += pairs
            self._report(self.n_queries * self.pairs // max(1, self.n_pairs))

    def finish(self) -> None:
        with self.lock:
            self._report(self.n_queries)

    def _report(self, queries: int) -> None:
        if queries > self.n_reported:
            self.advance(queries - self.n_reported)
            self.n_reported = queries


def _on_all(
    work: Callable[[torch.device], tuple[IntArray, IntArray]], devices: Sequence[torch.device], chunks: _Shared
) -> list[tuple[IntArray, IntArray]]:
    """Run on every device; a single device runs in this thread, so that an interrupt stops it at once."""
    if len(devices) == 1:
        return [work(devices[0])]
    with ThreadPoolExecutor(len(devices)) as pool:
        futures = [pool.submit(work, device) for device in devices]
        try:
            return [future.result() for future in futures]
        finally:
            chunks.stopped = True  # after a failure or an interrupt the other devices stop


def _count_chunks(
    similarity: Similarity,
    panel: Panel,
    tables: dict[torch.device, list[MakeTable]],
    chunks: _Shared,
    query_block: int,
    gallery_block: int,
    progress: _Progress,
    device: torch.device,
) -> tuple[IntArray, IntArray]:
    """Count on one device the chunks that no other device has taken."""
    with on(device):
        query_block, gallery_block = _fitting_blocks(query_block, gallery_block, device)
        tally = Tally(
            similarity,
            panel,
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
    """Make a device the current one, whose stream faiss uses, and refuse work that does not fit into its memory."""
    with torch.cuda.device(device if device.type == "cuda" else -1):
        try:
            yield
        except torch.cuda.OutOfMemoryError:
            raise out_of_memory(device) from None


def _tables(similarity: Similarity, precision: Precision | None, device: torch.device, faiss: bool) -> list[MakeTable]:
    """How a device computes its tables, least precise first; a matrix product outside its error bound is not used."""
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


def _fitting_blocks(query_block: int, gallery_block: int, device: torch.device) -> tuple[int, int]:
    """Sizes of blocks that fit into the device's free memory even when every pair is open."""
    if device.type != "cuda":
        return query_block, gallery_block
    free, _ = torch.cuda.mem_get_info(device)
    while query_block * gallery_block * BYTES_PER_PAIR > free and max(query_block, gallery_block) > 1:
        if query_block > gallery_block:
            query_block //= 2
        else:
            gallery_block //= 2
    return query_block, gallery_block


def _panels(with_points: IntArray, sizes: IntArray, limit: int) -> Iterator[IntArray]:
    """Groups of queries that fit on a device together, at least one query each."""
    total = np.cumsum(sizes)
    first = 0
    while first < with_points.size:
        before = int(total[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(total, before + limit, "right")))
        yield with_points[first:last]
        first = last


def _all_gpus() -> list[str]:
    return [f"cuda:{index}" for index in range(torch.cuda.device_count())]


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 products in full float32 inside this context, whatever the process has chosen."""
    matmul = torch.backends.cuda.matmul
    reduced, newer = matmul.allow_fp16_reduced_precision_reduction, getattr(matmul, "fp32_precision", None)
    try:
        precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # the process chose by `fp32_precision` of torch 2.9, which the older function rejects
        precision = "highest"
    torch.set_float32_matmul_precision("highest")  # sets the newer option too
    matmul.allow_fp16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        if newer is not None:
            matmul.fp32_precision = newer
        matmul.allow_fp16_reduced_precision_reduction = reduced
