"""Makes synthetic people of a given difficulty, as records: the data of the retrieval benchmark.

Takes sizes and makes a benchmark and a submission. Identities have a long tail, two thirds of the gallery are
unlabelled, and half of all images belong to a near-duplicate group. An embedding is the centre of its person plus
noise; near-duplicates share most of their noise. The noise level is found by trying until the mAP is the requested one.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from statistics import NormalDist

import numpy as np

from piq_bench.records import (
    GALLERY,
    NO_GROUP,
    NO_IDENTITY,
    QUERY,
    SAME_GROUP,
    Benchmark,
    BoolArray,
    EmbeddingArray,
    Float32Array,
    FloatArray,
    Grouping,
    Groups,
    IntArray,
    Submission,
    Task,
)
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.reid import score_reid

N_PEOPLE = 404
LABELLED_SHARE = 1 / 3  # of the gallery
TAIL = 1.32  # sigma of the lognormal sizes of identities: about 300 positives per query among 86,006 images
HIDDEN_SHARE = 0.02  # of a person's grouped gallery images: unlabelled near-duplicates of labelled ones
GROUP_SIZES = (1,) * 16 + (2, 2, 4, 8)  # group sizes are drawn from these: half of all images are alone
STEP = np.float32(0.2)  # distance of a near-duplicate from its group, in units of the noise
SAMPLE = 256  # queries on which a level of noise is tried
TOLERANCE = 0.02  # of the requested mAP
LEAST_NOISE, MOST_NOISE = 1.0, 8.0
ALMOST = 0.999  # mAP without noise
TRIES = 16
SEED = 0


@dataclass(frozen=True)
class Size:
    """The size of a data set.

    Attributes:
        n_queries: query images, all labelled.
        n_gallery: gallery images.
        dimension: values per embedding.
    """

    n_queries: int
    n_gallery: int
    dimension: int = 512

    def __str__(self) -> str:
        return f"{self.n_queries:,} x {self.n_gallery:,} x {self.dimension:,}"


@dataclass(frozen=True)
class Recipe:
    """All parameters of the data; equal recipes make equal data, so processes need not exchange it.

    Attributes:
        size: size of the data.
        noise: standard deviation of a value around its person's centre; that of centres is 1.
        half: whether embeddings are float16 instead of float32.
    """

    size: Size
    noise: float
    half: bool = False


@dataclass(frozen=True, eq=False)
class People:
    """Data before a noise level is chosen: labels, and the parts from which embeddings are mixed.

    Attributes:
        benchmark: with near-duplicate groups.
        centre: shape (n_images, dimension); centre of each image's person.
        spread: shape (n_images, dimension); standard noise, similar within a group.
    """

    benchmark: Benchmark
    centre: Float32Array
    spread: Float32Array

    @classmethod
    def of(cls, size: Size, seed: int = SEED) -> "People":
        """Draw people; equal seeds give equal people."""
        rng = np.random.Generator(np.random.PCG64(seed))
        benchmark, person, group = _labels(size, rng)
        n_images = person.size
        centres = rng.standard_normal((int(person.max()) + 1, size.dimension), dtype=np.float32)
        spread = rng.standard_normal((n_images, size.dimension), dtype=np.float32)
        first = np.where(group == NO_GROUP, np.arange(n_images), group)
        near = np.flatnonzero(first != np.arange(n_images))
        spread[near] *= STEP
        spread[near] += np.sqrt(1 - STEP**2) * spread[first[near]]
        return cls(benchmark, centres[person], spread)

    @cached_property
    def sampled(self) -> Benchmark:
        """The same benchmark with SAMPLE queries only."""
        queries = np.flatnonzero(self.benchmark.split == QUERY)
        kept = np.random.Generator(np.random.PCG64(SEED)).permutation(queries)[:SAMPLE]
        identity = self.benchmark.identity.copy()
        identity[np.setdiff1d(queries, kept)] = NO_IDENTITY
        return replace(self.benchmark, identity=identity)

    def embedded(self, noise: float) -> Float32Array:
        """Embeddings at a noise level, shape (n_images, dimension)."""
        values = self.spread * np.float32(noise)
        values += self.centre
        return values

    def mean_average_precision(self, noise: float, engine: Engine = plain.count_ranks) -> float:
        """mAP of the sampled queries, without near-duplicates."""
        submission = submitted(self.embedded(noise))
        _, score, _ = score_reid(
            self.sampled,
            submission,
            clusters_of(self.sampled),
            engine,
            ap="non-interpolated",
            advance=lambda steps: None,
        )
        return score.values["map"] or 0.0


def calibrated(people: People, target: float, engine: Engine = plain.count_ranks) -> float:
    """The noise at which the sampled queries have a mAP within 2 % of `target`.

    Raises:
        ValueError: if no noise is found.

    The logit of mAP is nearly linear in the logarithm of the noise, so a line through both ends of the interval is a
    better guess than its middle. An end that stays twice is moved towards the target (the Illinois method).
    """
    ends = [LEAST_NOISE, MOST_NOISE]
    errors = [_logit(ALMOST) - _logit(target), _logit(1 - ALMOST) - _logit(target)]
    kept = None
    for _ in range(TRIES):
        share = errors[0] / (errors[0] - errors[1])
        noise = ends[0] * (ends[1] / ends[0]) ** share
        found = people.mean_average_precision(noise, engine)
        if abs(found - target) <= TOLERANCE * target:
            return float(noise)
        replaced = 0 if found > target else 1  # mAP falls with noise
        ends[replaced], errors[replaced] = noise, _logit(found) - _logit(target)
        if kept == 1 - replaced:
            errors[kept] /= 2
        kept = 1 - replaced
    raise ValueError(f"no noise gives mAP {target}: {found:.3f} at {noise:.3f}")


def _logit(value: float) -> float:
    value = min(max(value, 1 - ALMOST), ALMOST)
    return log(value / (1 - value))


def made(recipe: Recipe) -> tuple[Benchmark, Submission]:
    """The benchmark and the submission of a recipe."""
    people = People.of(recipe.size)
    embedding = people.embedded(recipe.noise)
    return people.benchmark, submitted(embedding.astype(np.float16) if recipe.half else embedding)


def submitted(embedding: EmbeddingArray) -> Submission:
    """A submission of embeddings alone, in the benchmark's order."""
    return Submission(
        name="synthetic",
        distance="cosine",
        meta={},
        content="0" * 64,
        embedding=embedding,
        order=np.arange(embedding.shape[0]),
        predictions={},
        file_sha256="0" * 64,
        file_bytes=0,
    )


def _labels(size: Size, rng: np.random.Generator) -> tuple[Benchmark, IntArray, IntArray]:
    """The benchmark, the person of every image including unlabelled ones, and its near-duplicate group."""
    n_images = size.n_queries + size.n_gallery
    n_people = min(N_PEOPLE, size.n_queries, size.n_gallery // 12)
    weights = _long_tail(n_people)
    of_gallery = _shares(round(size.n_gallery * LABELLED_SHARE), weights, at_least=2)
    of_query = _shares(size.n_queries, weights, at_least=1)
    person = np.full(n_images, NO_IDENTITY)
    person[: size.n_queries] = np.repeat(np.arange(n_people), of_query)
    known = size.n_queries + int(of_gallery.sum())
    person[size.n_queries : known] = np.repeat(np.arange(n_people), of_gallery)

    place = rng.permutation(n_images)  # so that a person's images are not next to each other in the file
    split = np.empty(n_images, dtype=np.int64)
    split[place] = np.where(np.arange(n_images) < size.n_queries, QUERY, GALLERY)
    shown = np.empty(n_images, dtype=np.int64)
    shown[place] = person
    alone = np.zeros(n_images, dtype=bool)  # so that every person keeps a positive after exclusion
    alone[place[known - np.cumsum(of_gallery[::-1])]] = True
    group = _groups(shown, alone, rng)

    unlabelled = shown == NO_IDENTITY  # each of their groups is one person
    owner = np.where(group == NO_GROUP, np.arange(n_images), group)
    full = shown.copy()
    full[unlabelled] = n_people + np.unique(owner[unlabelled], return_inverse=True)[1]
    shown[(split == GALLERY) & (group != NO_GROUP) & (rng.random(n_images) < HIDDEN_SHARE)] = NO_IDENTITY
    nothing = np.zeros(n_images, dtype=bool)
    grouping = Grouping()
    benchmark = Benchmark(
        name="synthetic",
        version="1",
        licence="none",
        tasks=(Task("reid", "reid", kind="retrieval"),),
        grouping=grouping,
        images=np.array([f"{number:08d}.jpg" for number in range(n_images)], dtype=object),
        split=split,
        identity=shown,
        identities=tuple(f"p{number:03d}" for number in range(n_people)),
        labels={},
        junk=nothing,
        distractor=nothing,
        source=None,
        sequence=None,
        camera=None,
        groups=Groups(grouping=grouping, phash=np.zeros(n_images, dtype=np.uint64), group=group),
        exclude=(SAME_GROUP,),
    )
    return benchmark, full, group


def _long_tail(n_people: int) -> FloatArray:
    """Quantiles of a lognormal distribution, largest first."""
    normal = NormalDist(0.0, TAIL)
    return np.exp([normal.inv_cdf(1 - (number + 0.5) / n_people) for number in range(n_people)])


def _shares(total: int, weights: FloatArray, *, at_least: int) -> IntArray:
    """Whole numbers proportional to the weights that sum to `total`; the largest remainders are rounded up."""
    wanted = weights / weights.sum() * (total - at_least * weights.size)
    share: IntArray = np.floor(wanted).astype(np.int64)
    share[np.argsort(share - wanted, kind="stable")[: total - at_least * weights.size - int(share.sum())]] += 1
    share += at_least
    return share


def _groups(person: IntArray, alone: BoolArray, rng: np.random.Generator) -> IntArray:
    """Runs of a person's images, query and gallery mixed; the number of a group is its first row."""
    order = np.lexsort((rng.random(person.size), person))
    order = order[~alone[order]]
    length = rng.choice(GROUP_SIZES, order.size)
    run = np.repeat(np.arange(order.size), length)[: order.size]
    owner = person[order]
    key = run * 2 + np.cumsum(np.diff(owner, prepend=owner[:1]) != 0) * 2 * order.size  # a run ends with its person
    _, group_of, n_images = np.unique(key, return_inverse=True, return_counts=True)
    first = np.full(n_images.size, person.size)
    np.minimum.at(first, group_of, order)
    group = np.full(person.size, NO_GROUP)
    grouped = n_images[group_of] > 1
    group[order[grouped]] = first[group_of[grouped]]
    return group
