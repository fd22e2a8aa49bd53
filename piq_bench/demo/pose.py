"""Turns the labels of a pose into angles, and angles with a person's lengths into joints on the canvas.

Angles are in degrees. Those of limbs are measured from straight down, positive to the image's right for legs and
outwards for arms; the torso leans to the right where its angle is positive. Legs hang from the pelvis in the ground's
frame, arms from the shoulders in the torso's, so that a bent or lying person keeps the same arms.
"""

from dataclasses import dataclass, replace

from piq_bench.demo.draw import Place, Point, direction
from piq_bench.demo.people import Looks
from piq_bench.demo.random import Draws

TORSO_SHARE = 0.42
THIGH_SHARE = 0.50
ARM_PER_TORSO = 1.12
NECK = 3.0
HOLD_REACH = 0.55  # forearms that hold something in front of the body point at the viewer

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Stance:
    """The angles of one pose.

    Attributes:
        variant: the way in which the label is shown: "front", "walk", "run", "seat side", "seat front", "squat",
            "crouch", "bow" or "lying".
        side: -1 or 1, the side of the image that the person is turned to.
        profile: how far the body is turned to that side; 0 is front, 1 is side.
        lean: the torso's angle. tilt: the head's angle in the torso's frame. turn: where the face looks, -1 to 1.
        thighs, shins: (left, right). reach: share of its length that each thigh shows, less if it points at the viewer.
        arms: "down", "hips", "chin", "belly", "up", "wide", "point", "crossed", "hold" or "carry", for (left, right).
        uppers, forearms: (left, right), outwards.
        prop: what is held, "" for nothing.
    """

    variant: str
    side: int
    profile: float
    lean: float
    tilt: float
    turn: float
    thighs: Pair
    shins: Pair
    reach: Pair
    arms: tuple[str, str]
    uppers: Pair
    forearms: Pair
    prop: str


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Where the joints are on the canvas, in pixels; pairs are (left, right).

    Attributes:
        torso: frame with its origin at the pelvis, y along the spine; the shoulders are at y = -torso_length.
        head: frame of the head, whose unit is half the head's height.
        unit: pixels per unit of length.
    """

    torso: Place
    head: Place
    unit: float
    torso_length: float
    hips: tuple[Point, Point]
    knees: tuple[Point, Point]
    ankles: tuple[Point, Point]
    shoulders: tuple[Point, Point]
    elbows: tuple[Point, Point]
    hands: tuple[Point, Point]


def stance_of(draws: Draws, body: str, arm: str) -> Stance:
    """Draws a way of holding body and arms as the labels say."""
    side = draws.sign()
    small = draws.between(-2.0, 2.0)
    turn = draws.between(-0.55, 0.55)
    tilt = draws.between(-6.0, 6.0)
    stance = Stance("front", side, 0.0, small, tilt, turn, (0, 0), (0, 0), (1, 1), ("down", "down"), (0, 0), (0, 0), "")
    if body == "standing":
        spread = draws.between(2.0, 8.0)
        stance = replace(stance, thighs=(-spread, spread), shins=(-0.5 * spread, 0.5 * spread))
    elif body == "walking_running":
        stance = striding(draws, stance)
    elif body == "sitting":
        stance = seated(draws, stance)
    elif body == "bending_squatting":
        stance = lowered(draws, stance)
    elif body == "lying":
        bend = draws.between(0.0, 35.0) if draws.chance(0.5) else 3.0
        spread = draws.between(3.0, 9.0)
        legs = (-spread, spread + bend) if side > 0 else (-spread - bend, spread)
        below = (-spread, spread - bend) if side > 0 else (-spread + bend, spread)
        stance = replace(stance, variant="lying", thighs=legs, shins=below, turn=turn)
    else:
        raise ValueError(f"no body pose {body!r}")
    return with_arms(draws, stance, arm)


def striding(draws: Draws, stance: Stance) -> Stance:
    """Legs like scissors: walking, or running with a leg in the air."""
    side = stance.side
    if draws.chance(0.6):
        front = (draws.between(22.0, 34.0), draws.between(-4.0, 12.0))
        back = (-draws.between(16.0, 26.0), -draws.between(34.0, 52.0))
        lean, variant = draws.between(2.0, 7.0), "walk"
    else:
        front = (draws.between(48.0, 66.0), draws.between(-26.0, -6.0))
        back = (-draws.between(18.0, 30.0), -draws.between(78.0, 100.0))
        lean, variant = draws.between(9.0, 16.0), "run"
    near = draws.below(2)  # which leg is in front
    thighs = (side * front[0], side * back[0]) if near == 0 else (side * back[0], side * front[0])
    shins = (side * front[1], side * back[1]) if near == 0 else (side * back[1], side * front[1])
    turn = side * draws.between(0.25, 0.7)
    return replace(
        stance,
        variant=variant,
        profile=0.75,
        lean=side * lean,
        thighs=thighs,
        shins=shins,
        turn=turn,
        tilt=0.3 * stance.tilt,
    )


def seated(draws: Draws, stance: Stance) -> Stance:
    """On a seat, from the side or from the front."""
    side = stance.side
    if draws.chance(0.6):
        thigh, shin = draws.between(76.0, 88.0), draws.between(-10.0, 8.0)
        return replace(
            stance,
            variant="seat side",
            profile=0.6,
            lean=-side * draws.between(2.0, 9.0),
            thighs=(side * thigh, side * (thigh - 9.0)),
            shins=(side * shin, side * (shin + draws.between(4.0, 18.0))),
            reach=(0.92, 0.92),
            turn=side * draws.between(0.1, 0.6),
        )
    apart = draws.between(36.0, 58.0)
    inwards = draws.between(-4.0, 8.0)
    return replace(stance, variant="seat front", thighs=(-apart, apart), shins=(inwards, -inwards), reach=(0.46, 0.46))


def lowered(draws: Draws, stance: Stance) -> Stance:
    """Squatting from the front, crouching from the side, or bowing with straight legs."""
    side = stance.side
    variant = draws.weighted({"squat": 4, "crouch": 3, "bow": 4})
    if variant == "squat":
        apart, under = draws.between(98.0, 116.0), draws.between(14.0, 26.0)
        return replace(
            stance,
            variant=variant,
            thighs=(-apart, apart),
            shins=(under, -under),
            reach=(0.78, 0.78),
            lean=0.5 * stance.lean,
        )
    if variant == "crouch":
        thigh, shin = draws.between(98.0, 112.0), draws.between(-38.0, -24.0)
        return replace(
            stance,
            variant=variant,
            profile=0.7,
            lean=side * draws.between(14.0, 28.0),
            tilt=-side * 12.0,
            thighs=(side * thigh, side * (thigh - 34.0)),
            shins=(side * shin, side * (shin - 24.0)),
            turn=side * draws.between(0.1, 0.5),
        )
    lean = draws.between(52.0, 76.0)
    return replace(
        stance,
        variant=variant,
        profile=0.7,
        lean=side * lean,
        tilt=-side * draws.between(18.0, 34.0),
        thighs=(-5.0 - side * 7.0, 5.0 - side * 7.0),
        shins=(-3.0 + side * 2.0, 3.0 + side * 2.0),
        turn=side * draws.between(0.0, 0.4),
    )


def with_arms(draws: Draws, stance: Stance, arm: str) -> Stance:
    """The same stance with arms as the label says."""
    both = draws.chance(0.5)
    first = draws.below(2)
    if arm == "down":
        kinds = ("down", "down")
    elif arm == "crossed":
        kinds = ("crossed", "crossed")
    else:
        if arm == "bent":
            kind = draws.weighted({"hips": 5, "chin": 3, "belly": 2})
        elif arm == "raised_extended":
            kind = draws.weighted({"up": 4, "wide": 4, "point": 3})
        elif arm == "holding":
            kind = "hold" if draws.chance(0.65) else "carry"
            both = kind == "hold"
        else:
            raise ValueError(f"no arm pose {arm!r}")
        other = kind if both else "down"
        kinds = (kind, other) if first == 0 else (other, kind)
    angles = [arm_angles(draws, kind, stance, side) for kind, side in zip(kinds, (-1, 1), strict=True)]
    prop = ""
    if "hold" in kinds:
        prop = draws.weighted({"box": 3, "ball": 2, "book": 3, "bag": 2})
    elif "carry" in kinds:
        prop = draws.weighted({"cup": 3, "flowers": 3, "phone": 2, "balloon": 2})
    return replace(
        stance,
        arms=kinds,
        uppers=(angles[0][0], angles[1][0]),
        forearms=(angles[0][1], angles[1][1]),
        prop=prop,
    )


def arm_angles(draws: Draws, kind: str, stance: Stance, side: int) -> Pair:
    """Angles of one upper arm and its forearm, outwards."""
    if kind == "down":
        swing = draws.between(5.0, 13.0)
        if stance.variant == "bow":  # arms hang from a bowed back
            hang = side * stance.lean * 0.9
            return hang + draws.between(-8.0, 8.0), hang + draws.between(-8.0, 8.0)
        if stance.variant in ("walk", "run"):
            far = draws.between(14.0, 26.0)
            return far, far - draws.between(4.0, 14.0)
        return swing, swing - draws.between(0.0, 8.0)
    if kind == "hips":
        return draws.between(46.0, 58.0), draws.between(-52.0, -40.0)
    if kind == "chin":
        return draws.between(14.0, 26.0), draws.between(-168.0, -156.0)
    if kind == "belly":
        return draws.between(18.0, 28.0), draws.between(-88.0, -70.0)
    if kind == "up":
        return draws.between(146.0, 166.0), draws.between(158.0, 176.0)
    if kind == "wide":
        return draws.between(82.0, 100.0), draws.between(84.0, 106.0)
    if kind == "point":
        return draws.between(108.0, 128.0), draws.between(112.0, 136.0)
    if kind == "crossed":
        return draws.between(14.0, 20.0), -draws.between(94.0, 102.0) if side < 0 else -draws.between(80.0, 88.0)
    if kind == "hold":
        return draws.between(16.0, 22.0), draws.between(-74.0, -58.0)
    return draws.between(16.0, 30.0), draws.between(-140.0, -122.0)  # carry: forearm up, hand beside the chest


def skeleton_of(looks: Looks, stance: Stance, ground: Place) -> Skeleton:
    """Joints of a person who stands in `ground`: its origin is below the pelvis, its y axis points down."""
    rest = looks.stature - 0.97 * looks.head - NECK
    torso_length = TORSO_SHARE * rest
    leg = rest - torso_length
    thigh, shin = THIGH_SHARE * leg, (1.0 - THIGH_SHARE) * leg
    narrow = 1.0 - 0.45 * stance.profile
    offsets, drops = [], []
    for i, side in enumerate((-1, 1)):
        at_thigh, at_shin = swing(stance.thighs[i]), swing(stance.shins[i])
        hip_x = side * 0.52 * looks.hip * narrow
        knee = (hip_x + thigh * stance.reach[i] * at_thigh[0], thigh * stance.reach[i] * at_thigh[1])
        ankle = (knee[0] + shin * 0.94 * at_shin[0], knee[1] + shin * 0.94 * at_shin[1])
        offsets.append(((hip_x, 0.0), knee, ankle))
        drops.append(ankle[1] + shin * 0.06)
    seat = -max(drops)
    hips, knees, ankles = (
        (ground.at(left[0], left[1] + seat), ground.at(right[0], right[1] + seat))
        for left, right in zip(offsets[0], offsets[1], strict=True)
    )
    torso = ground.inside(0.0, seat, degrees=stance.lean)
    shoulder_x = looks.shoulder * (1.0 - 0.30 * stance.profile)
    upper, fore = 0.5 * ARM_PER_TORSO * torso_length, 0.5 * ARM_PER_TORSO * torso_length
    shoulders, elbows, hands = [], [], []
    for i, side in enumerate((-1, 1)):
        start = (side * shoulder_x, -torso_length + 0.75 * looks.limb)
        at_upper, at_fore = swing(stance.uppers[i]), swing(stance.forearms[i])
        elbow = (start[0] + side * upper * at_upper[0], start[1] + upper * at_upper[1])
        shown = fore * (HOLD_REACH if stance.arms[i] == "hold" else 1.0)
        hand = (elbow[0] + side * shown * at_fore[0], elbow[1] + shown * at_fore[1])
        shoulders.append(torso.at(*start))
        elbows.append(torso.at(*elbow))
        hands.append(torso.at(*hand))
    nod = torso.inside(0.0, -torso_length - NECK, degrees=stance.tilt)
    head = nod.inside(0.0, -0.44 * looks.head, scale=0.5 * looks.head)
    return Skeleton(
        torso,
        head,
        ground.scale,
        torso_length,
        hips,
        knees,
        ankles,
        (shoulders[0], shoulders[1]),
        (elbows[0], elbows[1]),
        (hands[0], hands[1]),
    )


def swing(degrees: float) -> Point:
    """The direction of a limb at an angle from straight down."""
    cos, sin = direction(degrees)
    return sin, cos
