"""The compiled inner loops of retrieval: counting without sorting, and the definition of similarity, side by side.

Takes float32 products of a block of queries with a block of gallery images, and counts the images around each query's
points. A monotone function maps a value to one of a few thousand buckets per query, and a table says how many points
are below the bucket. Only a bucket that overlaps the error interval of a point leaves its values open: those are
compared with the point, then computed again in float64, and what even that leaves open is computed by the definition of
`retrieve.similarity`. numba neither reorders nor fuses floating-point operations unless it is asked to, so the
definition can be written here as it reads: sums one by one in index order, each product and each sum rounded.

Unsigned integers are used as indices where speed matters: numba would test signed ones for being negative. Compiling is
waited for on the first run: so memory is allocated outside, and a condition says what `min` or `max` would be a further
function for.

This is the one module over 450 lines. Compiled functions that call each other must share a file: numba's cache on disk
does not notice a change to a compiled function imported from another file, and would keep using the old code.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from piq_bench.records import BoolArray, Float32Array, FloatArray, Int32Array, IntArray
from piq_bench.retrieve.numba_cache import inner, njit

Node = Any  # numba's and llvmlite's objects, which have no types
UnsignedArray = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32] | NDArray[np.uint64]

LANES = 64  # images whose definitions are summed side by side, enough to hide the latency of an addition
SIDE = 16  # values of an image that are transposed into columns at a time
TERMS = 4  # terms of a definition added per pass: fewer loads and stores of the sums
FEW_POINTS = 4096  # with fewer points, computing all their error intervals pays off
SAMPLED = 8  # one in this many blocks is sampled for each query
RUN = 1024  # values listed at a time: they stay in the first-level cache
BUCKET_BITS = 12  # of a listed number; its other 20 bits are the index of a value
MOST_BUCKETS, MOST_IMAGES = (1 << BUCKET_BITS) - 2, 1 << (32 - BUCKET_BITS)
VECTOR = 16  # float32 values in a register of 512 bits
AT_ONCE = 4  # neighbouring values that are counted in separate counters
WORD = 8  # marks that are tested at once
FIRST = 512  # first values of a row, which estimate how many are above the lowest point
MANY = 0.3  # share of them from which on all values are looked up in place
LEAST_WIDTH = np.float32(2.0**-100)  # range that a query's points are given if they are all equal
F32 = np.float32
U32 = np.uint32
U64 = np.uint64
NONE: Any = np.int64(0)  # a plain 0 is a type of its own to numba, for which it compiles once more
ZERO, ONE, TWO, THREE, SHIFT, BUCKET = U64(0), U64(1), U64(2), U64(3), U32(BUCKET_BITS), U32((1 << BUCKET_BITS) - 1)
HALF, LOWER_HALF = U64(32), U64(0xFFFFFFFF)  # of a 64-bit number
AROUND = 1.001  # covers the growth of a point's interval where its target is not the product itself


class Points(NamedTuple):
    """The points around which images are counted; one list of points per query.

    Attributes:
        vectors: shape (n_queries, dimension); stored values of the queries.
        norm: shape (n_queries,); their norms.
        start: shape (n_queries + 1,); query q has points start[q] to start[q + 1].
        exact: shape (n_points,); similarities by definition, ascending within a query.
        target: shape (n_points,); the similarities in the units of products.
        reach: shape (n_queries,); error bound of a product whose value is zero.
        slope: shape (n_queries,); growth of the bound per unit of the value.
        reach64: shape (n_queries,); error bound of float64 products.
        table: shape (n_queries, n_buckets + 2), uint16 or uint32; twice the number of points below each bucket, plus 1
            for buckets that overlap the interval of a point: a product below the interval is below the point, and a
            product above it is above the point.
        base: shape (n_queries,); the product at which bucket 1 begins.
        scale: shape (n_queries,); buckets per unit.
        excluded: shape (n_excluded,), int32; places of images that are not counted, ascending within a query.
        excluded_first: shape (n_queries,); where a query's places begin in `excluded`.
        excluded_last: shape (n_queries,); where they end.
    """

    vectors: Float32Array
    norm: FloatArray
    start: IntArray
    exact: FloatArray
    target: FloatArray
    reach: FloatArray
    slope: FloatArray
    reach64: FloatArray
    table: UnsignedArray
    base: Float32Array
    scale: Float32Array
    excluded: Int32Array
    excluded_first: IntArray
    excluded_last: IntArray


class Images(NamedTuple):
    """A block of the gallery.

    Attributes:
        vectors: shape (n_images, dimension); stored values of the images.
        norm: shape (n_images,); their norms.
        columns: shape (n_groups, n_terms, LANES), zero at first; a buffer for the values that the definition sums.
        built: shape (n_groups,); which groups of LANES images are filled in.
        first: place of the first image in the gallery.
    """

    vectors: Float32Array
    norm: FloatArray
    columns: FloatArray
    built: BoolArray
    first: int


class Scratch(NamedTuple):
    """Memory that `count_block` works in, of one thread: numba would compile its allocation for every type of array.

    Attributes:
        table: shape (n_buckets + 2,); a query's row of `Points.table`.
        counters: shape (AT_ONCE * FEW_POINTS,), all zero between two calls; separate counters.
        low, high: shape (FEW_POINTS + 1,); error intervals of a query's points.
        above: shape (RUN + VECTOR,); values of a run: index and bucket, in one number.
        undecided: shape (n_images + 1,); the same of values whose bucket is marked.
        listed: shape (n_images + 1,); index of a value and number of points surely below it, in one number.
        is_above: shape (RUN,), all zero at first; see `_pick_above`.
        picked: shape (RUN // WORD + 1,); see `_pick_above`.
        vector: shape (n_terms,), zero at first; a query in float64, divided by its norm under cosine.
        sums: shape (LANES,); its similarities by definition with a group of images.
    """

    table: UnsignedArray
    counters: Int32Array
    low: Float32Array
    high: Float32Array
    above: UnsignedArray
    undecided: UnsignedArray
    listed: UnsignedArray
    is_above: UnsignedArray
    picked: Int32Array
    vector: FloatArray
    sums: FloatArray


def n_terms(dimension: int) -> int:
    """Terms of a definition: as many as values, and zeros, which change no sum, up to a multiple of TERMS."""
    return -(-dimension // TERMS) * TERMS


def scratch(points: Points, n_images: int) -> Scratch:
    """Memory to count blocks of at most n_images images."""
    return Scratch(
        table=np.empty(points.table.shape[1], points.table.dtype),
        counters=np.zeros(AT_ONCE * FEW_POINTS, np.int32),
        low=np.empty(FEW_POINTS + 1, np.float32),
        high=np.empty(FEW_POINTS + 1, np.float32),
        above=np.empty(RUN + VECTOR, np.uint32),
        undecided=np.empty(n_images + 1, np.uint32),
        listed=np.empty(n_images + 1, np.uint64),
        is_above=np.zeros(RUN, np.uint8),
        picked=np.empty(RUN // WORD + 1, np.int32),
        vector=np.zeros(n_terms(points.vectors.shape[1])),
        sums=np.empty(LANES),
    )


@inner()
def _bucket(value: np.float32, base: np.float32, scale: np.float32, top: np.float32) -> np.int32:
    """The bucket of a value, from 0, below all points, to top + 1; never falls when the value rises."""
    place = (value - base) * scale
    place = place if place > F32(-1.0) else F32(-1.0)
    place = place if place < top else top
    return np.int32(place + F32(1.0))


def fill_tables(points: Points, ceiling: Float32Array, first_query: int, last_query: int) -> None:
    """Fill in the tables of some queries.

    Args:
        points: `table`, `base` and `scale` are written; every query must have a point.
        ceiling: shape (n_queries,); products above it are few and share a bucket, even where there are points.
        first_query: the first of the queries.
        last_query: the first query after them.
    """
    own = slice(first_query, last_query)
    parts = (points.reach[own], points.slope[own], ceiling[own], points.table[own], points.base[own], points.scale[own])
    _fill_tables(points.target, points.start[first_query : last_query + 1], *parts)


@njit(nogil=True)
def _fill_tables(
    targets: FloatArray,
    start: IntArray,
    reaches: FloatArray,
    slopes: FloatArray,
    ceiling: Float32Array,
    table: UnsignedArray,
    base: Float32Array,
    scale: Float32Array,
) -> None:
    """Fill in tables. Their parts one by one: numba would compile all of `Points`, which takes half as long again."""
    n_buckets = table.shape[1] - 2
    top = F32(n_buckets)
    for query in range(start.size - 1):
        target = targets[start[query] : start[query + 1]]
        reach, slope, row = reaches[query], slopes[query], table[query]
        base[query], highest = _low(target[0], reach, slope), _high(target[-1], reach, slope)
        if base[query] < ceiling[query] < highest:
            highest = ceiling[query]
        scale[query] = F32(n_buckets - 1) / max(highest - base[query], LEAST_WIDTH)
        row[0] = 0
        filled = 1
        for point in range(target.size):
            begin = _bucket(_low(target[point], reach, slope), base[query], scale[query], top)
            end = _bucket(_high(target[point], reach, slope), base[query], scale[query], top)
            while filled < begin:
                row[filled] = 2 * point
                filled += 1
            while filled <= end:
                row[filled] = 2 * point + 1
                filled += 1
        while filled < n_buckets + 2:
            row[filled] = 2 * target.size
            filled += 1


@inner()
def _low(target: float, reach: float, slope: float) -> np.float32:
    """Lower end of a point's interval: products below it are below the point."""
    return F32(target - (reach + slope * abs(target)))


@inner()
def _high(target: float, reach: float, slope: float) -> np.float32:
    """Upper end of a point's interval: products above it are above the point."""
    return F32(target + (reach + slope * abs(target)))


@njit(nogil=True)
def count_block(
    products: Float32Array,
    n_rows: int,
    points: Points,
    first_query: int,
    images: Images,
    is_cosine: bool,
    scratch: Scratch,
    counts: Int32Array,
    tied: Int32Array,
) -> tuple[float, int, int]:
    """Count a block of images around the points of a block of queries.

    Args:
        products: shape (n_rows or more, n_images or more), float32; overwritten.
        n_rows: number of queries.
        points: the points of all queries.
        first_query: the query of the first row.
        images: the block of images.
        is_cosine: whether the distance is cosine; otherwise it is euclidean.
        scratch: memory to work in.
        counts: shape (n_points + n_queries,), int32, added to: for query q, from index start[q] + q on, how many images
            have 0, 1, ... points below them; images with no point below them need not be counted.
        tied: shape (n_points,), int32, added to: images equal to the point.

    Returns:
        The largest error of a product that was sampled or computed again, as a share of its bound; the number of open
        products that were computed again; and the number of those that needed the definition.
    """
    n_images, dimension = images.vectors.shape
    n_buckets = points.table.shape[1] - 2
    top = F32(n_buckets)
    table, low, high = scratch.table, scratch.low, scratch.high
    above, undecided, listed = scratch.above, scratch.undecided, scratch.listed
    own_vector, sums = scratch.vector, scratch.sums
    worst, n_again, n_defined = 0.0, 0, 0
    for row in range(n_rows):
        query = first_query + row
        values = products[row, :n_images]
        reach, slope = points.reach[query], points.slope[query]
        first, last = points.start[query], points.start[query + 1]
        count = counts[first + query : last + query + 1]
        vector, norm = points.vectors[query], points.norm[query]

        # A sample of products, of excluded images where possible, measures the error of products.
        end = points.excluded_last[query]
        index = _first_not_below(points.excluded, points.excluded_first[query], end, images.first)
        is_sampled = (query + images.first) % SAMPLED == 0
        if is_sampled:
            image = (query * 40503 + images.first) % n_images
            if index < end:
                image = points.excluded[index] - images.first
                image = image if image < n_images else n_images - 1
            exact = _product(vector, norm, images, image, is_cosine)
            share = abs(np.float64(values[image]) - exact) / (reach + slope * abs(exact))
            worst = share if share > worst else worst
        while index < end and points.excluded[index] - images.first < n_images:
            values[points.excluded[index] - images.first] = -np.inf
            index += 1

        base, scale = points.base[query], points.scale[query]
        n_first, n_above = n_images if n_images < FIRST else FIRST, 0
        for index in range(n_first):
            n_above += values[index] >= base
        is_many = n_above >= MANY * n_first
        for index in range(table.size):  # read once in order, since it is in no cache
            table[index] = points.table[query, index]
        n_open = NONE
        n_points = last - first
        is_short = n_points < FEW_POINTS
        counters, apart = (scratch.counters, U64(FEW_POINTS)) if is_short else (count, ZERO)
        for run in range(0, n_images, RUN):
            end = run + RUN if run + RUN < n_images else n_images
            n_above = _list_above(values, run, end, base, scale, top, is_many, above, scratch.is_above, scratch.picked)
            n_open = _look_up(above, n_above, table, counters, apart, undecided, n_open)
        if is_short:
            for index in range(n_points + 1):
                for lane in range(AT_ONCE):
                    count[index] += counters[index + lane * FEW_POINTS]
                    counters[index + lane * FEW_POINTS] = 0
        if n_open == 0:
            continue
        for index in range(n_open):
            one_open = undecided[U64(index)]
            listed[U64(index)] = (U64(one_open >> SHIFT) << HALF) | U64(table[U64(one_open & BUCKET)] >> 1)
        target, reach64 = points.target[first:last], points.reach64[query]
        if is_short:
            n_open = _count_by_interval(values, target, reach, slope, count, listed, n_open, low, high)
        n_left = 0
        for index in range(n_open):
            found, below = _signed(listed[index] >> HALF), _signed(listed[index] & LOWER_HALF)
            count[below] -= np.int32(1)
            image, value = found, np.float64(values[found])
            around = AROUND * (reach + slope * abs(value))
            below = _skip(target, below, value - around)
            if below < n_points and target[below] - around <= value:
                n_again += 1
                exact = _product(vector, norm, images, image, is_cosine)
                share = abs(value - exact) / (reach + slope * abs(exact))
                worst = share if share > worst else worst
                below = _skip(target, below, exact - reach64)
                if below < n_points and target[below] - reach64 <= exact:
                    listed[n_left] = U64(image)
                    n_left += 1
                    continue
            count[below] += np.int32(1)
        if n_left == 0:
            continue
        n_defined += n_left
        exact_points = points.exact[first:last]
        for index in range(dimension):
            own_vector[index] = np.float64(vector[index]) / norm if is_cosine else np.float64(vector[index])
        group = -1
        for index in range(n_left):
            image = _signed(listed[index])
            if image // LANES != group:
                group = image // LANES
                if not images.built[group]:
                    _fill_columns(images, group, is_cosine)
                _define(own_vector, images.columns[group], is_cosine, sums)
            exact = sums[image % LANES]
            below = _skip(exact_points, NONE, exact)
            count[below] += np.int32(1)
            while below < target.size and exact_points[below] == exact:
                tied[first + below] += np.int32(1)
                below += 1
    return worst, n_again, n_defined


@inner()
def _pick_above(
    values: Float32Array,
    first: int,
    last: int,
    base: np.float32,
    scale: np.float32,
    top: np.float32,
    is_many: bool,
    above: UnsignedArray,
    is_above: UnsignedArray,
    picked: Int32Array,
) -> int:
    """List index and bucket of the values from `first` to `last` that are not below `base`; return their number.

    If they are many, the others are listed as well, in bucket 0: that takes less time than to leave them out. Rounding
    may lift one right below `base` to bucket 1, where nothing is decided yet.

    Args:
        values: shape (n_images,); products.
        first: index of the first value.
        last: the first index after the values.
        base: see `Points`.
        scale: see `Points`.
        top: number of buckets.
        is_many: whether many values are expected.
        above: shape (RUN + VECTOR,), uint32, written.
        is_above: shape (RUN,); a buffer.
        picked: shape (RUN // WORD + 1,); a buffer.
    """
    if is_many:
        for index in range(last - first):  # the compiler vectorizes this loop and the next one
            above[index] = U32(first + index) << SHIFT | U32(_bucket(values[first + index], base, scale, top))
        return last - first
    is_above[last - first :] = 0
    for index in range(last - first):
        is_above[index] = np.uint8(values[first + index] >= base)
    words = is_above.view(np.uint64)
    n_picked = U64(0)
    for index in range(words.size):  # without branches, which would be unpredictable
        picked[n_picked] = index
        n_picked += U64(words[U64(index)] != U64(0))
    n_above = U64(0)
    for index in range(n_picked):
        place = U64(picked[U64(index)]) * U64(WORD)
        for lane in range(WORD):
            above[n_above] = U32(place) + U32(lane)
            n_above += U64(is_above[place + U64(lane)])
    for index in range(n_above):
        place = U64(first) + U64(above[U64(index)])
        above[U64(index)] = U32(place) << SHIFT | U32(_bucket(values[place], base, scale, top))
    return _signed(n_above)


def _splat(builder: Node, number: Node, vector: Node) -> Node:
    """A vector whose lanes are all the same number."""
    lanes = ir.VectorType(ir.IntType(32), VECTOR)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(lanes.element, 0))
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), ir.Constant(lanes, [0] * VECTOR))


@intrinsic
def _compress(
    typing: Node, values: Node, first: Node, base: Node, scale: Node, top: Node, above: Node, n_above: Node
) -> tuple[Node, Callable[..., Node]]:
    """List those of VECTOR values from `first` on that are not below `base`, as `_pick_above` does, with AVX-512."""
    signature = types.uint64(values, types.uint64, types.float32, types.float32, types.float32, above, types.uint64)

    def generate(context: Node, builder: Node, signature: Node, given: Node) -> Node:
        values, first, base, scale, top, above, n_above = given
        floats = ir.VectorType(ir.FloatType(), VECTOR)
        numbers = ir.VectorType(ir.IntType(32), VECTOR)
        mask = ir.VectorType(ir.IntType(1), VECTOR)
        source = context.make_array(signature.args[0])(context, builder, values).data
        target = context.make_array(signature.args[5])(context, builder, above).data
        value = builder.load(builder.bitcast(builder.gep(source, [first]), floats.as_pointer()))
        value.align = 4
        is_above = builder.fcmp_ordered(">=", value, _splat(builder, base, floats))
        place = builder.fmul(builder.fsub(value, _splat(builder, base, floats)), _splat(builder, scale, floats))
        highest = _splat(builder, top, floats)
        place = builder.select(builder.fcmp_ordered("<", place, highest), place, highest)
        bucket = builder.fptosi(builder.fadd(place, ir.Constant(floats, [1.0] * VECTOR)), numbers)
        index = _splat(builder, builder.trunc(first, numbers.element), numbers)
        index = builder.add(index, ir.Constant(numbers, list(range(VECTOR))))
        both = builder.or_(builder.shl(index, ir.Constant(numbers, [BUCKET_BITS] * VECTOR)), bucket)
        compress = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(numbers, [numbers, numbers, mask]), "llvm.x86.avx512.mask.compress.v16i32"
        )
        front = builder.call(compress, [both, ir.Constant(numbers, [0] * VECTOR), is_above])
        stored = builder.store(front, builder.bitcast(builder.gep(target, [n_above]), numbers.as_pointer()))
        stored.align = 4
        bits = ir.IntType(VECTOR)
        found = builder.call(builder.module.declare_intrinsic("llvm.ctpop", [bits]), [builder.bitcast(is_above, bits)])
        return builder.add(n_above, builder.zext(found, ir.IntType(64)))

    return signature, generate


@inner()
def _compress_above(
    values: Float32Array,
    first: int,
    last: int,
    base: np.float32,
    scale: np.float32,
    top: np.float32,
    is_many: bool,
    above: UnsignedArray,
    is_above: UnsignedArray,
    picked: Int32Array,
) -> int:
    """Same as `_pick_above`, but never lists a value below `base`; with AVX-512 only."""
    n_above = U64(0)
    whole = first + (last - first) // VECTOR * VECTOR
    for index in range(first, whole, VECTOR):
        n_above = _compress(values, U64(index), base, scale, top, above, n_above)  # type: ignore[call-arg]
    for index in range(whole, last):
        above[n_above] = U32(index) << SHIFT | U32(_bucket(values[index], base, scale, top))
        n_above += U64(values[index] >= base)
    return _signed(n_above)


def _has_avx512() -> bool:
    """Whether the compiler may use AVX-512: numba compiles for this processor unless it is told of another one."""
    return getattr(config, "CPU_NAME", None) is None and bool(binding.get_host_cpu_features().get("avx512f"))


_list_above = _compress_above if _has_avx512() else _pick_above


@inner()
def _look_up(
    above: UnsignedArray,
    n_above: int,
    table: UnsignedArray,
    counters: Int32Array,
    apart: np.uint64,
    undecided: UnsignedArray,
    n_open: int,
) -> int:
    """Count the points below each listed value; append those of marked buckets to `undecided`; return their number.

    Neighbouring values are counted in separate counters, `apart` from each other: most of them add to the same few, and
    adding to a number that was just written is slow.
    """
    n_listed = U64(n_open)
    whole = n_above - n_above % AT_ONCE
    for index in range(0, whole, AT_ONCE):
        place = U64(index)
        n_listed = _look_up_one(above[place], table, counters, ZERO, undecided, n_listed)
        n_listed = _look_up_one(above[place + ONE], table, counters, apart, undecided, n_listed)
        n_listed = _look_up_one(above[place + TWO], table, counters, TWO * apart, undecided, n_listed)
        n_listed = _look_up_one(above[place + THREE], table, counters, THREE * apart, undecided, n_listed)
    for index in range(whole, n_above):
        n_listed = _look_up_one(above[U64(index)], table, counters, ZERO, undecided, n_listed)
    return _signed(n_listed)


@inner()
def _look_up_one(
    listed: np.uint32,
    table: UnsignedArray,
    counters: Int32Array,
    first: np.uint64,
    undecided: UnsignedArray,
    n_open: np.uint64,
) -> np.uint64:
    """Look up one value; return the number of undecided ones. Without a branch: those are counted as well."""
    entry = U64(table[U64(listed & BUCKET)])
    counters[(entry >> ONE) + first] += np.int32(1)
    undecided[n_open] = listed
    return n_open + (entry & ONE)


@inner()
def _count_by_interval(
    values: Float32Array,
    target: FloatArray,
    reach: float,
    slope: float,
    count: Int32Array,
    listed: UnsignedArray,
    n_open: int,
    low: Float32Array,
    high: Float32Array,
) -> int:
    """Count listed values outside the interval of their bucket's only point, as most are; return how many are left.

    Args:
        values: shape (n_images,); products.
        target: shape (n_points,); see `Points`.
        reach: the query's `reach`; see `Points`.
        slope: the query's `slope`; see `Points`.
        count: shape (n_points + 1,); images by number of points below them, changed.
        listed: shape (n_images + 1,); values that are left are moved to its front.
        n_open: number of listed values.
        low: buffer for n_points + 1 numbers.
        high: buffer for n_points + 1 numbers.
    """
    n_points = U64(target.size)
    for point in range(target.size):
        low[point], high[point] = _low(target[point], reach, slope), _high(target[point], reach, slope)
    low[n_points] = high[n_points] = np.inf
    n_left = U64(0)
    for index in range(n_open):
        image, below = listed[U64(index)] >> HALF, listed[U64(index)] & LOWER_HALF
        value = values[image]
        count[below] -= np.int32(1)
        below += U64(high[below] < value)
        is_left = U64(low[below] <= value)
        count[below] += np.int32(1)
        listed[n_left] = (image << HALF) | below
        n_left += is_left
    return _signed(n_left)


@inner()
def _signed(number: np.uint64) -> int:
    """A signed copy: an unsigned number mixed with signed ones would become a float."""
    return np.int64(number)  # type: ignore[return-value]


@inner()
def _first_not_below(places: Int32Array, low: int, high: int, place: int) -> int:
    """The first index from `low` to before `high` whose place is not below `place`, or `high`."""
    while low < high:
        middle = (low + high) // 2
        if places[middle] < place:
            low = middle + 1
        else:
            high = middle
    return low


@inner()
def _product(vector: Float32Array, norm: float, images: Images, image: int, is_cosine: bool) -> float:
    """A product computed in float64."""
    dot, other_norm = _dot(vector, images.vectors[image]), float(images.norm[image])
    if is_cosine:
        return dot / (norm * other_norm)
    return dot - other_norm * other_norm / 2.0


@inner()
def _skip(target: FloatArray | Float32Array, first: int, bound: float) -> int:
    """The first index from `first` on whose target is not below the bound; usually it is near."""
    step = 1
    while first < target.size and target[first] < bound:
        last, first, step = first, first + step, 2 * step
    if step <= 2:
        return first
    low, high = last + 1, first if first < target.size else target.size
    while low < high:
        middle = (low + high) // 2
        if target[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@inner(fastmath={"reassoc", "contract"})
def _dot(one: Float32Array, other: Float32Array) -> float:
    """Sum of products in float64, in whatever order is fastest."""
    total = 0.0
    for index in range(one.size):
        total += np.float64(one[index]) * np.float64(other[index])
    return total


@inner()
def _fill_columns(images: Images, group: int, is_cosine: bool) -> None:
    """Fill in what the definition sums for LANES images side by side: values, divided by their norm under cosine."""
    columns = images.columns[group]
    first, dimension = group * LANES, images.vectors.shape[1]
    last = first + LANES if first + LANES < images.vectors.shape[0] else images.vectors.shape[0]
    for begin in range(0, dimension, SIDE):  # a square of both arrays fits into the first cache
        end = begin + SIDE if begin + SIDE < dimension else dimension
        for image in range(first, last):
            norm = images.norm[image] if is_cosine else 1.0
            vector = images.vectors[image]
            for index in range(begin, end):
                columns[index, image - first] = np.float64(vector[index]) / norm
    images.built[group] = True


@inner()
def _define(one: FloatArray, columns: FloatArray, is_cosine: bool, sums: FloatArray) -> None:
    """Write into `sums` the similarities by definition of one image, shape (n_terms,), with LANES in `columns`."""
    for lane in range(LANES):
        sums[lane] = 0.0
    for index in range(0, one.size, TERMS):
        v0, v1, v2, v3 = one[index], one[index + 1], one[index + 2], one[index + 3]
        c0, c1, c2, c3 = columns[index], columns[index + 1], columns[index + 2], columns[index + 3]
        if is_cosine:
            for lane in range(LANES):
                sums[lane] = (((sums[lane] + v0 * c0[lane]) + v1 * c1[lane]) + v2 * c2[lane]) + v3 * c3[lane]
        else:
            for lane in range(LANES):
                d0, d1, d2, d3 = v0 - c0[lane], v1 - c1[lane], v2 - c2[lane], v3 - c3[lane]
                sums[lane] = (((sums[lane] - d0 * d0) - d1 * d1) - d2 * d2) - d3 * d3


@njit(nogil=True)
def write_definitions(
    queries: FloatArray,
    images: Images,
    is_cosine: bool,
    values: FloatArray,
    first_value: IntArray,
) -> None:
    """Write the similarities by definition of all pairs.

    Args:
        queries: shape (n_queries, n_terms); values of the queries, divided by their norm under cosine, then zeros.
        images: the images, whose buffer must hold all groups of LANES.
        is_cosine: whether the distance is cosine; otherwise it is euclidean.
        values: array to write into.
        first_value: shape (n_queries,); where a query's n_images numbers begin in `values`.
    """
    n_images = images.vectors.shape[0]
    sums = np.empty(LANES)  # here, where the compiler sees that it is no part of another array
    for group in range(images.built.size):
        _fill_columns(images, group, is_cosine)
        first = group * LANES
        n_lanes = n_images - first if n_images - first < LANES else LANES
        for row in range(queries.shape[0]):
            _define(queries[row], images.columns[group], is_cosine, sums)
            for lane in range(n_lanes):
                values[first_value[row] + first + lane] = sums[lane]


@njit(nogil=True)
def unit_rows(vectors: Float32Array, norm: FloatArray, unit: Float32Array) -> None:
    """Write each row divided by its norm, in float64, which holds all norms of float32 rows and their inverses."""
    for row in range(vectors.shape[0]):
        inverse, vector, written = 1.0 / norm[row], vectors[row], unit[row]
        for index in range(vector.size):
            written[index] = F32(np.float64(vector[index]) * inverse)


@njit(nogil=True)
def measure_rows(
    vectors: Float32Array, bits: UnsignedArray, multiplier: UnsignedArray, norm: FloatArray, hashed: UnsignedArray
) -> None:
    """Write the norm of every row, by definition, and a hash of its bits.

    Args:
        vectors: shape (n_rows, dimension), float32.
        bits: shape (n_rows, dimension); the stored bits as unsigned integers.
        multiplier: shape (dimension,), uint64.
        norm: shape (n_rows,), written.
        hashed: shape (n_rows,), uint64, written; sums of bits times multiplier, modulo 2**64.
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
