"""Chooses what a person wears in one film, make-up included; clothes differ between films and suit age and gender."""

from dataclasses import dataclass

from piq_bench.demo.people import Colour, Person, shaded
from piq_bench.demo.random import Draws

BRIGHT: tuple[Colour, ...] = (
    (0.80, 0.16, 0.16),
    (0.91, 0.47, 0.12),
    (0.93, 0.77, 0.20),
    (0.30, 0.60, 0.26),
    (0.10, 0.52, 0.52),
    (0.16, 0.38, 0.74),
    (0.48, 0.26, 0.62),
    (0.87, 0.42, 0.58),
    (0.45, 0.72, 0.86),
    (0.93, 0.92, 0.88),
)
MUTED: tuple[Colour, ...] = (
    (0.16, 0.17, 0.20),
    (0.24, 0.27, 0.36),
    (0.40, 0.41, 0.43),
    (0.46, 0.36, 0.27),
    (0.63, 0.56, 0.44),
    (0.30, 0.35, 0.27),
    (0.42, 0.19, 0.21),
    (0.76, 0.74, 0.69),
)
DENIM: tuple[Colour, ...] = ((0.20, 0.28, 0.42), (0.33, 0.44, 0.60), (0.14, 0.16, 0.22))
SHOES: tuple[Colour, ...] = ((0.12, 0.10, 0.10), (0.35, 0.20, 0.12), (0.90, 0.90, 0.88), (0.70, 0.15, 0.15))
LIPSTICKS: tuple[Colour, ...] = ((0.72, 0.14, 0.20), (0.80, 0.32, 0.38), (0.60, 0.16, 0.34), (0.78, 0.38, 0.28))
SHADOWS: tuple[Colour, ...] = ((0.30, 0.42, 0.62), (0.48, 0.30, 0.52), (0.42, 0.30, 0.22), (0.26, 0.46, 0.40))

TOPS = {
    ("female", "child"): {"dress": 4, "tshirt": 4, "sweater": 2},
    ("female", "teenager"): {"tshirt": 4, "hoodie": 3, "dress": 2, "sweater": 1},
    ("female", "adult"): {"blouse": 4, "dress": 4, "sweater": 2, "jacket": 2, "tshirt": 2},
    ("female", "old"): {"cardigan": 5, "dress": 2, "blouse": 2, "coat": 2},
    ("male", "child"): {"tshirt": 6, "sweater": 2, "overall": 3},
    ("male", "teenager"): {"hoodie": 5, "tshirt": 4, "jacket": 1},
    ("male", "adult"): {"shirt": 4, "suit": 4, "tshirt": 2, "jacket": 3, "sweater": 1},
    ("male", "old"): {"cardigan": 4, "shirt": 2, "suit": 2, "coat": 3},
}
BOTTOMS = {
    ("female", "child"): {"skirt": 4, "trousers": 2},
    ("female", "teenager"): {"jeans": 5, "skirt": 3, "shorts": 2},
    ("female", "adult"): {"skirt": 4, "trousers": 3, "jeans": 3},
    ("female", "old"): {"long skirt": 5, "trousers": 2},
    ("male", "child"): {"shorts": 6, "jeans": 3},
    ("male", "teenager"): {"jeans": 6, "shorts": 2},
    ("male", "adult"): {"trousers": 5, "jeans": 4},
    ("male", "old"): {"trousers": 8},
}
HATS = {
    "child": {"": 8, "cap": 2, "wool": 1},
    "teenager": {"": 7, "cap": 3, "wool": 1},
    "adult": {"": 12, "hat": 1, "cap": 1},
    "old": {"": 7, "hat": 2, "wool": 1},
}
PATTERNS = {"": 9, "stripes": 4, "pinstripes": 2, "checks": 3, "dots": 2, "blocks": 3}
PATTERN_SIZE = {"stripes": 9.0, "pinstripes": 6.0, "checks": 10.0, "dots": 8.0, "blocks": 40.0}
SHORT_SLEEVES = ("tshirt", "dress", "blouse", "overall")


@dataclass(frozen=True, slots=True)
class Outfit:
    """Clothes, headgear and make-up of one person in one film; `pattern` is that of the top, in the colour `second`."""

    top: str
    top_colour: Colour
    pattern: str
    pattern_size: float
    second: Colour
    short_sleeves: bool
    bottom: str
    bottom_colour: Colour
    shoes: Colour
    hat: str
    hat_colour: Colour
    scarf: Colour | None
    lipstick: float
    lip_colour: Colour
    shadow: float
    shadow_colour: Colour


def outfit_of(seed: int, person: Person, film: int) -> Outfit:
    """What `person` wears in `film`."""
    draws = Draws("outfit", seed, film, person.number)
    kind = (person.gender, person.age)
    young = person.age in ("child", "teenager")
    top = draws.weighted(TOPS[kind])
    formal = top in ("suit", "coat")
    palette = MUTED if formal or draws.chance(0.15 if young else 0.55) else BRIGHT
    pattern = "" if formal else draws.weighted(PATTERNS)
    bottom = draws.weighted(BOTTOMS[kind])
    made_up = person.gender == "female" and person.age != "child"
    top_colour = shaded(draws.pick(palette), draws.between(0.82, 1.15))
    below = DENIM if bottom == "jeans" or top == "overall" else MUTED if draws.chance(0.7) else BRIGHT
    return Outfit(
        top=top,
        top_colour=top_colour,
        pattern=pattern,
        pattern_size=PATTERN_SIZE.get(pattern, 10.0) * draws.between(0.8, 1.3),
        second=draws.pick(BRIGHT if draws.chance(0.6) else MUTED),
        short_sleeves=top in SHORT_SLEEVES and draws.chance(0.8),
        bottom="trousers" if top == "suit" else bottom,
        bottom_colour=shaded(top_colour, 0.95)
        if top == "suit"
        else shaded(draws.pick(below), draws.between(0.85, 1.1)),
        shoes=draws.pick(SHOES),
        hat=draws.weighted(HATS[person.age]),
        hat_colour=draws.pick(BRIGHT if young else MUTED),
        scarf=draws.pick(BRIGHT) if draws.chance(0.08) else None,
        lipstick=draws.between(0.0, 0.85) if made_up else 0.0,
        lip_colour=draws.pick(LIPSTICKS),
        shadow=draws.between(0.0, 0.9) if made_up and draws.chance(0.7) else 0.0,
        shadow_colour=draws.pick(SHADOWS),
    )
