"""Counts on one device: compares blocks of the gallery with all queries of a panel.

Takes queries with their points and, chunk by chunk, the gallery; returns the counts over those chunks. For each block,
a table of fast similarities is sorted into the error intervals around each query's points: a value between intervals
is counted, a value inside one is open. Open pairs are computed again in float64, summed in any order; pairs that are
still open (ties, and values that differ from one in the last bits) wait for the definition. Where many pairs are open,
the whole table is computed again in float64. No row of the gallery is ever sorted, and all counts are whole numbers,
so neither the order of blocks nor that of a device's threads changes them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from piq_bench.errors import LimitExceeded, Problem
from piq_bench.read.mapped import rows_of
from piq_bench.records import FloatArray, IntArray
from piq_bench.retrieve import gpu_products as products
from piq_bench.retrieve.gpu_products import Rows, Table
from piq_bench.retrieve.similarity import Similarity

MAX_EDGES = 1 << 25  # ends of intervals in a block, including padding
OPEN_SHARE = 1 / 256  # of a block's pairs; above it, a float64 table costs less than float64 sums pair by pair
MAX_WAITING = 1 << 22  # pairs that wait for the definition
LARGEST = float(np.finfo(np.float32).max)

MakeTable = Callable[[Rows, Rows], Table]


@dataclass(frozen=True, eq=False)
class Panel:
    """Queries and their points, on the host.

    Attributes:
        rows: shape (n_queries,); test rows; queries with similar numbers of points are neighbours.
        start: shape (n_queries + 1,); query q has points[start[q]:start[q + 1]], at least one.
        points: shape (n_points,), ascending within a query; see `retrieve.contract`.
        excluded_start: shape (n_queries + 1,); query q has excluded_place[excluded_start[q]:excluded_start[q + 1]].
        excluded_place: shape (n_excluded,); places of images in the order in which the gallery is counted.
    """

    rows: IntArray
    start: IntArray
    points: FloatArray
    excluded_start: IntArray
    excluded_place: IntArray


@dataclass(frozen=True)
class _Block:
    """A range of queries and a range of places in a chunk; `last` is the first one after the range."""

    first_query: int
    last_query: int
    first_place: int
    last_place: int

    def halves(self) -> "list[_Block]":
        """Two blocks that make up this one; none if it is a single pair."""
        n_queries, n_places = self.last_query - self.first_query, self.last_place - self.first_place
        if max(n_queries, n_places) <= 1:
            return []
        if n_queries > n_places:
            middle = self.first_query + n_queries // 2
            edges = ((self.first_query, middle), (middle, self.last_query))
            return [_Block(first, last, self.first_place, self.last_place) for first, last in edges]
        middle = self.first_place + n_places // 2
        edges = ((self.first_place, middle), (middle, self.last_place))
        return [_Block(self.first_query, self.last_query, first, last) for first, last in edges]


class Tally:
    """Counts the chunks that one device is given."""

    def __init__(
        self,
        similarity: Similarity,
        panel: Panel,
        tables: Sequence[MakeTable],
        device: torch.device,
        *,
        query_block: int,
        gallery_block: int,
    ) -> None:
        """Copy the panel to the device.

        Args:
            similarity: similarities of all test rows.
            panel: the queries and their points.
            tables: functions that compute tables: the last one in float64, earlier ones faster and less precise.
            device: the device to count on.
            query_block: largest number of queries per table.
            gallery_block: largest number of gallery images per table.
        """
        self.similarity, self.panel, self.device = similarity, panel, device
        self.tables = list(tables)
        self.query_block, self.gallery_block = query_block, gallery_block
        self.queries = self._rows(panel.rows)
        self.start = self.queries.column(panel.start)
        self.points = self.queries.column(panel.points)
        self.query = self.queries.column(_owners(panel.start))  # (n_points,)
        self.excluded_query = self.queries.column(_owners(panel.excluded_start))  # (n_excluded,)
        self.excluded_place = self.queries.column(panel.excluded_place)
        # Images above exactly `lower` points of query q are counted at index start[q] + q + lower: a query of n points
        # has n + 1 such indices.
        n_bins = panel.points.size + panel.rows.size
        self.placed = torch.zeros(n_bins, dtype=torch.int64, device=device)
        self.ties = torch.zeros(panel.points.size + 1, dtype=torch.int64, device=device)  # steps between points
        self.waiting: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    def add(self, rows: IntArray, offset: int, advance: Callable[[int], None]) -> None:
        """Count a chunk of the gallery.

        Args:
            rows: shape (n_chunk,); test rows of the chunk.
            offset: place of the first of them in the order in which the gallery is counted.
            advance: called with the number of pairs finished since the last call.
        """
        gallery = self._rows(rows)
        for first_place in range(0, rows.size, self.gallery_block):
            last_place = min(first_place + self.gallery_block, rows.size)
            twin = None
            if np.unique(self.similarity.twin[rows[first_place:last_place]]).size < last_place - first_place:
                twin = self.queries.column(self.similarity.twin[rows])
            for first, last in self._query_blocks():
                self._count(_Block(first, last, first_place, last_place), gallery, offset, twin)
                if sum(waiting[0].numel() for waiting in self.waiting) > MAX_WAITING:
                    self._count_waiting(gallery)
                advance((last - first) * (last_place - first_place))
        self._count_waiting(gallery)

    def counts(self) -> tuple[IntArray, IntArray]:
        """Images above each point, and tied with it, in all chunks so far: shape (n_points,) each."""
        total = self.placed.cumsum(0)
        own = torch.arange(self.points.numel(), device=self.device) + self.query  # images not above the point, so far
        above = total[self.start[self.query + 1] + self.query] - total[own]
        tied = self.ties.cumsum(0)[:-1]
        return above.cpu().numpy().astype(np.int64), tied.cpu().numpy().astype(np.int64)

    def _rows(self, rows: IntArray) -> Rows:
        stored = np.ascontiguousarray(rows_of(self.similarity.embedding, self.similarity.order[rows]))
        return Rows(torch.from_numpy(stored).to(self.device), self.similarity.norm[rows])

    def _query_blocks(self) -> list[tuple[int, int]]:
        """Ranges of queries, so small that padding to the largest number of points stays within MAX_EDGES."""
        n_points = np.diff(self.panel.start)
        blocks = []
        first = 0
        while first < n_points.size:
            last = min(first + self.query_block, n_points.size)
            while last - first > 1 and (last - first) * (2 * int(n_points[first:last].max()) + 2) > MAX_EDGES:
                last = first + (last - first) // 2
            blocks.append((first, last))
            first = last
        return blocks

    def _count(self, block: _Block, gallery: Rows, offset: int, twin: torch.Tensor | None) -> None:
        """Count a block, or its halves if the device has too little memory for it."""
        halves: list[_Block] = []
        try:
            self._count_at_once(block, gallery, offset, twin)
        except torch.cuda.OutOfMemoryError:
            halves = block.halves()
            if not halves:
                raise out_of_memory(self.device) from None
        if halves:  # outside the handler, which would keep the failed block's tensors alive
            torch.cuda.empty_cache()
        for half in halves:
            self._count(half, gallery, offset, twin)

    def _count_at_once(self, block: _Block, gallery: Rows, offset: int, twin: torch.Tensor | None) -> None:
        """Count a block; no count changes before every step that may run out of memory is done."""
        queries = self.queries.part(block.first_query, block.last_query)
        images = gallery.part(block.first_place, block.last_place)
        table = self.tables[0](queries, images)
        self._exclude(table.values, block, offset)
        edges, place = self._intervals(block, table)
        n_lower = torch.searchsorted(edges, table.values.float(), right=True, out_int32=True)  # edges not above a value
        n_bins = edges.shape[1] + 1
        histogram = _histogram(n_lower, n_bins)
        decided = histogram[:, ::2].reshape(-1)  # a copy, made before any count changes
        n_open = int(histogram[:, 1::2].sum())
        if n_open > OPEN_SHARE * n_lower.numel() and len(self.tables) > 1:
            del table, n_lower
            self.tables.pop(0)  # data that needs more precision here needs it in later blocks too
            self._count_at_once(block, gallery, offset, twin)
            return
        if n_open:
            row, column = torch.nonzero(n_lower & 1, as_tuple=True)
            del n_lower
            self._count_open(block, queries, images, table, row, column, twin)
        self.placed.index_add_(0, place.reshape(-1), decided)

    def _exclude(self, values: torch.Tensor, block: _Block, offset: int) -> None:
        """Set the values of excluded images below every point."""
        start = self.panel.excluded_start
        own = slice(int(start[block.first_query]), int(start[block.last_query]))
        column = self.excluded_place[own] - (offset + block.first_place)
        inside = (column >= 0) & (column < values.shape[1])
        values[(self.excluded_query[own] - block.first_query)[inside], column[inside]] = -torch.inf

    def _intervals(self, block: _Block, table: Table) -> tuple[torch.Tensor, torch.Tensor]:
        """Ends of the intervals in which a table value decides nothing, and where values between them are counted.

        Returns:
            Edges, shape (n_queries, n_edges), float32, ascending: interval k of a query holds the values from edge 2 k
            to before edge 2 k + 1, rounded outwards. Padded with infinity to an odd number, so that a value that is not
            finite has an odd number of edges not above it, as an open one has. Also the index in `self.placed` for a
            value between intervals, shape (n_queries, (n_edges + 1) / 2): below the first, the second, ...
        """
        start = self.panel.start
        n_edges = 2 * int(np.diff(start[block.first_query : block.last_query + 1]).max()) + 1
        first, last = int(start[block.first_query]), int(start[block.last_query])
        row = self.query[first:last] - block.first_query
        unit, offset, bound = (self.queries.column(values)[row] for values in (table.unit, table.offset, table.bound))
        centre = (self.points[first:last] + offset) * unit
        below, above = torch.full_like(centre, -torch.inf).float(), torch.full_like(centre, torch.inf).float()
        low = torch.nextafter((centre - bound).float(), below).clamp(-LARGEST, LARGEST)
        high = torch.nextafter((centre + bound).float(), above).clamp(-LARGEST, LARGEST)
        end = torch.nextafter(high, above)  # the first value above the interval
        is_first = torch.ones_like(row, dtype=torch.bool)  # in its interval; overlapping ones are merged
        is_first[1:] = (row[1:] != row[:-1]) | (low[1:] >= end[:-1])
        opening = torch.nonzero(is_first).squeeze(1)  # the lowest point of each interval
        closing = torch.cat([opening[1:] - 1, opening.new_tensor([last - first - 1])])
        interval = is_first.cumsum(0) - 1
        interval -= interval[self.start[block.first_query : block.last_query] - first][row]  # within the query
        n_rows = block.last_query - block.first_query
        edges = torch.full((n_rows, n_edges), torch.inf, device=self.device)
        own = row[opening], interval[opening]
        edges[own[0], 2 * own[1]] = low[opening]
        edges[own[0], 2 * own[1] + 1] = end[closing]
        query = torch.arange(block.first_query, block.last_query, device=self.device)
        place = (self.start[query + 1] + query)[:, None].repeat(1, (n_edges + 1) // 2)  # above all points
        place[own] = opening + first + block.first_query + own[0]
        return edges, place

    def _count_open(
        self,
        block: _Block,
        queries: Rows,
        images: Rows,
        table: Table,
        row: torch.Tensor,
        column: torch.Tensor,
        twin: torch.Tensor | None,
    ) -> None:
        """Count the open pairs (row, column) of a block that float64 decides; the others wait for the definition."""
        weight = torch.ones_like(row)
        if twin is not None:  # equal rows have equal similarities: one of them stands for all
            key = row * self.similarity.twin.size + twin[block.first_place + column]
            distinct, which, weight = torch.unique(key, return_inverse=True, return_counts=True)
            kept = torch.zeros_like(distinct).scatter_(0, which, torch.arange(which.numel(), device=self.device))
            row, column = row[kept], column[kept]
        fast = table.values[row, column].double()
        unit, offset, bound = (self.queries.column(values)[row] for values in (table.unit, table.offset, table.bound))
        if len(self.tables) == 1:
            value, error = fast / unit - offset, bound / unit
        else:
            value, error = products.near_pairs(queries, images, self.similarity.distance, row, column)
            is_outside = (fast - (value + offset) * unit).abs() > bound + error * unit
            if bool((is_outside & torch.isfinite(fast)).any()):
                raise RuntimeError(f"a product on {self.device} is further from the definition than its error bound")
        query = row + block.first_query
        lower = self._bisect(query, value - error, right=False)
        known = (lower == self._bisect(query, value + error, right=True)) & torch.isfinite(value)
        rest = ~known
        waiting = query[rest], column[rest] + block.first_place, weight[rest]
        found, times = (lower + query)[known], weight[known]
        self.placed.index_add_(0, found, times)  # from here on nothing needs memory
        self.waiting.append(waiting)

    def _count_waiting(self, gallery: Rows) -> None:
        """Count the waiting pairs by the definition."""
        for query, place, weight in self.waiting:
            for part in range(0, query.numel(), MAX_WAITING):
                own = slice(part, part + MAX_WAITING)
                exact = products.exact_pairs(self.queries, gallery, self.similarity.distance, query[own], place[own])
                lower = self._bisect(query[own], exact, right=False)
                self.placed.index_add_(0, lower + query[own], weight[own])
                self.ties.index_add_(0, lower, weight[own])
                self.ties.index_add_(0, self._bisect(query[own], exact, right=True), -weight[own])
        self.waiting.clear()

    def _bisect(self, query: torch.Tensor, value: torch.Tensor, *, right: bool) -> torch.Tensor:
        """Index in `self.points` of each query's first point not below the value, or above it if `right`."""
        low, high = self.start[query], self.start[query + 1]
        for _ in range(int(np.diff(self.panel.start).max()).bit_length()):
            middle = (low + high) // 2
            point = self.points[middle.clamp(max=self.points.numel() - 1)]
            further = ((point <= value) if right else (point < value)) & (low < high)
            low, high = torch.where(further, middle + 1, low), torch.where(further, high, middle)
        return low


def out_of_memory(device: torch.device) -> LimitExceeded:
    """The error for a device with too little memory."""
    found = f"{device} has too little free memory, even for a small part of the embeddings"
    remedy = "free some of it (see nvidia-smi), or use --engine cpu"
    return LimitExceeded("--engine gpu", [Problem("gpu-memory", "GPU memory", found, remedy)])


def _histogram(number: torch.Tensor, n_bins: int) -> torch.Tensor:
    """Shape (n_queries, n_bins); how often each number below n_bins occurs in each row."""
    n_rows, n_columns = number.shape
    row = torch.arange(n_rows, dtype=torch.int32, device=number.device) * n_bins
    # Neighbours in memory belong to different queries, so that threads that run together add to different bins.
    key = torch.empty((n_columns, n_rows), dtype=torch.int32, device=number.device)
    torch.add(number.T, row, out=key)
    return torch.bincount(key.view(-1), minlength=n_rows * n_bins).view(n_rows, n_bins)


def _owners(start: IntArray) -> IntArray:
    """Shape (n_values,); index of the list that holds each value."""
    return np.repeat(np.arange(start.size - 1), np.diff(start))
