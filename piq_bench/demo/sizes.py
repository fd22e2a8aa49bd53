"""How many images, people and films a synthetic benchmark has, and how unevenly its people are filmed.

Without a preset all sizes follow from the number of images: 8/15 of them train, 1/15 query, 6/15 gallery, and 60% of
train and of the test set carry no identity. Every query image carries one: a query without an identity asks nothing,
and the sizes of the paper's Table 2 allow it.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from piq_bench.demo.random import apportion
from piq_bench.metrics.longtail import lts

MIN_IMAGES = 120
MAX_IMAGES = 250_000
LTS_SHARE = Fraction("0.2")
LTS_GOAL = Fraction("0.08")  # the paper's Table 3 has 0.07 to 0.09
TAIL_STEPS = 96  # candidates for the tail's offset, in steps of 1/8
WEIGHT_ONE = 1 << 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of images (by split; how many of them carry no identity), of identities, of films and of hidden people.

    `longest_track` is the most frames in a row of one person that a film shows.
    """

    train: int
    query: int
    gallery: int
    train_unlabelled: int
    gallery_unlabelled: int
    train_identities: int
    query_identities: int
    gallery_identities: int
    train_films: int
    test_films: int
    longest_track: int

    @property
    def images(self) -> int:
        """Images of all splits."""
        return self.train + self.query + self.gallery


PORTRAIT250K = Sizes(
    train=151_633,
    query=12_361,
    gallery=86_006,
    train_unlabelled=86_516,
    gallery_unlabelled=57_724,
    train_identities=640,
    query_identities=404,
    gallery_identities=426,
    train_films=31,
    test_films=20,
    longest_track=16,
)


def sizes_for(n_images: int) -> Sizes:
    """Sizes of a benchmark of `n_images` images."""
    query = n_images // 15
    test = n_images * 7 // 15
    identities = isqrt(n_images * 6 // 5)  # 60 of 3000: there one person can hold a fifth and the tail stays long
    films = max(5, isqrt(n_images // 5))
    return Sizes(
        train=n_images - test,
        query=query,
        gallery=test - query,
        train_unlabelled=(n_images - test) * 6 // 10,
        gallery_unlabelled=test * 6 // 10,
        train_identities=identities,
        query_identities=min(query, identities * 19 // 20),
        gallery_identities=identities,
        train_films=films * 3 // 5,
        test_films=films - films * 3 // 5,
        longest_track=8,
    )


def long_tail(total: int, n_people: int) -> list[int]:
    """How often each person appears, most often first: 1 / (rank + offset), at least once, its LTS nearest the goal.

    Args:
        total: appearances in all, at least `n_people`.
        n_people: people, at least 1.
    """
    candidates = []
    for step in range(1, TAIL_STEPS + 1):
        counts = apportion(total, [WEIGHT_ONE // (8 * rank + step) for rank in range(n_people)], least=1)
        score = lts(counts, LTS_SHARE)
        if score is None:
            raise ValueError("a tail needs somebody")
        candidates.append((abs(score - LTS_GOAL), -step, counts))
    return min(candidates)[2]
