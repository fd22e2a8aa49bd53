"""The compiled inner loops of retrieval: counting without sorting, and the definition of similarity, side by side.

In come float32 products of a block of queries with a block of gallery images; counts come out. A value is mapped, by a
monotone function, to one of a few thousand buckets per query, and a table says how many points lie below the bucket.
Only a bucket that overlaps the error interval of a point leaves its values open: those are compared with the point,
then computed again in float64, and what even that leaves open is computed by the definition of `retrieve.similarity`.
numba neither reorders nor fuses floating-point operations unless it is told to, so the definition can be written here
as it reads: sums one by one in index order, each product and each sum rounded.

Whole numbers that index are unsigned where it matters: numba would test signed ones for being negative.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from piq_bench.records import BoolArray, Float32Array, FloatArray, IntArray

Int32Array = NDArray[np.int32]
UnsignedArray = NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]

LANES = 64  # images whose definitions are summed side by side, enough to hide the latency of an addition
TERMS = 4  # of a definition added in one go: fewer loads and stores of the sums
FEW_POINTS = 1024  # fewer are worth being read from end to end, since their error intervals are in no cache
SAMPLED = 8  # a query's products with one in so many blocks are sampled
RUN = 128  # values mapped at a time: they stay in the first cache
LEAST_WIDTH = np.float32(2.0**-100)  # of all points of a query, if they are one
F32 = np.float32
U64 = np.uint64


class Points(NamedTuple):
    """What is counted against; one list of points per query.

    Attributes:
        vectors: shape (n_queries, dimension); stored values.
        norm: shape (n_queries,).
        start: shape (n_queries + 1,); query q has points start[q] to start[q + 1].
        exact: shape (n_points,); similarities by definition, ascending within a query.
        target: shape (n_points,); the same as products would have them.
        edges: shape (n_points, 2), float32; products below the first lie below the point, above the second above it.
        reach: shape (n_queries,); error bound of a product whose value is zero.
        slope: shape (n_queries,); what the bound grows by for each unit of the value.
        reach64: shape (n_queries,); error bound of float64 products.
        table: shape (n_queries, n_buckets + 2), uint16 or uint32; how many points lie below each bucket; the highest
            bit marks buckets that overlap the interval from `low` to `high` of a point.
        base: shape (n_queries,); the product at which bucket 1 begins.
        scale: shape (n_queries,); buckets per unit.
        left_out: shape (n_left_out,), int32; places in the gallery that are not counted, ascending within a query.
        left_out_first: shape (n_queries,); where a query's places begin in `left_out`.
        left_out_last: shape (n_queries,); and end.
    """

    vectors: Float32Array
    norm: FloatArray
    start: IntArray
    exact: FloatArray
    target: FloatArray
    edges: Float32Array
    reach: FloatArray
    slope: FloatArray
    reach64: FloatArray
    table: UnsignedArray
    base: Float32Array
    scale: Float32Array
    left_out: Int32Array
    left_out_first: IntArray
    left_out_last: IntArray


class Images(NamedTuple):
    """A block of the gallery.

    Attributes:
        vectors: shape (n_images, dimension); stored values.
        norm: shape (n_images,).
        columns: shape (n_groups, dimension, LANES); room for what the definition works on.
        built: shape (n_groups,); which of it is filled.
        first: place of the first image in the gallery.
    """

    vectors: Float32Array
    norm: FloatArray
    columns: FloatArray
    built: BoolArray
    first: int


@njit(nogil=True, cache=True, inline="always")
def _bucket(value: np.float32, base: np.float32, scale: np.float32, top: np.float32) -> np.int32:
    """From 0, below everything, to top + 1; never falls when the value rises."""
    place = (value - base) * scale
    place = place if place > F32(-1.0) else F32(-1.0)
    place = place if place < top else top
    return np.int32(place + F32(1.0))


@njit(nogil=True, cache=True)
def fill_tables(points: Points, ceiling: Float32Array, first_query: int, last_query: int) -> None:
    """Make edges and tables of some queries.

    Args:
        points: `edges`, `table`, `base` and `scale` are written; every query has a point.
        ceiling: shape (n_queries,); products above it are few: they share a bucket if points are there.
        first_query: the first of the queries.
        last_query: the first after them.
    """
    edges, base, scale = points.edges, points.base, points.scale
    n_buckets = points.table.shape[1] - 2
    top = F32(n_buckets)
    mark = 1 << (8 * points.table.itemsize - 1)
    for query in range(first_query, last_query):
        first, last = points.start[query], points.start[query + 1]
        for point in range(first, last):
            error = points.reach[query] + points.slope[query] * abs(points.target[point])
            edges[point, 0] = F32(points.target[point] - error)
            edges[point, 1] = F32(points.target[point] + error)
        base[query], highest = edges[first, 0], edges[last - 1, 1]
        if base[query] < ceiling[query] < highest:
            highest = ceiling[query]
        scale[query] = F32(n_buckets - 1) / max(highest - base[query], LEAST_WIDTH)
        row = points.table[query]
        row[0] = 0
        filled = 1
        for point in range(first, last):
            begin = _bucket(edges[point, 0], base[query], scale[query], top)
            end = _bucket(edges[point, 1], base[query], scale[query], top)
            while filled < begin:
                row[filled] = point - first
                filled += 1
            while filled <= end:
                row[filled] = (point - first) | mark
                filled += 1
        while filled < n_buckets + 2:
            row[filled] = last - first
            filled += 1


@njit(nogil=True, cache=True)
def count_block(
    products: Float32Array,
    points: Points,
    first_query: int,
    images: Images,
    is_cosine: bool,
    counts: Int32Array,
    tied: Int32Array,
) -> tuple[float, int, int]:
    """Count a block of images around the points of a block of queries.

    Args:
        products: shape (n_rows, n_images), float32; overwritten.
        points: of all queries.
        first_query: the query of the first row.
        images: the block.
        is_cosine: else euclidean.
        counts: shape (n_points + n_queries,), int32, added to: for query q, from start[q] + q on, how many images have
            0, 1, ... points below them; those that have none need not be counted.
        tied: shape (n_points,), int32, added to: images equal to the point.

    Returns:
        The largest error of a product among those that were computed again, in units of `reach`; how many were; and
        how many needed the definition.
    """
    n_rows, n_images = products.shape
    dimension = images.vectors.shape[1]
    n_buckets = points.table.shape[1] - 2
    top = F32(n_buckets)
    mark = 1 << (8 * points.table.itemsize - 1)
    table = np.empty_like(points.table[0])
    odd_counts = np.zeros(FEW_POINTS, np.int32)
    near_edges = np.empty((FEW_POINTS, 2), np.float32)
    bucket = np.empty(RUN, np.uint16)
    open_image = np.empty(n_images, np.int64)
    open_point = np.empty(n_images, np.int64)
    worst, n_again, n_defined = 0.0, 0, 0
    for row in range(n_rows):
        query = first_query + row
        products_of_row = products[row]
        reach, slope = points.reach[query], points.slope[query]
        first, last = points.start[query], points.start[query + 1]
        count = counts[first + query : last + query + 1]
        vector, norm = points.vectors[query], points.norm[query]

        # A sample of products, if possible of images left out, tells how far products are off.
        end = points.left_out_last[query]
        index = _first_not_below(points.left_out, points.left_out_first[query], end, images.first)
        is_sampled = (query + images.first) % SAMPLED == 0
        if is_sampled:
            image = (query * 40503 + images.first) % n_images
            if index < end:
                image = min(points.left_out[index] - images.first, n_images - 1)
            exact = _product(vector, norm, images, image, is_cosine)
            worst = max(worst, abs(np.float64(products_of_row[image]) - exact) / (reach + slope * abs(exact)))
        while index < end and points.left_out[index] - images.first < n_images:
            products_of_row[points.left_out[index] - images.first] = -np.inf
            index += 1

        _copy(points.table[query], table)  # from end to end, since it is in no cache
        base, scale = points.base[query], points.scale[query]
        n_open = 0
        n_points = last - first
        is_short = n_points < FEW_POINTS
        odd = odd_counts if is_short else count
        for run in range(0, n_images, RUN):
            if _to_buckets(products_of_row[run : run + RUN], base, scale, top, bucket):
                end = min(run + RUN, n_images)
                n_open = _look_up(
                    bucket[: end - run], table, U64(mark), count, odd, run, open_image, open_point, n_open
                )
        if is_short:
            for index in range(n_points + 1):
                count[index] += odd[index]
            for index in range(n_points + 1):
                odd[index] = 0
        if n_open == 0:
            continue

        # Most open products lie beside the interval of their bucket's only point; without a branch, as it is a guess.
        edges = points.edges[first:last]
        if is_short:
            _copy(edges.ravel(), near_edges.ravel())
            edges = near_edges[:n_points]
        n_left = 0
        for index in range(n_open):
            image, below = open_image[index], open_point[index]
            value = products_of_row[image]
            below += np.int64(edges[below, 1] < value)
            is_left = int((below < n_points) & (edges[min(below, n_points - 1), 0] <= value))
            count[below] += np.int32(1 - is_left)
            open_image[n_left], open_point[n_left] = image, below
            n_left += is_left
        target, reach64 = points.target[first:last], points.reach64[query]
        n_open = n_left
        n_left = 0
        for index in range(n_open):
            image, value = open_image[index], products_of_row[open_image[index]]
            below = _skip(edges[:, 1], open_point[index], np.float64(value))
            if below < n_points and edges[below, 0] <= value:
                n_again += 1
                exact = _product(vector, norm, images, image, is_cosine)
                worst = max(worst, abs(np.float64(value) - exact) / (reach + slope * abs(exact)))
                below = _skip(target, below, exact - reach64)
                if below < target.size and target[below] - reach64 <= exact:
                    open_image[n_left] = image
                    n_left += 1
                    continue
            count[below] += np.int32(1)
        if n_left == 0:
            continue
        n_defined += n_left
        exact_points = points.exact[first:last]
        one = np.empty(dimension, np.float64)
        for index in range(dimension):
            one[index] = np.float64(vector[index]) / norm if is_cosine else np.float64(vector[index])
        group = -1
        sums = np.empty(LANES)
        for index in range(n_left):
            image = open_image[index]
            if image // LANES != group:
                group = image // LANES
                if not images.built[group]:
                    _fill_columns(images, group, is_cosine)
                _define(one, images.columns[group], is_cosine, sums)
            exact = sums[image % LANES]
            below = np.searchsorted(exact_points, exact)
            count[below] += np.int32(1)
            while below < target.size and exact_points[below] == exact:
                tied[first + below] += np.int32(1)
                below += 1
    return worst, n_again, n_defined


@njit(nogil=True, cache=True)
def _to_buckets(
    values: Float32Array, base: np.float32, scale: np.float32, top: np.float32, bucket: UnsignedArray
) -> bool:
    """Write the bucket of each value; whether any is above the lowest. In a form that compilers do with vectors."""
    highest = np.int32(0)
    for index in range(values.size):
        found = _bucket(values[index], base, scale, top)
        bucket[index] = found
        highest = highest if highest > found else found
    return bool(highest > 0)


@njit(nogil=True, cache=True)
def _look_up(
    bucket: UnsignedArray,
    table: UnsignedArray,
    mark: np.uint64,
    even: Int32Array,
    odd: Int32Array,
    first: int,
    open_image: IntArray,
    open_point: IntArray,
    n_open: int,
) -> int:
    """Count the values whose bucket decides, and list the others from `n_open` on: images from `first`, and points.

    Neighbours are counted apart: most fall below the same few points, and to add to a number that was just written
    takes its time.
    """
    n_listed, whole = U64(n_open), bucket.size - bucket.size % 2
    for index in range(0, whole, 2):
        entry = U64(table[U64(bucket[index])])
        if entry < mark:
            even[entry] += np.int32(1)
        else:
            open_image[n_listed] = first + index
            open_point[n_listed] = np.int64(entry - mark)
            n_listed += U64(1)
        neighbour = U64(table[U64(bucket[index + 1])])
        if neighbour < mark:
            odd[neighbour] += np.int32(1)
        else:
            open_image[n_listed] = first + index + 1
            open_point[n_listed] = np.int64(neighbour - mark)
            n_listed += U64(1)
    for index in range(whole, bucket.size):
        last = U64(table[U64(bucket[index])])
        if last < mark:
            even[last] += np.int32(1)
        else:
            open_image[n_listed] = first + index
            open_point[n_listed] = np.int64(last - mark)
            n_listed += U64(1)
    return int(n_listed)


@njit(nogil=True, cache=True)
def _copy(source: UnsignedArray | Float32Array, target: UnsignedArray | Float32Array) -> None:
    """As `target[: source.size] = source`, which numba does not compile to vectors."""
    for index in range(source.size):
        target[index] = source[index]


@njit(nogil=True, cache=True)
def _first_not_below(places: Int32Array, low: int, high: int, place: int) -> int:
    """The first index from `low` to before `high` whose place is not below `place`, or `high`."""
    while low < high:
        middle = (low + high) // 2
        if places[middle] < place:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _product(vector: Float32Array, norm: float, images: Images, image: int, is_cosine: bool) -> float:
    """What a product would be without rounding errors, but for those of float64."""
    dot, other_norm = _dot(vector, images.vectors[image]), float(images.norm[image])
    if is_cosine:
        return dot / (norm * other_norm)
    return dot - other_norm * other_norm / 2.0


@njit(nogil=True, cache=True)
def _skip(target: FloatArray | Float32Array, first: int, bound: float) -> int:
    """The first index from `first` on whose target is not below the bound; it is near as a rule."""
    step = 1
    while first < target.size and target[first] < bound:
        last, first, step = first, first + step, 2 * step
    if step <= 2:
        return first
    low, high = last + 1, min(first, target.size)
    while low < high:
        middle = (low + high) // 2
        if target[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def _dot(one: Float32Array, other: Float32Array) -> float:
    """Sum of products in float64, in whatever order is fastest."""
    total = 0.0
    for index in range(one.size):
        total += np.float64(one[index]) * np.float64(other[index])
    return total


@njit(nogil=True, cache=True)
def _fill_columns(images: Images, group: int, is_cosine: bool) -> None:
    """What the definition works on, for LANES images side by side: values, divided by their norm under cosine."""
    columns = images.columns[group]
    first = group * LANES
    for lane in range(min(LANES, images.vectors.shape[0] - first)):
        norm = images.norm[first + lane] if is_cosine else 1.0
        vector = images.vectors[first + lane]
        for index in range(vector.size):
            columns[index, lane] = np.float64(vector[index]) / norm
    images.built[group] = True


@njit(nogil=True, cache=True)
def _define(one: FloatArray, columns: FloatArray, is_cosine: bool, sums: FloatArray) -> None:
    """The definition: one image, shape (dimension,), with LANES images, shape (dimension, LANES), into `sums`."""
    sums[:] = 0.0
    whole = one.size - one.size % TERMS
    if is_cosine:
        for index in range(0, whole, TERMS):
            v0, v1, v2, v3 = one[index], one[index + 1], one[index + 2], one[index + 3]
            c0, c1, c2, c3 = columns[index], columns[index + 1], columns[index + 2], columns[index + 3]
            for lane in range(LANES):
                sums[lane] = (((sums[lane] + v0 * c0[lane]) + v1 * c1[lane]) + v2 * c2[lane]) + v3 * c3[lane]
        for index in range(whole, one.size):
            for lane in range(LANES):
                sums[lane] += one[index] * columns[index, lane]
    else:
        for index in range(0, whole, TERMS):
            v0, v1, v2, v3 = one[index], one[index + 1], one[index + 2], one[index + 3]
            c0, c1, c2, c3 = columns[index], columns[index + 1], columns[index + 2], columns[index + 3]
            for lane in range(LANES):
                d0, d1, d2, d3 = v0 - c0[lane], v1 - c1[lane], v2 - c2[lane], v3 - c3[lane]
                sums[lane] = (((sums[lane] - d0 * d0) - d1 * d1) - d2 * d2) - d3 * d3
        for index in range(whole, one.size):
            for lane in range(LANES):
                difference = one[index] - columns[index, lane]
                sums[lane] -= difference * difference


@njit(nogil=True, cache=True)
def define_table(
    query_vectors: Float32Array, query_norm: FloatArray, images: Images, is_cosine: bool, table: FloatArray
) -> None:
    """The definition for all pairs.

    Args:
        query_vectors: shape (n_queries, dimension).
        query_norm: shape (n_queries,).
        images: with room for all groups of LANES.
        is_cosine: else euclidean.
        table: shape (n_queries, n_images), written.
    """
    one = np.empty(query_vectors.shape[1], np.float64)
    sums = np.empty(LANES)
    n_images = images.vectors.shape[0]
    for group in range(images.built.size):
        _fill_columns(images, group, is_cosine)
        first, last = group * LANES, min((group + 1) * LANES, n_images)
        for row in range(query_vectors.shape[0]):
            norm = query_norm[row] if is_cosine else 1.0
            for index in range(one.size):
                one[index] = np.float64(query_vectors[row, index]) / norm
            _define(one, images.columns[group], is_cosine, sums)
            for lane in range(last - first):
                table[row, first + lane] = sums[lane]


@njit(nogil=True, cache=True)
def unit_rows(vectors: Float32Array, norm: FloatArray) -> Float32Array:
    """Each row divided by its norm, in float64, which holds all norms of float32 rows, and rounded once."""
    unit = np.empty_like(vectors)
    for row in range(vectors.shape[0]):
        for index in range(vectors.shape[1]):
            unit[row, index] = F32(np.float64(vectors[row, index]) / norm[row])
    return unit


@njit(nogil=True, cache=True)
def measure_rows(
    vectors: Float32Array, bits: UnsignedArray, multiplier: UnsignedArray, norm: FloatArray, hashed: UnsignedArray
) -> None:
    """The norm of every row, by definition, and a hash of its bits.

    Args:
        vectors: shape (n_rows, dimension), float32.
        bits: the same as stored, seen as whole numbers without sign.
        multiplier: shape (dimension,), uint64.
        norm: shape (n_rows,), written.
        hashed: shape (n_rows,), uint64, written; sums modulo 2**64.
    """
    for row in range(vectors.shape[0]):
        vector, bit = vectors[row], bits[row]
        total = 0.0
        for index in range(vector.size):
            value = np.float64(vector[index])
            total += value * value
        norm[row] = np.sqrt(total)
        code = U64(0)
        for index in range(bit.size):
            code += U64(bit[index]) * multiplier[index]
        hashed[row] = code


@njit(nogil=True, cache=True)
def sum_counts(
    counts: Int32Array,
    ties: Int32Array,
    start: IntArray,
    first_query: int,
    last_query: int,
    above: IntArray,
    tied: IntArray,
) -> None:
    """From what several threads counted to how many images lie above each point of some queries, and tie with it.

    Args:
        counts: shape (n_threads, n_points + n_queries), as `count_block` has them.
        ties: shape (n_threads, n_points).
        start: shape (n_queries + 1,).
        first_query: the first of the queries.
        last_query: the first after them.
        above: shape (n_points,), written.
        tied: shape (n_points,), written.
    """
    for query in range(first_query, last_query):
        total = 0
        for point in range(start[query + 1] - 1, start[query] - 1, -1):
            here = 0
            for thread in range(counts.shape[0]):
                total += counts[thread, point + query + 1]
                here += ties[thread, point]
            above[point] = total
            tied[point] = here
