import builders
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from piq_bench.records import NO_GROUP, NO_IDENTITY
from piq_bench.scoring.bootstrap import Clusters, clusters_of, interval, resampled
from piq_bench.scoring.tally import ReidTally, reid_estimates


def test_clusters_are_identities_and_groups_of_the_unlabelled() -> None:
    benchmark = builders.benchmark(np.random.default_rng(1))
    clusters = clusters_of(benchmark)
    assert benchmark.groups is not None
    keys = []
    for row in benchmark.test_rows:
        identity, group = benchmark.identity[row], benchmark.groups.group[row]
        if identity != NO_IDENTITY:
            keys.append(("identity", int(identity)))
        else:
            keys.append(("group", int(group)) if group != NO_GROUP else ("image", int(row)))
    for i, one in enumerate(keys):
        for j, other in enumerate(keys):
            assert (one == other) == (clusters.of_row[i] == clusters.of_row[j])
    assert set(clusters.of_row) == set(range(clusters.total))


def test_each_kind_is_drawn_as_often_as_it_occurs() -> None:
    clusters = clusters_of(builders.benchmark(np.random.default_rng(2)))
    weights = np.concatenate(resampled(np.asarray, clusters, 50, seed=3))
    n_identities = clusters.identity.size
    assert (weights[:, :n_identities].sum(axis=1) == n_identities).all()
    assert (weights[:, n_identities:].sum(axis=1) == clusters.n_groups).all()


def test_draws_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = clusters_of(builders.benchmark(np.random.default_rng(2)))
    one = np.concatenate(resampled(np.asarray, clusters, 40, seed=3))
    monkeypatch.setattr("piq_bench.scoring.bootstrap.CACHE_VALUES", 3 * clusters.n_groups)
    assert (np.concatenate(resampled(np.asarray, clusters, 40, seed=3)) == one).all()
    monkeypatch.setattr("piq_bench.scoring.bootstrap.BLOCK_VALUES", 64)
    blocks = resampled(np.asarray, clusters, 40, seed=3)
    assert len(blocks) > 1
    assert (np.concatenate(blocks) == one).all()
    assert (np.concatenate(resampled(np.asarray, clusters, 40, seed=4)) != one).any()


def test_without_groups_the_identities_are_drawn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = clusters_of(builders.benchmark(np.random.default_rng(2)))
    all_columns = np.concatenate(resampled(np.asarray, clusters, 40, seed=3))
    monkeypatch.setattr("piq_bench.scoring.bootstrap.BLOCK_VALUES", 64)
    identities = np.concatenate(resampled(np.asarray, clusters, 40, seed=3, with_groups=False))
    assert (identities == all_columns[:, : clusters.identity.size]).all()


def test_draws_have_the_bits_that_numpy_promises() -> None:
    """Frozen: the draws are PCG64's own bits, and a change would move every published interval."""
    clusters = clusters_of(builders.benchmark(np.random.default_rng(2)))
    first = resampled(np.asarray, clusters, 1, seed=0)[0][0, : clusters.identity.size]
    raw = np.random.PCG64(np.random.SeedSequence([0, 0])).random_raw(clusters.identity.size)
    drawn = [(int(x) >> 32) * clusters.identity.size >> 32 for x in raw]
    assert first.tolist() == [drawn.count(i) for i in range(clusters.identity.size)]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.5, 0.99))
def test_an_interval_leaves_out_at_most_its_share_on_each_side(values: list[float], level: float) -> None:
    ends = interval(np.array(values), level)
    assert ends is not None
    low, high = ends
    share = (1 - level) / 2 * len(values)
    assert low in values and high in values and low <= high
    assert sum(v < low for v in values) <= share
    assert sum(v > high for v in values) <= share


def test_undefined_resamples_do_not_count() -> None:
    assert interval(np.array([np.nan, 0.5, np.nan]), 0.95) == (0.5, 0.5)
    assert interval(np.array([np.nan]), 0.95) is None


@pytest.mark.parametrize("freedom", [1, 7, 19.5, 403])
def test_an_interval_is_expanded_as_much_as_students_t(freedom: float) -> None:
    factor = stats.t.ppf(0.975, freedom) * np.sqrt((freedom + 1) / freedom)
    ends = interval(np.arange(100_000.0), 0.95, freedom)
    assert ends is not None
    assert ends[0] == np.ceil(100_000 * stats.norm.sf(factor) - 1e-9) - 1 or (freedom == 1 and ends[0] == 0)
    assert ends[1] == 99_999 - ends[0]
    assert interval(np.arange(5.0), 0.95, 0) is None


def test_freedom_is_that_of_the_people_or_of_the_groups_or_between() -> None:
    people = Clusters(np.repeat([0, 1, 2], [5, 5, 5]), np.arange(3), 0)
    assert people.freedom == pytest.approx(2)
    groups = Clusters(np.arange(9), np.empty(0, dtype=np.int64), 9)
    assert groups.freedom == pytest.approx(8)
    both = Clusters(np.concatenate([np.repeat([0, 1, 2], 4), 3 + np.arange(10)]), np.arange(3), 10)
    assert both.freedom == pytest.approx((3 * 16 + 10) ** 2 / ((3 * 16) ** 2 / 2 + 10**2 / 9))
    assert Clusters(np.zeros(4, dtype=np.int64), np.arange(1), 0).freedom == 0
    lone = Clusters(np.array([0, 0, 1, 2, 3]), np.arange(1), 3)  # a person alone does not vary
    assert lone.freedom == pytest.approx(2)


def test_two_people_have_one_degree_of_freedom() -> None:
    assert Clusters(of_row=np.array([0, 0, 1]), identity=np.arange(2), n_groups=0).freedom == 1.0  # 5^2 / (5^2 / 1)
    assert Clusters(of_row=np.array([0, 0]), identity=np.arange(1), n_groups=0).freedom == 0.0


def test_coverage_is_near_the_level_for_a_mean_over_identities() -> None:
    """300 data sets of 60 identities whose true mean is 0.5: the 95% interval holds it in 90 to 99% of them."""
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        values = rng.beta(2, 2, 60)
        weights = np.random.default_rng(seed).multinomial(60, np.full(60, 1 / 60), size=400)
        ends = interval(weights @ values / 60, 0.95)
        assert ends is not None
        held += ends[0] <= 0.5 <= ends[1]
    assert 0.90 * 300 <= held <= 0.99 * 300


def test_the_interval_of_macro_map_holds_the_true_mean_in_about_95_of_100_data_sets() -> None:
    """People are drawn from a population whose mean of average precision is 0.4; each has 1 to 5 queries."""
    rng = np.random.default_rng(5)
    benchmark = builders.benchmark(rng, builders.Size(n_query=200, n_gallery=400, n_identities=60))
    clusters = clusters_of(benchmark)
    held = 0
    for seed in range(300):
        n_queries = rng.integers(1, 6, clusters.identity.size).astype(np.float64)
        precision = rng.beta(2, 3, clusters.identity.size)  # whose mean is 2 / (2 + 3)
        tally = ReidTally(n_queries, {"map": n_queries * precision})
        weights = np.concatenate(resampled(np.asarray, clusters, 400, seed=seed, with_groups=False))
        ends = interval(reid_estimates(tally, weights)["macro_map"], 0.95)
        assert ends is not None
        held += ends[0] <= 0.4 <= ends[1]
    assert 0.90 * 300 <= held <= 0.99 * 300
