"""Sets how many images, people and films a synthetic benchmark has, and how unevenly images are shared by people.

Without a preset, all sizes follow from the number of images: 8/15 of them are train, 1/15 query and 6/15 gallery, and
60% of train and of the test set have no identity. All query images have one: a query without an identity cannot be
scored, and the sizes of the paper's Table 2 allow it.
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
TAIL_STEPS = 96  # number of offsets of the tail to try, in steps of 1/8
WEIGHT_ONE = 1 << 40


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of images (by split, and of those without an identity), of identities and of films.

    `longest_track` is the greatest number of consecutive frames of one person.
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
        """Number of images in all splits."""
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
    identities = isqrt(n_images * 6 // 5)  # 60 for 3000 images: one person can have a fifth and the tail stays long
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
    """Images per person, most first: proportional to 1 / (rank + offset), for the offset whose LTS is nearest the goal.

    Args:
        total: number of images, at least `n_people`.
        n_people: number of people, at least 1.
    """
    candidates = []
    for step in range(1, TAIL_STEPS + 1):
        counts = apportion(total, [WEIGHT_ONE // (8 * rank + step) for rank in range(n_people)], least=1)
        score = lts(counts, LTS_SHARE)
        if score is None:
            raise ValueError("a tail needs at least one person")
        candidates.append((abs(score - LTS_GOAL), -step, counts))
    return min(candidates)[2]
