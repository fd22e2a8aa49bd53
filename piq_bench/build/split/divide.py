"""Says which image is in train, query or gallery; a function of columns alone, and of a seed.

People are divided, not images: everybody is either in train or in the test set. What must stay together is joined
first: a person's images, those of a near-duplicate group, and those of a film if films shall stay whole. Images without
an identity may show anybody of their film, so that those of one film stay together.

A person of the test set whose images could not find each other, since rules exclude each from the candidates of the
others, is in the gallery alone. Everybody else keeps two images in the gallery that exclude no common query, so that
every query has an image to be found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from piq_bench.build.split.subset import nearest_subset
from piq_bench.records import GALLERY, NO_IDENTITY, QUERY, TRAIN, BoolArray, IntArray, joint_codes

PEOPLE, FILMS, IMAGES = range(3)  # what is drawn; each has random numbers of its own


@dataclass(frozen=True, eq=False)
class Columns:
    """What a division depends on; codes are equal where images agree and -1 where nothing is known.

    Attributes:
        identity: shape (n_images,).
        group: shape (n_images,); near-duplicate groups.
        film: shape (n_images,).
        excluded: for each rule of retrieval, shape (n_images,): images of equal codes are no candidates of each other.
    """

    identity: IntArray
    group: IntArray
    film: IntArray
    excluded: tuple[IntArray, ...]


@dataclass(frozen=True)
class Shares:
    """How much goes where.

    Attributes:
        train: share of the people, and of the images without identity, in train.
        query: share of each test person's images that are queries.
        seed: of everything that is drawn.
        whole_films: whether the border between train and test may cut no film.
    """

    train: float = 0.6
    query: float = 0.3
    seed: int = 0
    whole_films: bool = False


class CannotDivide(Exception):
    """There is no division; the reason in words."""

    def __init__(self, code: str, found: str, remedy: str) -> None:
        super().__init__(code, found, remedy)
        self.code, self.found, self.remedy = code, found, remedy


def divide(columns: Columns, shares: Shares) -> IntArray:
    """Shape (n_images,); TRAIN, QUERY or GALLERY.

    Raises:
        CannotDivide: if nobody could be in train, in the test set, or a query.
    """
    is_named = columns.identity != NO_IDENTITY
    n_people = int(np.unique(columns.identity[is_named]).size)
    if n_people < 2:
        found = f"{n_people} identities are known, and train and test need one each"
        raise CannotDivide("too-few-people", found, "annotate identities first")
    tied = [columns.identity, columns.group, *([columns.film] if shares.whole_films else [])]
    unit = components(tied)
    in_train = _people_in_train(columns, unit, n_people, shares)
    in_train |= _nobodies_in_train(columns, unit, in_train, shares)
    split = np.where(in_train, TRAIN, GALLERY).astype(np.int64)
    split[_queries(columns, ~in_train & is_named, shares)] = QUERY
    if not (split == QUERY).any():
        found = "nobody of the test set has two images that could find each other"
        remedy = "annotate more images, try another --seed, or see the rules in benchmark.toml"
        raise CannotDivide("no-queries", found, remedy)
    return split


def components(codes: Sequence[IntArray]) -> IntArray:
    """Shape (n_images,): the row of the first image of those that are linked by equal codes of any kind."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_images = codes[0].size
    first, second = [], []
    for code in codes:
        rows = np.flatnonzero(code >= 0)
        _, start, inverse = np.unique(code[rows], return_index=True, return_inverse=True)
        first.append(rows)
        second.append(rows[start[inverse.reshape(-1)]])
    edges = np.concatenate(first), np.concatenate(second)
    graph = coo_array((np.ones(edges[0].size, dtype=np.int8), edges), shape=(n_images, n_images))
    labels = connected_components(graph, directed=False)[1]
    _, start, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return start[inverse.reshape(-1)].astype(np.int64)


def _people_in_train(columns: Columns, unit: IntArray, n_people: int, shares: Shares) -> BoolArray:
    """Which images are in train since they are tied to people who are."""
    is_named = columns.identity != NO_IDENTITY
    person_units = np.unique(np.stack([unit[is_named], columns.identity[is_named]]), axis=1)[0]
    units, sizes = np.unique(person_units, return_counts=True)
    if units.size == 1:
        ties = (
            "near-duplicate groups, or films that shall stay whole," if shares.whole_films else "near-duplicate groups"
        )
        found = f"{ties} tie all {n_people} people together"
        remedy = "lower the threshold of `piq groups`" + (", or leave out --whole-films" if shares.whole_films else "")
        raise CannotDivide("one-unit", found, remedy)
    target = min(max(round(shares.train * n_people), 1), n_people - 1)
    chosen = nearest_subset(sizes.astype(np.int64), target, _source(shares.seed, PEOPLE))
    if not chosen.any():
        chosen[np.argmin(sizes)] = True
    elif chosen.all():
        chosen[np.argmin(sizes)] = False
    return np.isin(unit, units[chosen])


def _nobodies_in_train(columns: Columns, unit: IntArray, in_train: BoolArray, shares: Shares) -> BoolArray:
    """Which further images without identity are in train; those of a film stay together."""
    is_named = columns.identity != NO_IDENTITY
    free = ~np.isin(unit, np.unique(unit[is_named]))
    film = np.where(free, columns.film, -1)
    together = components([np.where(free, unit, -1), film])
    units, sizes = np.unique(together[free], return_counts=True)
    target = round(shares.train * int((~is_named).sum())) - int((in_train & ~is_named).sum())
    chosen = nearest_subset(sizes.astype(np.int64), max(0, target), _source(shares.seed, FILMS))
    return free & np.isin(together, units[chosen])


def _queries(columns: Columns, test: BoolArray, shares: Shares) -> IntArray:
    """The rows that are queries."""
    identity = np.where(test, columns.identity, NO_IDENTITY)
    apart = components([joint_codes([identity, code]) for code in columns.excluded] or [np.full(test.size, -1)])
    key = np.asarray(_source(shares.seed, IMAGES).random_raw(test.size))
    rows = np.flatnonzero(test)
    rows = rows[np.lexsort((key[rows], identity[rows]))]
    starts = np.flatnonzero(np.diff(identity[rows], prepend=-1))
    queries = []
    for own in np.split(rows, starts[1:]):
        other = np.flatnonzero(apart[own] != apart[own[0]]) if own.size else own
        if not other.size:
            continue
        wanted = max(1, round(shares.query * own.size))
        if own.size == 2:
            queries.append(own[:1])
            continue
        stays = np.zeros(own.size, dtype=np.bool_)
        stays[[0, other[0]]] = True
        queries.append(own[~stays][:wanted])
    return np.concatenate(queries) if queries else np.zeros(0, dtype=np.int64)


def _source(seed: int, what: int) -> np.random.PCG64:
    return np.random.PCG64(np.random.SeedSequence((seed, what)))
