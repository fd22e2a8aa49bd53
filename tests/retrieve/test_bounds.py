"""Error bounds of fast products against exact fractions, where products are summed in the worst order.

A float32 sum that begins with 1 loses every further term below 2**-24: one by one, n terms are wrong by n roundings,
nearly as much as the bound allows. A matrix product seldom sums like that, so here a loop does.
"""

from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from engine_builders import called_from_python
from retrieve.test_cpu import Distance, Job, clustered, equal, similarity_of

from piq_bench.records import EmbeddingArray, Float32Array
from piq_bench.retrieve import cpu, kernel, plain, products

DIMENSION = 512
LOST = 2.0**-24 * 0.98  # a product that a float32 sum from 1 on loses
LOST_BELOW_1 = LOST / 2


def losing(term: float, n: int = 60, n_queries: int = 12) -> EmbeddingArray:
    """Rows (1, a, a, ..., 0, 0) with a * a = term: queries have no zeros, images have more and more of them."""
    rows = np.zeros((n, DIMENSION), dtype=np.float32)
    rows[:, 0] = 1
    for row in range(n):
        rows[row, 1 : DIMENSION - 8 * max(0, row - n_queries)] = term**0.5
    return rows


def one_by_one(one: Float32Array, other: Float32Array, *, out: Float32Array | None = None) -> Float32Array:
    """A float32 product of matrices, summed in index order."""
    total = np.zeros((one.shape[0], other.shape[1]), dtype=np.float32)
    for index in range(one.shape[1]):
        total += one[:, index, None] * other[None, index]
    if out is not None:
        out[:] = total
    return total


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize(("distance", "term"), [("cosine", LOST_BELOW_1), ("euclidean", LOST)])
def test_products_in_the_worst_order_change_no_count(
    distance: Distance, term: float, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(similarity_of(losing(term), distance), 12, 9)
    expected = plain.count_ranks(*job.given)
    monkeypatch.setattr(products, "np", SimpleNamespace(**{**vars(np), "matmul": one_by_one}))
    assert equal(cpu.count_ranks(*job.given, guarded=guarded, threads=1), expected)
    if guarded and distance == "cosine":  # without the guard the smaller bound would have been believed
        monkeypatch.setattr(cpu, "GUARD", np.inf)
        assert not equal(cpu.count_ranks(*job.given, threads=1), expected)


def exact(one: Float32Array, other: Float32Array) -> Fraction:
    return sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(one, other, strict=True)), Fraction(0))


def proven_points(job: Job, monkeypatch: pytest.MonkeyPatch) -> kernel.Points:
    """The points that the engine makes with the proven bound."""
    made = []
    points_of = cpu._points

    def watched(*given: Any) -> kernel.Points:  # noqa: ANN401
        made.append(points_of(*given))
        return made[-1]

    monkeypatch.setattr(cpu, "_points", watched)
    cpu.count_ranks(*job.given, guarded=False)
    return made[0]


def test_the_proven_bound_holds_for_the_worst_order_and_not_eight_times_over(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = losing(LOST)
    job = Job(similarity_of(rows, "euclidean"), 12, 9)
    points = proven_points(job, monkeypatch)
    query, image = rows[0], rows[20]
    size = float(exact(query, query)) ** 0.5 * float(exact(image, image)) ** 0.5
    error = abs(Fraction(float(one_by_one(query[None], image[:, None])[0, 0])) - exact(query, image))
    assert error > 400 * 2.0**-24 * size  # the rows do what they are made for
    bound = points.reach[1] + points.slope[1] * abs(float(exact(query, image)))
    assert error < bound < 4 * error


def sequential_floats(low: float, high: float, rng: np.random.Generator) -> Float32Array:
    """Float32 values from `low` to `high`: the first and last ones, and some between."""
    first, last = np.float32(low), np.float32(high)
    first = first if first >= low else np.nextafter(first, np.float32(np.inf))
    last = last if last <= high else np.nextafter(last, np.float32(-np.inf))
    return np.concatenate([[first, last], np.clip(rng.uniform(low, high, 30).astype(np.float32), first, last)])


def buckets_of(points: kernel.Points, query: int, values: Float32Array) -> np.ndarray:
    above = np.empty(kernel.RUN + kernel.VECTOR, dtype=np.uint32)
    buffers = np.empty(kernel.RUN, np.uint8), np.empty(kernel.RUN // kernel.WORD + 1, np.int32)
    top = np.float32(points.table.shape[1] - 2)
    given = values, 0, values.size, points.base[query], points.scale[query], top
    assert called_from_python(kernel._pick_above)(*given, True, above, *buffers) == values.size
    return above[: values.size] & kernel.BUCKET


@pytest.mark.parametrize("n_positives", [1, 9, 60])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_every_value_within_the_interval_of_a_point_is_open_and_every_other_bucket_counts_right(
    distance: Literal["cosine", "euclidean"], n_positives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(n_positives)
    job = Job(similarity_of(clustered(rng, 150, 64), distance), 20, n_positives)
    points = proven_points(job, monkeypatch)
    mark = 1
    for query in range(points.norm.size):
        target = points.target[points.start[query] : points.start[query + 1]]
        width = points.reach[query] + points.slope[query] * np.abs(target)
        for low, high in zip(target - width, target + width, strict=True):
            values = sequential_floats(float(low), float(high), rng)
            assert (points.table[query][buckets_of(points, query, values)] & mark).all()
        spread = (2 * (target[-1] - target[0]) + 0.1) * rng.uniform(-1, 1, 300) + target.mean()
        values = spread.astype(np.float32)
        entry = points.table[query][buckets_of(points, query, values)]
        closed = (entry & mark) == 0
        below = (target + width < values[:, None]).sum(axis=1)
        assert (entry[closed] >> 1 == below[closed]).all()
        assert ((target - width > values[:, None]).sum(axis=1)[closed] == target.size - below[closed]).all()
        assert closed.any()


@pytest.mark.parametrize("factor", [1e30, 1e-30])
@pytest.mark.parametrize("which", ["every second row", "queries", "images"])
def test_norms_beyond_float32_products_are_left_to_the_plain_engine(which: str, factor: float) -> None:
    rows = clustered(np.random.default_rng(13), 200, 16)
    chosen = {"every second row": slice(None, None, 2), "queries": slice(0, 20), "images": slice(20, None)}[which]
    rows[chosen] *= np.float32(factor)
    job = Job(similarity_of(rows, "euclidean"), 20, 9)
    with np.errstate(all="ignore"):
        assert equal(cpu.count_ranks(*job.given), plain.count_ranks(*job.given))


def test_norms_at_the_edge_of_what_the_compiled_engine_takes() -> None:
    rows = clustered(np.random.default_rng(14), 10, 16)
    similarity = similarity_of(rows, "euclidean")
    for place, norm, moderate in ((3, 2.0**40, True), (3, 2.0**41, False), (7, 2.0**-40, True), (7, 2.0**-41, False)):
        norms = np.ones(10)
        norms[place] = norm
        object.__setattr__(similarity, "norm", norms)
        assert cpu._norms_are_moderate(similarity, np.arange(10)) is moderate


@pytest.mark.parametrize("kind", ["half", "single"])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_bounds_of_tables_on_a_device_hold_for_the_worst_order(
    distance: Literal["cosine", "euclidean"], kind: str
) -> None:
    torch = pytest.importorskip("torch")
    products = pytest.importorskip("piq_bench.retrieve.gpu_products")
    unscaled = kind == "half"  # its products are of stored values
    # 2**-24 is half a unit in the last place of 1, and a tie goes to the even neighbour, 1. Scaled values are below 1.
    rows = losing(2.0**-24 if unscaled else LOST_BELOW_1 / 2).astype(np.float16 if unscaled else np.float32)
    values = rows.astype(np.float64)
    norm = np.sqrt((values * values).sum(axis=1))
    queries, gallery = (products.Rows(torch.from_numpy(rows[part]), norm[part]) for part in (slice(12), slice(12, 60)))

    def multiply(one: Any, other: Any) -> Any:  # noqa: ANN401
        return torch.from_numpy(one_by_one(one.float().numpy(), other.float().numpy().T))

    make = partial(products.half_table if unscaled else products.single_table, multiply=multiply)
    table = make(queries, gallery, distance)
    worst = 0.0
    for query in range(0, 12, 5):
        for image in range(12, 60, 9):
            dot = exact(rows[query], rows[image])
            if distance == "cosine":
                true = dot / Fraction(float(norm[query])) / Fraction(float(norm[image]))
            else:
                true = 2 * dot - exact(rows[query], rows[query]) - exact(rows[image], rows[image])
            wanted = (true + Fraction(float(table.offset[query]))) * Fraction(float(table.unit[query]))
            error = abs(Fraction(float(table.values[query, image - 12])) - wanted)
            worst = max(worst, float(error) / float(table.bound[query]))
    assert 1 / 8 < worst <= 1
