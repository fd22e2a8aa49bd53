"""Lists of different lengths, one per query: of gallery images, or of values that ascend within each list."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from os import cpu_count
from typing import Literal

import numpy as np

from piq_bench.records import FloatArray, Int32Array, IntArray

SORTED_AT_ONCE = 256  # lists
MANY_IN_LIST = 16  # values that are searched for in each list: it is searched by itself
Values = IntArray | Int32Array | FloatArray
Side = Literal["left", "right"]


@dataclass(frozen=True, eq=False)
class Ragged:
    """Lists of different lengths, one per query, concatenated.

    Attributes:
        start: shape (n_queries + 1,); list q is `values[start[q]:start[q + 1]]`.
        values: shape (n_values,), int32 to halve the memory; gallery indices, ascending within a list.
    """

    start: IntArray
    values: Int32Array

    def __getitem__(self, query: int) -> Int32Array:
        return self.values[self.start[query] : self.start[query + 1]]

    def __len__(self) -> int:
        return self.start.size - 1


def owners(lists: Ragged) -> IntArray:
    """Shape (n_values,); the query whose list holds each value."""
    return np.repeat(np.arange(len(lists)), np.diff(lists.start))


def gather(start: IntArray, lists: IntArray) -> tuple[IntArray, IntArray]:
    """Concatenate some of many lists: their new starts, and where each of their values is among those of all lists."""
    length = np.diff(start)[lists]
    new_start = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return new_start, np.arange(new_start[-1]) + np.repeat(start[lists] - new_start[:-1], length)


def union(one: Ragged, other: Ragged) -> Ragged:
    """For each query the values of both lists, each once.

    Queries are merged one by one: a rule such as "same camera" excludes a share of the gallery for each of them, and
    arrays of all these pairs would need many times the memory of the lists.
    """
    if one.values.size == 0 or other.values.size == 0:
        return one if other.values.size == 0 else other
    start = one.start + other.start
    bounds = zip(*(each.tolist() for each in (one.start, other.start, start)), strict=True)
    values = np.empty(start[-1], dtype=np.int32)
    is_new = np.ones(values.size, dtype=bool)
    sizes = []
    for (a, b, first), (a_end, b_end, last) in pairwise(bounds):
        own = values[first:last]
        own[: a_end - a] = one.values[a:a_end]
        if b < b_end:
            own[a_end - a :] = other.values[b:b_end]
            own.sort()
            np.not_equal(own[1:], own[:-1], out=is_new[first + 1 : last])
        sizes.append(np.count_nonzero(is_new[first:last]))
    n_values = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return Ragged(n_values, values if n_values[-1] == values.size else values[is_new])


def search_lists(start: IntArray, values: Values, query: IntArray, value: Values, side: Side = "left") -> IntArray:
    """Index into `values` at which each value belongs in the ascending list of its query."""
    if query.size > MANY_IN_LIST * start.size and (query[1:] >= query[:-1]).all():
        found = np.empty(query.size, dtype=np.int64)
        parts = np.searchsorted(query, np.arange(start.size)).tolist()
        for (first, last), (begin, end) in zip(pairwise(start.tolist()), pairwise(parts), strict=True):
            found[begin:end] = values[first:last].searchsorted(value[begin:end], side)
            found[begin:end] += first
        return found
    low, high = start[query], start[query + 1]
    while (low < high).any():
        is_open = low < high
        middle = (low + high) // 2
        seen = values[np.where(is_open, middle, 0)]
        is_lower = is_open & ((seen < value) if side == "left" else (seen <= value))
        low = np.where(is_lower, middle + 1, low)
        high = np.where(is_open & ~is_lower, middle, high)
    return low


def sort_lists(values: FloatArray, start: IntArray) -> None:
    """Sort the values of each query in place, ascending.

    Raises:
        ValueError: if one is NaN, which has no rank.
    """
    if np.isnan(values).any():
        raise ValueError("a similarity is NaN, which has no rank")
    bounds = start.tolist()

    def sort(first: int) -> None:
        for query in range(first, min(first + SORTED_AT_ONCE, len(bounds) - 1)):
            values[bounds[query] : bounds[query + 1]].sort()

    with ThreadPoolExecutor(cpu_count() or 1) as pool:
        list(pool.map(sort, range(0, len(bounds) - 1, SORTED_AT_ONCE)))


def order_lists(values: FloatArray, start: IntArray) -> IntArray:
    """Where each value of each query's list, in ascending order, is among all values."""
    order = np.empty(values.size, dtype=np.int64)
    for first, last in pairwise(start.tolist()):
        order[first:last] = values[first:last].argsort()
        order[first:last] += first
    return order
