"""Draws short films with the boxes and labels of everybody in them, to try `piq collect` and what follows; needs PyAV.

one.mp4, two.mp4   the films: shots with a camera that stands still and four people each; nobody is in both films
one.txt, two.txt   the boxes in MOTChallenge's form, as a tracker writes them
truth.csv          one row for each track: who it is, and the labels of the pose

Everybody is in two shots of a film. Each film ends with its first shot again, as films do: these frames are exact
repetitions, which near-duplicate groups have to find. Films are drawn on threes: a picture is shown for three frames.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.demo.canvas import Canvas
from piq_bench.demo.draw import Place, direction
from piq_bench.demo.film import ARM_WEIGHTS, EXPRESSION_WEIGHTS, Track
from piq_bench.demo.people import Person, cast_people
from piq_bench.demo.portrait import GROUND, SHARE_BLINK, Setup, expose, moved, paint_in_place
from piq_bench.demo.pose import stance_of
from piq_bench.demo.random import Draws
from piq_bench.demo.scene import HORIZON, paint_scene, tone_of
from piq_bench.errors import BadUsage, Problem
from piq_bench.write.files import new_folder, write_text

FILMS = ("one", "two")
WIDTH = 448  # columns of a film's pictures, which are as high as a portrait
MARGIN = 160.0  # columns of a scene to the left of a portrait that the wide picture shows
PEOPLE_PER_SHOT = 4
SHOTS = 4  # of each film, without the first one's repetition
PICTURES = 8  # drawn for each shot
HOLD = 3  # frames for which each picture is shown
N_PICTURES = len(FILMS) * SHOTS * PICTURES
RATE = 25  # frames per second
PACE = 3.5  # columns that somebody walks from one picture to the next
BIT_RATE = 4_000_000
BODIES = {"standing": 4, "walking_running": 3, "sitting": 2, "bending_squatting": 1}
COLUMNS = ("source", "track", "shot", "identity", "gender", "age", "physique", "height", "body", "arm", "expression")

Boxes = list[tuple[int, int, int, int]]  # left, top, width and height of each person
Picture = NDArray[np.uint8]
Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """What one camera films: the light and place, and the tracks of the people in it, from left to right."""

    setup: Setup
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class DrawnFilms:
    """What was written: numbers of frames, of tracks and of people in all films."""

    n_frames: int
    n_tracks: int
    n_people: int


def draw_films(out: Path, *, seed: int = 0, advance: Advance = lambda steps: None) -> DrawnFilms:
    """Writes the films, their boxes and the truth into the folder `out`.

    Args:
        out: folder that does not exist yet, or is empty.
        seed: seed of all random draws. Equal seeds give equal pictures, boxes and labels; the bytes of the films also
            depend on the version of FFmpeg.
        advance: called with the number of pictures drawn since the last call.

    Raises:
        BadUsage: if PyAV is not installed, or `out` cannot be written or is not empty.
    """
    if find_spec("av") is None:
        remedy = "pip install 'piq-bench[video]'"
        raise BadUsage("video", [Problem("not-installed", "av", "PyAV is not installed", remedy)])
    per_film = SHOTS * PEOPLE_PER_SHOT // 2
    rows: list[tuple[str, ...]] = []
    n_frames = 0
    with new_folder(out) as folder:
        for film, name in enumerate(FILMS, 1):
            people = cast_people(seed, f"video {name}", (film - 1) * per_film, per_film)
            drawn = [list(pictures_of(seed, shot, advance)) for shot in shots_of(seed, film, people)]
            shown = [*drawn, drawn[0]]
            write_film(folder / f"{name}.mp4", [picture for shot in shown for picture, _ in shot])
            write_text(folder / f"{name}.txt", tracks_text([[boxes for _, boxes in shot] for shot in shown]))
            rows += truth_of(name, shots_of(seed, film, people))
            n_frames += len(shown) * PICTURES * HOLD
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        write_text(folder / "truth.csv", text.getvalue())
    return DrawnFilms(n_frames, len(rows), len(FILMS) * per_film)


def shots_of(seed: int, film: int, people: Sequence[Person]) -> list[Shot]:
    """The shots of one film: everybody is in two of them, with other people and in another pose."""
    draws = Draws("video", seed, film)
    n_tracks = SHOTS * PEOPLE_PER_SHOT
    cast = [person for _ in range(2) for person in draws.shuffled(people)]
    bodies, arms, expressions = (draws.deck(deck, n_tracks) for deck in (BODIES, ARM_WEIGHTS, EXPRESSION_WEIGHTS))
    found = []
    for shot in range(SHOTS):
        places = range(shot * PEOPLE_PER_SHOT, (shot + 1) * PEOPLE_PER_SHOT)
        tracks = tuple(
            Track(
                name=f"v{film:02d}-t{place:03d}",
                film=film,
                person=cast[place],
                identity=f"p{cast[place].number:03d}",
                body=bodies[place],
                arm=arms[place],
                expression=expressions[place],
                shot="full",
                jitter=False,
                n_frames=PICTURES,
            )
            for place in places
        )
        found.append(Shot(setup_of(draws, shot), tracks))
    return found


def setup_of(draws: Draws, shot: int) -> Setup:
    """Camera and light of one shot; every shot has a place of its own."""
    light_x, light_y = direction(draws.between(20.0, 160.0))
    slope_x, slope_y = direction(draws.between(0.0, 360.0))
    steep = draws.between(0.0, 0.35)
    return Setup(
        scene=shot,
        zoom=draws.between(0.84, 1.0),
        middle=(0.5 * WIDTH, 0.0),
        pan=0.0,
        turned=0.0,
        occluder="",
        blanket=False,
        strength=draws.between(0.9, 1.12),
        slope=(slope_x * steep, slope_y * steep),
        dim=draws.between(0.72, 1.08),
        light=(light_x * 0.9, light_y * 0.9),
        side=draws.sign(),
    )


def pictures_of(seed: int, shot: Shot, advance: Advance) -> Iterator[tuple[Picture, Boxes]]:
    """Each picture of a shot, shape (256, 448, 3), with the box of everybody in it."""
    setup, film = shot.setup, shot.tracks[0].film
    empty = Canvas(setup.light, WIDTH)
    paint_scene(empty, seed, film, setup.scene, Place((MARGIN, 0.0)), HORIZON)
    tone = tone_of(seed, film)
    for step in range(PICTURES):
        canvas = Canvas(setup.light, WIDTH)
        canvas.pixels = empty.pixels.copy()
        moment = Draws("video moment", seed, film, setup.scene, step)
        boxes = [paint_somebody(canvas, seed, shot, place, step, moment) for place in range(len(shot.tracks))]
        expose(canvas, tone, setup)
        canvas.blur(tone.softness)
        canvas.grain(moment, tone.grain)
        advance(1)
        yield canvas.bytes(), boxes


def paint_somebody(
    canvas: Canvas, seed: int, shot: Shot, place: int, step: int, moment: Draws
) -> tuple[int, int, int, int]:
    """Paints one person of a shot, and tells the box of what was painted: left, top, width, height."""
    track, setup = shot.tracks[place], shot.setup
    draws = Draws("video track", seed, track.name)
    first = stance_of(draws, track.body, track.arm)
    stance = moved(Draws("video motion", seed, track.name), first, step)
    x = (place + 0.5) * WIDTH / len(shot.tracks) + draws.between(-8.0, 8.0)
    if track.body == "walking_running":
        x += first.side * PACE * (step - 0.5 * PICTURES)
    ground = Place().inside(x, GROUND + draws.between(-8.0, 4.0), scale=setup.zoom)
    before = canvas.pixels.copy()
    paint_in_place(canvas, seed, track, setup, stance, ground, blink=moment.chance(SHARE_BLINK))
    changed = (canvas.pixels != before).any(axis=0)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def write_film(path: Path, pictures: Sequence[Picture]) -> None:
    """Encodes a film; MPEG-4 is in every build of FFmpeg."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=RATE)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # the bytes depend on it
        stream.codec_context.bit_rate = BIT_RATE
        for index, picture in enumerate(picture for picture in pictures for _ in range(HOLD)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def tracks_text(shots: Sequence[Sequence[Boxes]]) -> str:
    """The boxes as ByteTrack writes them: frames and tracks from 1, pixels from 0; a new shot has new tracks."""
    lines = []
    for shot, pictures in enumerate(shots):
        for step, boxes in enumerate(pictures):
            for hold in range(HOLD):
                frame = (shot * len(pictures) + step) * HOLD + hold + 1
                for place, (left, top, width, height) in enumerate(boxes):
                    track = track_number(shot, place)
                    lines.append(f"{frame},{track},{left:.2f},{top:.2f},{width:.2f},{height:.2f},1.00,-1,-1,-1")
    return "\n".join(lines) + "\n"


def truth_of(film: str, shots: Sequence[Shot]) -> list[tuple[str, ...]]:
    """One row of truth.csv for each track of a film, the repeated shot's too."""
    return [
        (
            film,
            str(track_number(shot, place)),
            str(shot + 1),
            track.identity,
            track.person.gender,
            track.person.age,
            track.person.physique,
            track.person.height,
            track.body,
            track.arm,
            "|".join(track.expression) or "-",
        )
        for shot, found in enumerate([*shots, shots[0]])
        for place, track in enumerate(found.tracks)
    ]


def track_number(shot: int, place: int) -> int:
    """The number of a track in its film."""
    return shot * PEOPLE_PER_SHOT + place + 1
