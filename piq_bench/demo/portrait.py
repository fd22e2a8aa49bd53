"""Draws one frame of the synthetic benchmark: uint8, (256, 128, 3), the same on every machine.

What stays the same in a track (camera, pose, place, obstacles) is drawn at random from a stream named after the track;
what changes from frame to frame (a step, a swing, a blink, the box, the grain) from one named after the frame.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from piq_bench.demo.body import paint_person
from piq_bench.demo.canvas import HEIGHT, WIDTH, Canvas, Paint
from piq_bench.demo.draw import Ellipse, Place, Point, direction
from piq_bench.demo.face import FaceState, pulls_of
from piq_bench.demo.film import Frame, Track
from piq_bench.demo.pose import Stance, skeleton_of, stance_of
from piq_bench.demo.props import FABRICS, paint_bed, paint_blanket, paint_occluder, paint_seat
from piq_bench.demo.random import Draws
from piq_bench.demo.scene import HORIZON, OUTDOORS, SCENES_PER_FILM, Tone, paint_scene, scene_kind, tone_of
from piq_bench.demo.wardrobe import outfit_of

ZOOMS = {"full": 1.0, "knees": 1.36, "chest": 1.8}
GROUND = 246.0
HEADROOM = 22.0
LYING_HORIZON = 24.0
SHARE_OCCLUDED = 0.16
SHARE_CUT = 0.16
SHARE_BLANKET = 0.35
SHARE_BLINK = 0.05
OCCLUDERS = {"table": 3, "rail": 3, "post": 3, "leaves": 3, "somebody": 3}
SWING = 4  # frames from one end of a swing to the other
SHADOW = (0.05, 0.05, 0.08)


@dataclass(frozen=True, slots=True)
class Setup:
    """Camera and light of a track: zoom, place of the person, part of the scene, obstacles."""

    scene: int
    zoom: float
    middle: Point
    pan: float
    turned: float
    occluder: str
    blanket: bool
    strength: float
    slope: Point
    dim: float
    light: Point
    side: int


def draw(seed: int, frame: Frame) -> NDArray[np.uint8]:
    """The image of one frame, shape (256, 128, 3)."""
    track = frame.track
    moment = Draws("frame", seed, frame.image)
    setup, stance, box = setup_stance_and_box(seed, frame, moment)
    tone = tone_of(seed, track.film)
    horizon = LYING_HORIZON if stance.variant == "lying" else HORIZON
    canvas = Canvas(setup.light)
    view = box.inside(64.0 + setup.pan, GROUND, scale=0.55 + 0.45 * setup.zoom).inside(-64.0, -GROUND)
    paint_scene(canvas, seed, track.film, setup.scene, view, horizon)
    ground = ground_of(box, setup, track, stance)
    paint_in_place(canvas, seed, track, setup, stance, ground, blink=moment.chance(SHARE_BLINK))
    if setup.occluder:
        paint_occluder(canvas, Draws("occluder", seed, track.name), setup.occluder, box)
    expose(canvas, tone, setup)
    canvas.blur(tone.softness)
    canvas.grain(moment, tone.grain)
    return canvas.bytes()


def paint_in_place(
    canvas: Canvas, seed: int, track: Track, setup: Setup, stance: Stance, ground: Place, *, blink: bool
) -> None:
    """Paints the person of a track where `ground` is, with the shadow, and the seat or bed if the pose needs one."""
    person = track.person
    outfit = outfit_of(seed, person, track.film)
    bones = skeleton_of(person.looks, stance, ground)
    furniture = Draws("furniture", seed, track.name)
    outdoors = scene_kind(seed, track.film, setup.scene) in OUTDOORS
    if stance.variant == "lying":
        paint_bed(canvas, furniture, ground, person.looks.stature, outdoors)
    else:
        shadow = Ellipse(ground.at(0.0, 1.0), 1.7 * person.looks.shoulder * ground.scale, 7.0 * ground.scale)
        canvas.fill(shadow, Paint(SHADOW, alpha=0.33))
    if stance.variant.startswith("seat"):
        front = stance.variant == "seat front"
        paint_seat(canvas, furniture, bones, ground, front, stance.side, person.looks.hip)
    state = FaceState(
        pulls=pulls_of(track.expression, setup.strength),
        turn=stance.turn,
        blink=blink,
        side=setup.side,
        lipstick=outfit.lipstick,
        lip_colour=outfit.lip_colour,
        shadow=outfit.shadow,
        shadow_colour=outfit.shadow_colour,
    )
    if setup.blanket and not outdoors:
        outfit = replace(outfit, shoes=person.looks.skin)
    paint_person(canvas, person, outfit, stance, bones, state, sway=-0.012 * stance.lean * stance.profile)
    if setup.blanket and not outdoors:
        paint_blanket(canvas, furniture.pick(FABRICS), ground, -0.36 * person.looks.stature)


def head_of(seed: int, frame: Frame) -> Place:
    """Where the head is in a frame's image: its middle, and half its height as the unit."""
    setup, stance, box = setup_stance_and_box(seed, frame, Draws("frame", seed, frame.image))
    return skeleton_of(frame.track.person.looks, stance, ground_of(box, setup, frame.track, stance)).head


def setup_stance_and_box(seed: int, frame: Frame, moment: Draws) -> tuple[Setup, Stance, Place]:
    """Camera and light, the pose in this frame, and the bounding box that cuts the image from the film."""
    track = frame.track
    draws = Draws("track", seed, track.name)
    stance = stance_of(draws, track.body, track.arm)
    setup = setup_of(draws, track)
    stance = moved(Draws("motion", seed, track.name), stance, frame.place)
    return setup, stance, box_of(moment, track, frame.place)


def setup_of(draws: Draws, track: Track) -> Setup:
    """Camera, light and obstacles of one track."""
    lying = track.body == "lying"
    low = track.body in ("sitting", "bending_squatting")
    zoom = ZOOMS[track.shot] * draws.between(0.95, 1.05) * (1.12 if low and track.shot == "full" else 1.0)
    if lying:
        zoom = {"full": 0.84, "knees": 0.98, "chest": 1.3}[track.shot] * draws.between(0.96, 1.04)
        zoom *= 0.5 + 92.0 / track.person.looks.stature
    across = draws.between(-5.0, 5.0)
    if draws.chance(SHARE_CUT):
        across = draws.sign() * draws.between(20.0, 32.0)
    light_x, light_y = direction(draws.between(20.0, 160.0))
    slope_x, slope_y = direction(draws.between(0.0, 360.0))
    steep = draws.between(0.0, 0.35)
    return Setup(
        scene=draws.below(SCENES_PER_FILM),
        zoom=zoom,
        middle=(0.5 * WIDTH + across, draws.between(-4.0, 4.0)),
        pan=draws.between(-110.0, 110.0),
        turned=draws.sign() * draws.between(38.0, 82.0),
        occluder=draws.weighted(OCCLUDERS) if draws.chance(SHARE_OCCLUDED) and not lying else "",
        blanket=lying and draws.chance(SHARE_BLANKET),
        strength=draws.between(0.85, 1.12),
        slope=(slope_x * steep, slope_y * steep),
        dim=draws.between(0.72, 1.08),
        light=(light_x * 0.9, light_y * 0.9),
        side=draws.sign(),
    )


def moved(draws: Draws, stance: Stance, step: int) -> Stance:
    """The stance after some frames: limbs swing to and fro, a walker's more; in some tracks people hardly move."""
    phase = step % (2 * SWING)
    liveliness = min(phase, 2 * SWING - phase) * draws.pick((0.5, 1.5, 2.5, 4.0))
    pace = 1.5 if stance.variant in ("walk", "run") else 0.5
    left, right = (draws.sign() * pace * draws.between(0.4, 1.0) * liveliness for _ in range(2))
    nod, look = draws.between(-1.0, 1.0) * liveliness, draws.between(-0.03, 0.03) * liveliness
    arm_left, arm_right = (draws.between(-1.0, 1.0) * liveliness for _ in range(2))
    return replace(
        stance,
        lean=stance.lean + 0.4 * draws.between(-1.0, 1.0) * liveliness,
        tilt=stance.tilt + nod,
        turn=stance.turn + look,
        thighs=(stance.thighs[0] + left, stance.thighs[1] + right),
        uppers=(stance.uppers[0] + arm_left, stance.uppers[1] + arm_right),
        forearms=(stance.forearms[0] + 1.4 * arm_left, stance.forearms[1] + 1.4 * arm_right),
    )


def box_of(draws: Draws, track: Track, step: int) -> Place:
    """The bounding box that cuts the image from the film: nearly fixed in a track, or with jitter new in each frame."""
    if not track.jitter:
        return Place((0.4 * step + draws.between(-0.4, 0.4), 0.1 * step + draws.between(-0.4, 0.4)))
    scale = draws.between(0.94, 1.06)
    x, y = draws.between(-6.0, 6.0), draws.between(-8.0, 8.0)
    middle_x, middle_y = 0.5 * WIDTH * (1.0 - scale), 0.5 * HEIGHT * (1.0 - scale)
    return Place((middle_x + x, middle_y + y), (scale, 0.0), (0.0, scale))


def ground_of(box: Place, setup: Setup, track: Track, stance: Stance) -> Place:
    """Where the person stands, sits or lies."""
    looks, (x, y) = track.person.looks, setup.middle
    if stance.variant == "lying":
        chest = -0.70 * looks.stature if track.shot == "full" else -0.82 * looks.stature
        start = Place().inside(0.0, 0.0, degrees=setup.turned, scale=setup.zoom).at(0.0, chest)
        return box.inside(x - start[0], 132.0 + y - start[1], degrees=setup.turned, scale=setup.zoom)
    upright = skeleton_of(looks, stance, Place())
    x -= (0.55 if track.shot == "full" else 0.8) * upright.head.origin[0] * setup.zoom  # a bowed head stays in view
    if track.shot == "full":
        return box.inside(x, GROUND + 0.5 * y, scale=setup.zoom)
    top = min(upright.head.at(0.0, -1.0)[1], upright.head.at(0.0, 1.0)[1] - looks.head)
    return box.inside(x, HEADROOM + y - top * setup.zoom, scale=setup.zoom)


def expose(canvas: Canvas, tone: Tone, setup: Setup) -> None:
    """Applies light from one side, the film's colours and contrast, and darker corners."""
    across, down = canvas.x / canvas.width - 0.5, canvas.y / HEIGHT - 0.5
    level = setup.dim * (1.0 + setup.slope[0] * across + setup.slope[1] * down)
    level = level * (1.0 - tone.vignette * (across * across + down * down))
    for channel, gain in enumerate(tone.gain):
        values = canvas.pixels[channel] * (level * gain)
        canvas.pixels[channel] = (values - 0.5) * tone.contrast + 0.5 + tone.brightness
