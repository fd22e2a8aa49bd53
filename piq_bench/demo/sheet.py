"""Draws a contact sheet of a synthetic benchmark: its people, poses and expressions, to be judged by eye."""

from collections.abc import Callable, Iterable
from itertools import islice

from PIL import Image

from piq_bench.demo.canvas import HEIGHT, WIDTH
from piq_bench.demo.film import ARMS, BODIES, EXPRESSIONS, Frame
from piq_bench.demo.people import AGES, GENDERS, HEIGHTS, PHYSIQUES
from piq_bench.demo.portrait import draw
from piq_bench.demo.random import Draws

COLUMNS = 12


def contact_sheet(seed: int, frames: list[Frame]) -> tuple[Image.Image, list[str]]:
    """Draws the sheet; also returns a description of each of its rows, from left to right."""
    firsts = Draws("sheet", seed).shuffled(frame for frame in frames if frame.place == 0)
    full = [frame for frame in firsts if frame.track.shot == "full"]
    near = [frame for frame in firsts if frame.track.shot != "full" and frame.track.body != "lying"]
    rows: list[tuple[str, list[tuple[str, Frame | None]]]] = []
    people = often_seen([frame for frame in full if frame.track.body != "lying"])
    rows.append(("named people", [(name, seen[0]) for name, seen in people]))
    rows.append(("the same people in another film", [(name, seen[1]) for name, seen in people]))
    rows.append(("body", each(BODIES, full, lambda frame: frame.track.body)))
    rows.append(("arm", each(ARMS, [f for f in full if f.track.body == "standing"], lambda frame: frame.track.arm)))
    single = [(), *((name,) for name in EXPRESSIONS)]
    both = sorted({frame.track.expression for frame in frames if len(frame.track.expression) > 1})
    rows.append(("expression", each([*single, *both], near, lambda frame: frame.track.expression, per_value=1)))
    standing = [frame for frame in full if frame.track.body == "standing" and frame.track.arm == "down"]
    kinds = [(gender, age) for age in AGES for gender in GENDERS]
    rows.append(("gender and age", each(kinds, standing, lambda f: (f.track.person.gender, f.track.person.age), 1)))
    builds = [(physique, height) for height in HEIGHTS for physique in PHYSIQUES]
    grown = [frame for frame in full if frame.track.body == "standing" and frame.track.person.age == "adult"]
    rows.append(
        ("physique and height", each(builds, grown, lambda f: (f.track.person.physique, f.track.person.height), 1))
    )
    for jitter in (False, True):
        longest = max((frame for frame in frames if frame.track.jitter == jitter), key=lambda f: f.track.n_frames)
        track = [frame for frame in frames if frame.track == longest.track]
        rows.append(("one track" + (", box cut anew" if jitter else ""), [(frame.image, frame) for frame in track]))
    sheet = Image.new("RGB", (COLUMNS * WIDTH, len(rows) * HEIGHT), (255, 255, 255))
    for i, (_, cells) in enumerate(rows):
        for j, (_, cell) in enumerate(cells[:COLUMNS]):
            if cell is not None:
                sheet.paste(Image.fromarray(draw(seed, cell)), (j * WIDTH, i * HEIGHT))
    return sheet, [f"{title}: {', '.join(name for name, _ in cells[:COLUMNS])}" for title, cells in rows]


def often_seen(frames: Iterable[Frame]) -> list[tuple[str, list[Frame]]]:
    """Named people who are in two films, with one image from each film; people with the most images come first."""
    seen: dict[str, list[Frame]] = {}
    for frame in frames:
        if frame.track.identity:
            seen.setdefault(frame.track.identity, []).append(frame)
    people = []
    for name, images in sorted(seen.items(), key=lambda item: -len(item[1])):
        films = {frame.source: frame for frame in reversed(images)}
        if len(films) > 1:
            people.append((name, list(films.values())[:2]))
    return people[:COLUMNS]


def each(
    values: Iterable[object], frames: list[Frame], of: Callable[[Frame], object], per_value: int = 2
) -> list[tuple[str, Frame | None]]:
    """The first few frames that show each value; one gap (None) if no frame shows it."""
    cells: list[tuple[str, Frame | None]] = []
    for value in values:
        name = "|".join(value) or "-" if isinstance(value, tuple) else str(value)
        found = list(islice((frame for frame in frames if of(frame) == value), per_value))
        cells += [(name, frame) for frame in found] or [(name, None)]
    return cells
