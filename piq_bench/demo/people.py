"""Makes the people of a benchmark, with what never changes about them: the body, the face, the hair.

A person's looks depend on the seed, the person's number and the four labels of appearance. Lengths are in pixels of an
image 256 pixels high, in which an adult of medium height is about 184 tall. Heads are large, to keep faces readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from piq_bench.demo.random import Draws

Colour = tuple[float, float, float]

GENDERS = ("female", "male")
AGES = ("child", "teenager", "adult", "old")
PHYSIQUES = ("thin", "medium", "fat")
HEIGHTS = ("short", "medium", "tall")

GENDER_WEIGHTS = {"female": 45, "male": 55}
AGE_WEIGHTS = {"child": 13, "teenager": 18, "adult": 46, "old": 23}
PHYSIQUE_WEIGHTS = {"thin": 23, "medium": 55, "fat": 22}
HEIGHT_WEIGHTS_BY_AGE = {
    "child": {"short": 80, "medium": 20, "tall": 0},
    "teenager": {"short": 30, "medium": 45, "tall": 25},
    "adult": {"short": 18, "medium": 50, "tall": 32},
    "old": {"short": 30, "medium": 50, "tall": 20},
}

STATURE = {"short": 146.0, "medium": 184.0, "tall": 222.0}
STATURE_SPREAD = 7.0
HEAD = {"child": 50.0, "teenager": 48.5, "adult": 48.0, "old": 47.0}
SHOULDER = {"child": 17.5, "teenager": 21.0, "adult": 24.0, "old": 22.0}
BROAD = {"thin": 0.86, "medium": 1.0, "fat": 1.17}
WAIST = {"thin": 10.0, "medium": 16.0, "fat": 30.0}
LIMB = {"thin": 4.6, "medium": 6.4, "fat": 9.2}
CHEEKS = {"thin": 0.87, "medium": 1.0, "fat": 1.16}

SKINS: tuple[Colour, ...] = (
    (0.98, 0.86, 0.77),
    (0.95, 0.79, 0.67),
    (0.89, 0.70, 0.55),
    (0.78, 0.57, 0.41),
    (0.62, 0.43, 0.30),
    (0.45, 0.30, 0.21),
)
HAIRS: tuple[Colour, ...] = (
    (0.08, 0.07, 0.08),
    (0.21, 0.13, 0.08),
    (0.36, 0.21, 0.11),
    (0.55, 0.34, 0.16),
    (0.85, 0.68, 0.36),
    (0.66, 0.26, 0.10),
)
GREYS: tuple[Colour, ...] = ((0.62, 0.62, 0.63), (0.78, 0.78, 0.79), (0.91, 0.91, 0.90))
EYES: tuple[Colour, ...] = ((0.22, 0.13, 0.07), (0.38, 0.24, 0.11), (0.25, 0.42, 0.62), (0.27, 0.47, 0.30))

HAIR_STYLES: Mapping[tuple[str, str], Mapping[str, int]] = {
    ("female", "child"): {"pigtails": 4, "bob": 2, "ponytail": 2, "long": 1},
    ("female", "teenager"): {"long": 3, "ponytail": 3, "bob": 2, "curly": 1, "fringe": 2},
    ("female", "adult"): {"long": 3, "wavy": 3, "bob": 2, "bun": 2, "curly": 2, "fringe": 1},
    ("female", "old"): {"bun": 4, "perm": 4, "bob": 1},
    ("male", "child"): {"bowl": 3, "short": 2, "spiky": 1},
    ("male", "teenager"): {"spiky": 3, "short": 2, "mop": 2, "afro": 1},
    ("male", "adult"): {"short": 3, "parted": 3, "buzz": 2, "afro": 1, "mop": 1, "bald": 1},
    ("male", "old"): {"receding": 4, "bald": 3, "parted": 1},
}
BEARDS = {"": 10, "stubble": 4, "moustache": 4, "full": 5, "goatee": 3}


@dataclass(frozen=True, slots=True)
class Looks:
    """What never changes about a person; lengths in pixels, proportions as factors around 1, colours in [0, 1].

    `freckles`, `mole` and `wrinkles` are strengths or places in the face's own coordinates (x, y in half head sizes).
    """

    stature: float
    head: float
    shoulder: float
    waist: float
    hip: float
    limb: float
    face_width: float
    jaw: float
    skin: Colour
    hair: Colour
    hair_style: str
    eye: Colour
    eye_gap: float
    eye_size: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lips: float
    brow: float
    ears: float
    beard: str
    glasses: str
    freckles: bool
    mole: tuple[float, float] | None
    wrinkles: float


@dataclass(frozen=True, slots=True)
class Person:
    """One person: the labels of appearance and the looks that go with them."""

    number: int
    gender: str
    age: str
    physique: str
    height: str
    looks: Looks


def cast_people(seed: int, name: str, first: int, n: int) -> list[Person]:
    """Makes `n` people numbered from `first`, with labels as frequent as the weights above say."""
    draws = Draws("cast", seed, name)
    genders = draws.deck(GENDER_WEIGHTS, n)
    ages = draws.deck(AGE_WEIGHTS, n)
    physiques = draws.deck(PHYSIQUE_WEIGHTS, n)
    people = []
    for i in range(n):
        height = draws.weighted(HEIGHT_WEIGHTS_BY_AGE[ages[i]])
        looks = looks_of(Draws("looks", seed, first + i), genders[i], ages[i], physiques[i], height)
        people.append(Person(first + i, genders[i], ages[i], physiques[i], height, looks))
    return people


def looks_of(draws: Draws, gender: str, age: str, physique: str, height: str) -> Looks:
    """Draws looks that show the four labels and otherwise differ from person to person."""
    female, child, old = gender == "female", age == "child", age == "old"
    grown = age in ("adult", "old")
    small = 0.9 if child else 1.0
    broad = BROAD[physique]
    shoulder = SHOULDER[age] * broad * (0.87 if female and not child else 1.0)
    waist = WAIST[physique] * small * (0.86 if female and grown else 1.0) * draws.between(0.94, 1.06)
    hip = max(waist * 1.02, shoulder * (0.86 if female and grown else 0.70))
    skin_shade = draws.below(len(SKINS))
    hair_shade = draws.below(len(HAIRS) if skin_shade < 3 else 2)
    grey = old and draws.chance(0.9)
    can_grow = not female and grown
    return Looks(
        stature=STATURE[height] - (8.0 if child else 0.0) + draws.between(-STATURE_SPREAD, STATURE_SPREAD),
        head=HEAD[age] * (0.97 if female else 1.0) * draws.between(0.97, 1.03),
        shoulder=shoulder * draws.between(0.96, 1.04),
        waist=waist,
        hip=hip,
        limb=LIMB[physique] * small * (0.92 if female else 1.0) * draws.between(0.95, 1.05),
        face_width=CHEEKS[physique] * (1.06 if child else 1.0) * draws.between(0.94, 1.06),
        jaw=draws.between(0.0, 0.35) if female or child else draws.between(0.35, 1.0),
        skin=shaded(SKINS[skin_shade], draws.between(0.96, 1.03)),
        hair=draws.pick(GREYS) if grey else shaded(HAIRS[hair_shade], draws.between(0.85, 1.2)),
        hair_style=draws.weighted(HAIR_STYLES[gender, age]),
        eye=draws.pick(EYES[: 4 if skin_shade < 3 else 2]),
        eye_gap=draws.between(0.88, 1.14),
        eye_size=draws.between(0.9, 1.1) * (1.2 if child else 1.05 if female else 0.95) * (0.88 if old else 1.0),
        nose_length=draws.between(0.75, 1.3) * (0.7 if child else 1.0),
        nose_width=draws.between(0.75, 1.35),
        mouth_width=draws.between(0.86, 1.16),
        lips=draws.between(0.9, 1.3) if female else draws.between(0.6, 0.9),
        brow=draws.between(0.65, 0.95) if female or child else draws.between(1.0, 1.6),
        ears=draws.between(0.8, 1.25),
        beard=draws.weighted(BEARDS) if can_grow else "",
        glasses=draws.weighted({"": 3 if old else 7, "round": 1, "square": 1}),
        freckles=skin_shade < 2 and draws.chance(0.5 if child or age == "teenager" else 0.15),
        mole=(draws.between(-0.42, 0.42), draws.between(0.28, 0.5)) if draws.chance(0.25) else None,
        wrinkles=draws.between(0.75, 1.0) if old else 0.0,
    )


def shaded(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker, kept in [0, 1]."""
    red, green, blue = (min(1.0, channel * factor) for channel in colour)
    return (red, green, blue)
