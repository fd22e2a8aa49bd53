"""Paints a dressed body on its skeleton, from back to front."""

import math

from piq_bench.demo.canvas import Canvas, Cloth, Paint
from piq_bench.demo.draw import Ellipse, Place, Point, Polygon, Shape, Stroke, Union, mix
from piq_bench.demo.face import FaceState, axis_of, paint_face
from piq_bench.demo.hair import paint_hair, paint_hair_behind, paint_hat
from piq_bench.demo.people import Colour, Looks, Person, shaded
from piq_bench.demo.pose import NECK, Skeleton, Stance
from piq_bench.demo.props import paint_held
from piq_bench.demo.wardrobe import Outfit

LEGS_IN_FRONT = ("seat side", "seat front", "squat", "crouch")
BLACK: Colour = (0.08, 0.08, 0.09)
WHITE: Colour = (0.95, 0.95, 0.93)


def paint_person(
    canvas: Canvas, person: Person, outfit: Outfit, stance: Stance, bones: Skeleton, state: FaceState, sway: float
) -> None:
    """Paints a whole person; `sway` moves long hair sideways, in half heads."""
    looks = person.looks
    far = 1 if stance.side > 0 else 0
    behind = stance.profile > 0.5 and stance.arms[far] == "down"
    paint_hair_behind(canvas, looks, bones.head, sway)
    if outfit.top == "hoodie":
        hood = Ellipse(
            bones.torso.at(0.0, -bones.torso_length - 1.0), 0.78 * looks.shoulder * bones.unit, 9.0 * bones.unit
        )
        canvas.fill(hood, Paint(shaded(outfit.top_colour, 0.75), bulge=5.0 * bones.unit, outline=0.3))
    if behind:
        paint_arm(canvas, looks, outfit, bones, far, dark=0.8)
    if stance.variant not in LEGS_IN_FRONT:
        paint_legs(canvas, looks, outfit, stance, bones)
    paint_torso(canvas, person, outfit, stance, bones)
    if stance.variant in LEGS_IN_FRONT:
        paint_legs(canvas, looks, outfit, stance, bones)
    if outfit.top == "dress":
        paint_skirt(canvas, looks, outfit, stance, bones)
    paint_face(canvas, looks, bones.head, state)
    paint_hair(canvas, looks, bones.head)
    if outfit.hat:
        paint_hat(canvas, outfit.hat, outfit.hat_colour, looks, bones.head)
    for i in (far, 1 - far):
        if not (behind and i == far):
            paint_arm(canvas, looks, outfit, bones, i)
        if stance.arms[i] == "carry":
            paint_held(canvas, stance.prop, bones, outfit.second, bones.hands[i])
            paint_hand(canvas, looks, bones, i)
    if "hold" in stance.arms:
        paint_held(canvas, stance.prop, bones, outfit.second)
        paint_hand(canvas, looks, bones, 0)
        paint_hand(canvas, looks, bones, 1)


def paint_legs(canvas: Canvas, looks: Looks, outfit: Outfit, stance: Stance, bones: Skeleton) -> None:
    """Both legs, the far one first, with shoes, and a skirt over them."""
    unit, limb = bones.unit, looks.limb * bones.unit
    far = 1 if stance.side > 0 else 0
    skirt = outfit.top == "dress" or outfit.bottom in ("skirt", "long skirt")
    bare = skirt or outfit.bottom == "shorts"
    loose = 0.6 * unit if bare else 1.5 * unit
    foreshortened = min(stance.reach) < 0.7
    for i in (far, 1 - far):
        hip, knee, ankle = bones.hips[i], bones.knees[i], bones.ankles[i]
        dark = 0.82 if i == far and stance.profile > 0.5 else 1.0
        cloth = Paint(shaded(outfit.bottom_colour, dark), bulge=1.1 * limb, relief=0.5, outline=0.30)
        skin = Paint(shaded(looks.skin, dark), bulge=limb, relief=0.4, outline=0.30)
        paint_shoe(canvas, looks, outfit, stance, bones, i)
        thick = 1.75 if foreshortened else 1.5
        shin = Stroke([knee, ankle], [1.08 * limb + loose, 0.72 * limb + loose])
        thigh = Stroke([hip, knee], [thick * limb + loose, 1.08 * limb + loose])
        if foreshortened:  # the thigh points at the viewer and hides where the shin begins
            canvas.fill(shin, skin if bare else cloth)
            canvas.fill(thigh, skin if bare else cloth)
        else:
            canvas.fill(Union((thigh, shin), blend=2.0 * unit), skin if bare else cloth)
        if outfit.bottom == "shorts":
            hem = between(hip, knee, 0.85)
            canvas.fill(Stroke([hip, hem], [thick * limb + 1.6 * unit, 1.2 * limb + 1.8 * unit]), cloth)
    if skirt and outfit.top != "dress":  # a dress hangs from the waist, over the trunk
        paint_skirt(canvas, looks, outfit, stance, bones)


def paint_skirt(canvas: Canvas, looks: Looks, outfit: Outfit, stance: Stance, bones: Skeleton) -> None:
    """A skirt, or the lower half of a dress, spread over both thighs."""
    unit, limb = bones.unit, looks.limb * bones.unit
    dress = outfit.top == "dress"
    low = 0.9 if outfit.bottom == "long skirt" else 0.0
    hems = [between(bones.knees[i], bones.ankles[i], low) if low > 0 else bones.knees[i] for i in (0, 1)]
    flare = 6.0 * unit if dress else 4.0 * unit
    wide = looks.hip * (1.0 - 0.25 * stance.profile)
    waist = [
        bones.torso.at(-0.92 * wide, -0.14 * bones.torso_length),
        bones.torso.at(0.92 * wide, -0.14 * bones.torso_length),
    ]
    left, right = sorted(hems)
    corners = [waist[0], waist[1], (right[0] + flare, right[1]), (left[0] - flare, left[1])]
    parts: list[Shape] = [Polygon(corners, 2.0 * unit)]
    parts += [Stroke([bones.hips[i], between(bones.hips[i], bones.knees[i], 0.75)], [1.9 * limb] * 2) for i in (0, 1)]
    colour = outfit.top_colour if dress else outfit.bottom_colour
    cloth = cloth_of(outfit, bones.torso) if dress else None
    canvas.fill(Union(parts, blend=3.0), Paint(colour, bulge=9.0 * unit, relief=0.5, outline=0.3, cloth=cloth))
    for share in (0.3, 0.55, 0.78):
        top, hem = between(waist[0], waist[1], share), between(corners[3], corners[2], share)
        canvas.line([between(top, hem, 0.45), between(top, hem, 0.97)], 1.2 * unit, shaded(colour, 0.72), alpha=0.6)


def paint_shoe(canvas: Canvas, looks: Looks, outfit: Outfit, stance: Stance, bones: Skeleton, i: int) -> None:
    """A shoe at the end of a shin: from the side if the body is in profile, else from the front."""
    unit, knee, ankle = bones.unit, bones.knees[i], bones.ankles[i]
    thick = (2.6 + 0.28 * looks.limb) * unit
    down = (ankle[0] - knee[0], ankle[1] - knee[1])
    length = math.sqrt(down[0] * down[0] + down[1] * down[1]) + 1e-9
    down = (down[0] / length, down[1] / length)
    if stance.profile > 0.5:
        forward = (stance.side * down[1], -stance.side * down[0])
        size = 0.25 * looks.head * unit
    else:
        outwards = -0.5 if i == 0 else 0.5
        forward = (outwards * down[1] + down[0] * 0.8, -outwards * down[0] + down[1] * 0.8)
        size = 0.11 * looks.head * unit
    heel = (ankle[0] + 0.5 * thick * down[0], ankle[1] + 0.5 * thick * down[1])
    toe = (heel[0] + size * forward[0], heel[1] + size * forward[1])
    canvas.fill(Stroke([heel, toe], [thick, 0.85 * thick]), Paint(outfit.shoes, bulge=thick, relief=0.6, outline=0.35))


def paint_torso(canvas: Canvas, person: Person, outfit: Outfit, stance: Stance, bones: Skeleton) -> None:
    """The trunk in its clothes, and the neck."""
    looks, unit, length, torso = person.looks, bones.unit, bones.torso_length, bones.torso
    shape = trunk(looks, stance, bones)
    colour, skin = outfit.top_colour, looks.skin
    below = colour if outfit.top in ("dress", "coat") else outfit.bottom_colour
    lower = Paint(below, bulge=6.0 * unit, outline=0.25)
    hip = looks.hip * (1.0 - 0.25 * stance.profile)
    canvas.fill(Ellipse(torso.at(0.0, -1.0), 0.98 * hip * unit, 0.5 * hip * unit + 3.0 * unit, axis_of(torso)), lower)
    if outfit.top == "coat":
        hems = [between(bones.hips[i], bones.knees[i], 0.75) for i in (0, 1)]
        left, right = sorted(hems)
        tails = [
            torso.at(-hip, -4.0),
            torso.at(hip, -4.0),
            (right[0] + 9.0 * unit, right[1]),
            (left[0] - 9.0 * unit, left[1]),
        ]
        canvas.fill(Polygon(tails, 2.0 * unit), Paint(colour, bulge=7.0 * unit, outline=0.3))
    canvas.fill(shape, Paint(colour, bulge=11.0 * unit, relief=0.5, outline=0.30, cloth=cloth_of(outfit, torso)))
    neck = [torso.at(0.0, -length + 1.0), torso.at(0.0, -length - NECK - 3.0)]
    thick = 0.155 * looks.head * unit * (1.12 if person.gender == "male" and person.age != "child" else 0.95)
    if outfit.top in ("tshirt", "dress", "blouse", "sweater", "cardigan", "overall"):
        low = 0.42 if outfit.top in ("dress", "blouse") and person.age != "child" else 0.30
        opening = Ellipse(
            torso.at(0.0, -length - 0.5), low * looks.shoulder * unit, low * looks.shoulder * unit, axis_of(torso)
        )
        canvas.fill(opening, Paint(shaded(skin, 0.95), outline=0.25))
    canvas.fill(Stroke(neck, [thick * 1.15, thick]), Paint(shaded(skin, 0.80), bulge=thick, relief=0.3))
    paint_front(canvas, person, outfit, bones)
    if outfit.scarf is not None:
        wrap = [torso.at(-0.42 * looks.shoulder, -length), torso.at(0.42 * looks.shoulder, -length)]
        canvas.fill(Stroke(wrap, [4.2 * unit] * 2), Paint(outfit.scarf, bulge=4.0 * unit, outline=0.3))
        tail = [torso.at(0.25 * looks.shoulder, -length), torso.at(0.32 * looks.shoulder, -0.5 * length)]
        canvas.fill(
            Stroke(tail, [3.4 * unit, 3.8 * unit]), Paint(shaded(outfit.scarf, 0.92), bulge=3.0 * unit, outline=0.3)
        )


def trunk(looks: Looks, stance: Stance, bones: Skeleton) -> Union:
    """The outline of the trunk: shoulders, chest, waist, hips, and a belly where there is one."""
    unit, length, torso = bones.unit, bones.torso_length, bones.torso
    narrow = 1.0 - 0.30 * stance.profile
    shoulder, waist, hip = narrow * looks.shoulder, (1.0 - 0.2 * stance.profile) * looks.waist, narrow * looks.hip
    chest = max(0.84 * shoulder, 0.92 * waist)
    half = [(0.40 * shoulder, -length - 1.0), (0.86 * shoulder, -length + 2.5), (0.98 * shoulder, -0.90 * length),
            (chest, -0.62 * length), (waist, -0.30 * length), (hip, -0.02 * length), (0.9 * hip, 2.0)]  # fmt: skip
    outline = half + [(-x, y) for x, y in reversed(half)]
    parts: list[Shape] = [Polygon(torso.points(outline), 2.5 * unit)]
    if looks.waist > looks.shoulder * 0.95:
        forward = 0.22 * stance.profile * stance.side * waist
        belly = torso.at(forward, -0.26 * length)
        parts.append(Ellipse(belly, 1.08 * waist * unit, max(0.34 * length, 0.6 * waist) * unit, axis_of(torso)))
    return Union(parts, blend=4.0 * unit)


def paint_front(canvas: Canvas, person: Person, outfit: Outfit, bones: Skeleton) -> None:
    """What tells one garment from another: collars, lapels, ties, buttons, pockets."""
    looks, unit, length, torso = person.looks, bones.unit, bones.torso_length, bones.torso
    wide, colour, dark = looks.shoulder, outfit.top_colour, shaded(outfit.top_colour, 0.62)

    def piece(*points: Point) -> Polygon:
        return Polygon(torso.points([(x * wide, y * length) for x, y in points]))

    def seam(*points: Point, width: float = 1.1, tint: Colour = dark) -> None:
        canvas.line(torso.points([(x * wide, y * length) for x, y in points]), width * unit, tint)

    def buttons(tint: Colour) -> None:
        for y in (-0.75, -0.55, -0.35, -0.15):
            canvas.fill(Ellipse(torso.at(0.05 * wide, y * length), 1.1 * unit, 1.1 * unit), Paint(tint))

    if outfit.top in ("suit", "jacket", "coat", "cardigan"):
        shirt = WHITE if outfit.top == "suit" else outfit.second
        low = -0.38 if outfit.top == "suit" else -0.02 if outfit.top == "jacket" else -0.5
        half = 0.30 if outfit.top != "jacket" else 0.36
        canvas.fill(piece((-half, -1.03), (half, -1.03), (0.04, low), (-0.04, low)), Paint(shirt, outline=0.15))
        if outfit.top == "suit":
            tie = piece((-0.08, -0.97), (0.08, -0.97), (0.11, -0.55), (0.0, -0.42), (-0.11, -0.55))
            canvas.fill(tie, Paint(outfit.second, outline=0.35))
        for side in (-1, 1):
            lapel = piece(
                (side * half, -1.03), (side * (half + 0.24), -0.80), (side * 0.05, low), (side * half * 0.75, -0.80)
            )
            canvas.fill(lapel, Paint(shaded(colour, 0.82), outline=0.35))
        seam((0.0, low), (0.0, 0.02))
        if outfit.top != "jacket":
            for y in (-0.28, -0.10):
                canvas.fill(Ellipse(torso.at(0.08 * wide, y * length), 1.3 * unit, 1.3 * unit), Paint(BLACK))
        seam((-0.62, -0.28), (-0.28, -0.26), width=1.4)
        seam((0.62, -0.28), (0.28, -0.26), width=1.4)
    elif outfit.top in ("shirt", "blouse"):
        seam((0.0, -0.95), (0.0, 0.02))
        buttons(shaded(colour, 0.45))
        if outfit.top == "shirt":
            for side in (-1, 1):
                collar = piece((side * 0.06, -0.94), (side * 0.34, -1.08), (side * 0.44, -0.92), (side * 0.18, -0.84))
                canvas.fill(collar, Paint(mix(colour, WHITE, 0.35), outline=0.4))
    elif outfit.top == "hoodie":
        canvas.fill(
            piece((-0.42, -0.38), (0.42, -0.38), (0.60, -0.08), (-0.60, -0.08)),
            Paint(shaded(colour, 0.85), outline=0.4),
        )
        for side in (-1, 1):
            seam((side * 0.20, -0.96), (side * 0.17, -0.62), width=1.5, tint=WHITE)
    elif outfit.top == "overall":
        canvas.fill(
            piece((-0.52, -0.62), (0.52, -0.62), (0.66, 0.02), (-0.66, 0.02)), Paint(outfit.bottom_colour, outline=0.35)
        )
        for side in (-1, 1):
            seam((side * 0.46, -0.60), (side * 0.56, -1.0), width=4.2, tint=outfit.bottom_colour)
    elif outfit.top == "tshirt" and not outfit.pattern:
        x, y = torso.at(0.0, -0.58 * length)
        canvas.fill(Ellipse((x, y), 0.30 * wide * unit, 0.30 * wide * unit), Paint(outfit.second, alpha=0.95))
    elif outfit.top == "sweater":
        seam((-0.80, -0.02), (0.80, -0.02), width=3.0)
    elif outfit.top == "dress":
        seam((-0.70, -0.24), (0.70, -0.24), width=3.2, tint=outfit.second)


def paint_arm(canvas: Canvas, looks: Looks, outfit: Outfit, bones: Skeleton, i: int, dark: float = 1.0) -> None:
    """One arm with its sleeve and hand."""
    limb = looks.limb * bones.unit
    shoulder, elbow, hand = bones.shoulders[i], bones.elbows[i], bones.hands[i]
    skin = Paint(shaded(looks.skin, dark), bulge=limb, relief=0.45, outline=0.34)
    colour = outfit.second if outfit.top == "overall" else outfit.top_colour
    pattern = outfit.pattern in ("stripes", "checks", "dots")
    sleeve = Paint(
        shaded(colour, dark),
        bulge=1.1 * limb,
        relief=0.5,
        outline=0.34,
        cloth=cloth_of(outfit, along(shoulder, elbow, bones.unit)) if pattern and outfit.top != "overall" else None,
    )
    if outfit.short_sleeves:
        canvas.fill(Stroke([elbow, hand], [0.86 * limb, 0.66 * limb]), skin)
        canvas.fill(Stroke([shoulder, elbow], [1.08 * limb, 0.88 * limb]), skin)
        canvas.fill(Stroke([shoulder, between(shoulder, elbow, 0.5)], [1.25 * limb, 1.3 * limb]), sleeve)
        paint_hand(canvas, looks, bones, i, dark)
        return
    paint_hand(canvas, looks, bones, i, dark)
    upper = Stroke([shoulder, elbow], [1.25 * limb, 1.05 * limb])
    fore = Stroke([elbow, between(elbow, hand, 0.9)], [1.05 * limb, 0.88 * limb])
    canvas.fill(Union((upper, fore), blend=2.0), sleeve)


def paint_hand(canvas: Canvas, looks: Looks, bones: Skeleton, i: int, dark: float = 1.0) -> None:
    """A fist with a thumb, a little beyond the wrist."""
    limb, elbow, hand = looks.limb * bones.unit, bones.elbows[i], bones.hands[i]
    palm = between(elbow, hand, 1.06)
    size = 0.55 * limb + 2.1 * bones.unit
    fingers = between(elbow, hand, 1.17)
    paint = Paint(shaded(looks.skin, dark), bulge=size, relief=0.5, outline=0.36)
    canvas.fill(Stroke([palm, fingers], [size, 0.75 * size]), paint)


def cloth_of(outfit: Outfit, place: Place) -> Cloth | None:
    """The pattern of the upper garment, laid out along `place`."""
    if not outfit.pattern:
        return None
    if outfit.pattern == "blocks":  # one broad band across the chest
        return Cloth(outfit.pattern, outfit.second, outfit.pattern_size, place.inside(0.0, -28.0))
    return Cloth(outfit.pattern, outfit.second, outfit.pattern_size, place)


def along(start: Point, end: Point, unit: float) -> Place:
    """A frame whose y axis runs from one joint to the next."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.sqrt(dx * dx + dy * dy) + 1e-9
    down = (dx / length * unit, dy / length * unit)
    return Place(start, (down[1], -down[0]), down)


def between(start: Point, end: Point, share: float) -> Point:
    """A point on the way from one to another, or beyond."""
    return (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
