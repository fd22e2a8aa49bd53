"""Paired comparison of submissions to one benchmark: is the second better than the first, or is it luck?

Takes tallies per cluster of images and computes differences with intervals and p-values. All submissions answer for the
same images, so differences are much more certain than the scores themselves, whose intervals may overlap widely.

* p-values: randomisation test. If two submissions were equally good, it would not matter which of them answered for a
  person. Answers are swapped person by person; the p-value is the share of swaps that give a difference at least as
  large as the observed one. Two-sided, and the observed assignment counts as one of the swaps, so no p-value is 0.
* Intervals: all differences that the test would not refuse. To test a difference other than 0, it is first taken from
  the second submission's part of every person. So an interval leaves 0 out if and only if its p-value is below 5%;
  both are of this one test alone, before any correction.
* Holm's correction of the p-values over everything tested, since the smallest of many p-values is small by itself.

Smucker, Allan, Carterette, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation, 2007;
Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np

from piq_bench.errors import BadUsage, Problem, printable, quoted
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.metrics.labels import macro_f1
from piq_bench.records import CLASSIFICATION, Benchmark, BoolArray, FloatArray, IntArray, Submission, Task
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.bootstrap import Advance, Clusters, clusters_of, resampled
from piq_bench.scoring.inversion import ALPHA, RETRIEVAL_METRICS, SAME, KeptShares, furthest, not_refused
from piq_bench.scoring.records import Interval, Protocol
from piq_bench.scoring.reid import score_reid
from piq_bench.scoring.score import protocol_of
from piq_bench.scoring.swaps import over_swaps
from piq_bench.scoring.tally import EXACT, LabelTally, ReidTally, piq_estimates, reid_estimates, tally_labels

LEVEL = 0.95
POWER = 0.8
RESAMPLES = 1000
SWAPS = 10_000
LONGEST = 400  # most characters of a message

Estimates = Mapping[str, FloatArray]
"""Values of each metric by name, shape (n_weightings,)."""


@dataclass(frozen=True, eq=False)
class Tallied:
    """The tallies of a submission: all that a comparison needs of it.

    Attributes:
        name, content: as in the submission.
        reid: tally of re-id; None where the submission is not scored on it.
        labels: tally of each classification task, by name.
        protocol: protocol under which the tallies were counted.
    """

    name: str
    content: str
    reid: ReidTally | None
    labels: Mapping[str, LabelTally]
    protocol: Protocol


@dataclass(frozen=True)
class Difference:
    """The difference of a pair of submissions in one metric.

    Attributes:
        metric: "piq", "aspects.NAME", "reid.macro_map", "reid.macro_rank1" or "f1.TASK".
        first, second: scores of the two submissions.
        difference: second minus first.
        interval: interval of the difference; leaves 0 out if and only if `p`, which is not corrected, is below 5%.
        p: p-value of the randomisation test.
        p_adjusted: p-value after Holm's correction over all metrics and pairs.
        detectable: smallest difference that would be significant at a level of 5% in 80% of such data sets.
    """

    metric: str
    first: float
    second: float
    difference: float
    interval: Interval
    p: float
    p_adjusted: float
    detectable: float | None

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below 5%."""
        return self.p_adjusted < ALPHA


@dataclass(frozen=True)
class Person:
    """The average precision of one person with both submissions; `identity` is an index into those of the benchmark."""

    identity: int
    first: float
    second: float


@dataclass(frozen=True)
class Pair:
    """The comparison of two submissions.

    Attributes:
        first, second: their indices among the systems.
        differences: one for each metric, in the order of a score.
        identities: people for whom the second has a higher, the same and a lower macro average precision; None
            without re-id.
        people: average precision of each person with a scored query; empty without re-id.
    """

    first: int
    second: int
    differences: tuple[Difference, ...]
    identities: tuple[int, int, int] | None
    people: tuple[Person, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The comparison of all pairs of some submissions.

    Attributes:
        systems: name and content of each submission.
        benchmark: name, version and fingerprint of the benchmark.
        protocol: protocol under which all of them were counted.
        pairs: every pair of submissions, in their order.
        level: level of the intervals.
        resamples, swaps, seed: numbers of bootstrap resamples and of swaps, and the seed of both.
    """

    systems: tuple[Mapping[str, str], ...]
    benchmark: Mapping[str, str]
    protocol: Protocol
    pairs: tuple[Pair, ...]
    level: float
    resamples: int
    swaps: int
    seed: int


def tallied(
    benchmark: Benchmark,
    submission: Submission,
    *,
    ap: str = "non-interpolated",
    engine: Engine = plain.count_ranks,
    advance: Advance = lambda steps: None,
) -> Tallied:
    """Tally what a submission gets right; the options are those of `scoring.score.score`."""
    clusters = clusters_of(benchmark)
    reid: ReidTally | None = None
    if submission.has_retrieval and benchmark.retrieval_task is not None:
        reid, _, _ = score_reid(benchmark, submission, clusters, engine, ap=ap, advance=advance)
    labels = tally_labels(benchmark, submission, clusters)
    return tallied_from(submission, reid, labels, protocol_of(benchmark, ap=ap))


def tallied_from(
    submission: Submission, reid: ReidTally | None, labels: Mapping[str, LabelTally], protocol: Protocol
) -> Tallied:
    """The tallies of a submission that was scored under a protocol, reduced to what a comparison needs."""
    if reid is not None:
        reid = ReidTally(reid.n_queries, {name: reid.total[name] for name in RETRIEVAL_METRICS})
    return Tallied(submission.name, submission.content, reid, labels, protocol)


def metric_scores(benchmark: Benchmark, system: Tallied) -> dict[str, float]:
    """The scores of one submission by metric, named as in `Difference`; equal to those of its score to the last bit."""
    clusters = clusters_of(benchmark)
    values = _weighted(benchmark, system, _side_by_side(system.labels, clusters.total), clusters.once)
    return {name: float(value[0]) for name, value in values.items() if not np.isnan(value[0])}


def compare(
    benchmark: Benchmark,
    systems: Sequence[Tallied],
    *,
    n_resamples: int = RESAMPLES,
    n_swaps: int = SWAPS,
    seed: int = 0,
    advance: Advance = lambda steps: None,
) -> Comparison:
    """Compare every pair of some submissions.

    Args:
        benchmark: benchmark on which all of them were counted.
        systems: at least two submissions.
        n_resamples: number of bootstrap resamples.
        n_swaps: number of swaps of the randomisation test.
        seed: seed of resamples and swaps.
        advance: called with the number of resamples and swaps finished since the last call, all pairs together.

    Raises:
        BadUsage: if there are fewer than two submissions, two have no task in common, or protocols differ.
    """
    if len(systems) < 2:
        raise BadUsage("compare", [Problem("too-few", "submissions", f"got {len(systems)}", "at least two")])
    protocol = systems[0].protocol
    if differing := [system for system in systems if system.protocol != protocol]:
        raise BadUsage("compare", [other_protocol(quoted(each.name), each.protocol, protocol) for each in differing])
    clusters = clusters_of(benchmark)
    compared: list[tuple[int, int, tuple[int, int, int] | None, list[Difference]]] = []
    for first, second in combinations(range(len(systems)), 2):
        a, b = systems[first], systems[second]
        differences = _differences(benchmark, clusters, a, b, n_resamples, n_swaps, seed, advance)
        if not differences:
            names = f"{quoted(a.name)} and {quoted(b.name)}"
            raise BadUsage("compare", [Problem("nothing-common", "tasks", f"{names} share none", "submit the same")])
        compared.append((first, second, _identities(a.reid, b.reid), differences))
    adjusted = iter(holm([difference.p for _, _, _, differences in compared for difference in differences]))
    pairs = tuple(
        Pair(
            first,
            second,
            tuple(replace(each, p_adjusted=next(adjusted)) for each in differences),
            identities,
            _people(clusters, systems[first].reid, systems[second].reid),
        )
        for first, second, identities, differences in compared
    )
    return Comparison(
        systems=tuple({"name": system.name, "content": system.content} for system in systems),
        benchmark={"name": benchmark.name, "version": benchmark.version, "fingerprint": fingerprint(benchmark)},
        protocol=protocol,
        pairs=pairs,
        level=LEVEL,
        resamples=n_resamples,
        swaps=n_swaps,
        seed=seed,
    )


def other_protocol(where: str, found: Protocol, wanted: Protocol) -> Problem:
    """The problem of a result that was counted under another protocol."""
    here, there = asdict(found), asdict(wanted)
    differ = [f"{key} {here[key]!r} instead of {there[key]!r}" for key in here if here[key] != there[key]]
    remedy = "results of different protocols cannot be compared"
    return Problem("other-protocol", where, printable(f"has {', '.join(differ)}", LONGEST), remedy)


def holm(p: Sequence[float]) -> list[float]:
    """P-values after Holm's correction, in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p)
    least = 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        least = max(least, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = least
    return adjusted


def _differences(
    benchmark: Benchmark,
    clusters: Clusters,
    a: Tallied,
    b: Tallied,
    n_resamples: int,
    n_swaps: int,
    seed: int,
    advance: Advance,
) -> list[Difference]:
    """Differences in every metric that both have, with p-values not yet corrected."""
    both = _common(a, b)
    counts = [_side_by_side(system.labels, clusters.total) for system in both]
    scores = [_weighted(benchmark, *each, clusters.once) for each in zip(both, counts, strict=True)]
    first, second = ({name: float(values[0]) for name, values in each.items()} for each in scores)
    repeated = _repeated(benchmark, first)
    names = [name for name in first if name not in repeated and not np.isnan(first[name] + second[name])]

    def difference(weights: FloatArray) -> Estimates:
        one, other = (_weighted(benchmark, *each, weights) for each in zip(both, counts, strict=True))
        return {name: other[name] - one[name] for name in names}

    drawn = resampled(difference, clusters, n_resamples, seed, with_groups=bool(both[0].labels), advance=advance)

    # Identities without a query add nothing; the same have one in both.
    asked = np.flatnonzero([] if both[0].reid is None else both[0].reid.n_queries)
    stacked = _stacked_reid(*both, asked)
    first_sums, second_sums = (count.sum(axis=0) for count in counts)
    n_labels = [tally.true.sum(axis=1, keepdims=True) for tally in both[0].labels.values()]
    columns = np.concatenate([counts[1] - counts[0], *n_labels], axis=1)  # whole numbers, whose sums are exact
    columns = columns.astype(np.float32 if np.abs(columns).sum(axis=0).max(initial=0.0) < EXACT else np.float64)
    shares = KeptShares(benchmark, both[0].reid, both[0].labels)

    def swap(swapped: BoolArray) -> dict[str, tuple[int, tuple[FloatArray, FloatArray]]]:
        """By metric: how many swaps make as much of it, and the differences that each of them supports."""
        change, n_swapped = np.split(swapped.astype(columns.dtype) @ columns, [first_sums.size], axis=1)
        sums = first_sums + change
        swaps_identity = swapped[:, asked]
        one = _estimates(benchmark, stacked, _stacked_weights(~swaps_identity, swaps_identity), sums)
        other_weights, other_sums = _stacked_weights(swaps_identity, ~swaps_identity), first_sums + second_sums - sums
        other = _estimates(benchmark, stacked, other_weights, other_sums)
        kept = shares.of(swapped, n_swapped.astype(np.float64))
        found = {}
        for name in names:
            observed, after = second[name] - first[name], other[name] - one[name]
            n_as_large = int((np.abs(after) >= abs(observed) - SAME).sum())
            found[name] = n_as_large, furthest(observed, after, kept[name])
        return found

    swapped = over_swaps(swap, clusters, n_swaps, seed, advance=advance)

    found = []
    for name in names:
        values = np.concatenate([np.empty(0), *(block[name] for block in drawn)])
        n_as_large, ends = zip(*(block[name] for block in swapped), strict=True)
        p = (1 + sum(n_as_large)) / (1 + n_swaps)
        found.append(
            Difference(
                metric=name,
                first=first[name],
                second=second[name],
                difference=second[name] - first[name],
                interval=not_refused(ends, p),
                p=p,
                p_adjusted=1.0,
                detectable=_detectable(values),
            )
        )
    return found


def _repeated(benchmark: Benchmark, found: Container[str]) -> set[str]:
    """The metrics that are another metric under a second name; Holm's correction would count them twice.

    An aspect of one classification task is that task's F1. If there is one aspect, PIQ is that aspect, and is kept.
    """
    tasks: dict[str, list[Task]] = {}
    for task in benchmark.tasks:
        tasks.setdefault(task.aspect, []).append(task)
    repeated = set()
    for aspect, members in tasks.items():
        is_piq = len(tasks) == 1 and "piq" in found
        is_one_f1 = len(members) == 1 and members[0].kind == CLASSIFICATION
        if is_piq or is_one_f1:
            repeated.add(f"aspects.{aspect}")
        if is_piq and is_one_f1:
            repeated.add(f"f1.{members[0].name}")
    return repeated


def _side_by_side(labels: Mapping[str, LabelTally], n_clusters: int) -> FloatArray:
    """Shape (n_clusters, n_columns); hits, predicted and true of every task, so that one matrix product sums them."""
    parts = [part for tally in labels.values() for part in (tally.hits, tally.predicted, tally.true)]
    return np.concatenate([np.empty((n_clusters, 0)), *parts], axis=1)


def _weighted(benchmark: Benchmark, system: Tallied, counts: FloatArray, weights: FloatArray) -> Estimates:
    """All metrics under weights of the clusters, or of the identities alone where no task has labels."""
    return _estimates(benchmark, system, weights, weights @ counts[: weights.shape[1]])


def _estimates(benchmark: Benchmark, system: Tallied, weights: FloatArray, sums: FloatArray) -> Estimates:
    """All metrics of a comparison, except those that a submission lacks.

    Args:
        benchmark: the benchmark, whose aspects are used.
        system: tallies of the submission; of label tallies only the shapes are used.
        weights: shape (n_weightings, n_identities or more); weights of the re-id tally.
        sums: shape (n_weightings, n_columns); weighted sums of `_side_by_side`.
    """
    reid = {} if system.reid is None else reid_estimates(system.reid, weights)
    f1: dict[str, FloatArray] = {}
    first = 0
    for task, tally in system.labels.items():
        n_labels = tally.true.shape[1]
        hits, predicted, true = np.split(sums[:, first : first + 3 * n_labels], 3, axis=1)
        f1[task] = macro_f1(hits, predicted, true)
        first += 3 * n_labels
    aspects, piq = piq_estimates(benchmark, reid, f1)
    found: dict[str, FloatArray | None] = {"piq": piq}
    found |= {f"aspects.{name}": values for name, values in aspects.items()}
    found |= {f"reid.macro_{name}": reid[f"macro_{name}"] for name in RETRIEVAL_METRICS if reid}
    found |= {f"f1.{name}": f1[name] for name in f1}
    return {name: values for name, values in found.items() if values is not None}


def _common(a: Tallied, b: Tallied) -> tuple[Tallied, Tallied]:
    """Both submissions, reduced to the tasks that both have."""
    tasks = [task for task in a.labels if task in b.labels]
    has_reid = a.reid is not None and b.reid is not None
    one, other = (
        replace(system, reid=system.reid if has_reid else None, labels={task: system.labels[task] for task in tasks})
        for system in (a, b)
    )
    return one, other


def _stacked_reid(a: Tallied, b: Tallied, asked: IntArray) -> Tallied:
    """A re-id tally of some identities as answered by the first, followed by the same as answered by the second."""
    if a.reid is None or b.reid is None:
        return a
    total = {name: np.concatenate([a.reid.total[name][asked], b.reid.total[name][asked]]) for name in a.reid.total}
    return replace(a, reid=ReidTally(np.concatenate([a.reid.n_queries[asked], b.reid.n_queries[asked]]), total))


def _stacked_weights(first: BoolArray, second: BoolArray) -> FloatArray:
    """Weights for `_stacked_reid` that choose, for each identity, one of its two answers."""
    return np.concatenate([first, second], axis=1).astype(np.float64)


def _detectable(differences: FloatArray) -> float | None:
    """The smallest difference likely to be found, from the spread over resamples, by the normal approximation."""
    known = differences[~np.isnan(differences)]
    if known.size < 2:
        return None
    normal = NormalDist()
    return float((normal.inv_cdf((1.0 + LEVEL) / 2.0) + normal.inv_cdf(POWER)) * known.std(ddof=1))


def _identities(a: ReidTally | None, b: ReidTally | None) -> tuple[int, int, int] | None:
    """Numbers of people for whom the second submission is better, the same and worse; see `Pair.identities`."""
    if a is None or b is None:
        return None
    has_query = a.n_queries > 0
    gain = (b.total["map"] - a.total["map"])[has_query]
    higher, lower = int((gain > SAME).sum()), int((gain < -SAME).sum())
    return higher, gain.size - higher - lower, lower


def _people(clusters: Clusters, a: ReidTally | None, b: ReidTally | None) -> tuple[Person, ...]:
    if a is None or b is None:
        return ()
    return tuple(
        Person(identity, first / n, second / n)
        for identity, n, first, second in zip(
            clusters.identity.tolist(),
            a.n_queries.tolist(),
            a.total["map"].tolist(),
            b.total["map"].tolist(),
            strict=True,
        )
        if n
    )
