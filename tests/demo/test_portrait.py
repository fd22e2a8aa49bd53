"""Images are frozen: a pixel that differs on some machine or with some version of numpy is a bug."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from piq_bench.demo.build import JPEG
from piq_bench.demo.draw import Place
from piq_bench.demo.face import PULLS, Pulls, pulls_of
from piq_bench.demo.film import ARMS, BODIES, Frame, shoot
from piq_bench.demo.portrait import draw, head_of
from piq_bench.demo.pose import Stance, skeleton_of, stance_of
from piq_bench.demo.random import Draws
from piq_bench.demo.sizes import sizes_for
from piq_bench.demo.wardrobe import outfit_of

# image: first half of the SHA-256 of its (256, 128, 3) bytes; `python tests/demo/test_portrait.py` prints them anew.
FROZEN = {
    "m01/00004.jpg": "4c745bd935ca63f5d0c4503c16934f56",
    "m02/00432.jpg": "88f3438561b715038b4e0e087a5c7af2",
    "m04/00213.jpg": "6fbf8e59271db5941d23f839b3e2794d",
    "m05/00453.jpg": "3541a9f188d223712e7fbb1a99e8ea4d",
    "m08/00155.jpg": "7f82e5581e5add305519221040616427",
    "m10/00284.jpg": "04158edaf781673dafe40e81d6466e6b",
    "m12/00316.jpg": "5fbb67e1ba92b05cd1ec757f2b61084e",
    "m14/00030.jpg": "f25e65a3afafbf4730c3acc09151280b",
    "m16/00446.jpg": "e8cef4caf5060c9a81b41e8ea1793aa0",
    "m18/00298.jpg": "f8df06ec5b3690c9dd0780c758578148",
    "m20/00357.jpg": "663720c4af8701b0ca1dac9f7c59fc10",
    "m23/00042.jpg": "9e26c43f60e97cf213644a7214ca5c29",
}
EVERY = 250


@cache
def frames() -> list[Frame]:
    return shoot(0, sizes_for(3000))


def digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()[:32]


@pytest.mark.parametrize("frame", frames()[::EVERY], ids=lambda frame: frame.image)
def test_pixels_are_frozen(frame: Frame) -> None:
    assert digest(draw(0, frame)) == FROZEN[frame.image]


def test_encoding_changes_pixels_by_little() -> None:
    for frame in frames()[100::1000]:
        image = draw(0, frame)
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, **JPEG)
        decoded = np.asarray(Image.open(buffer))
        assert decoded.shape == (256, 128, 3)
        difference = np.abs(decoded.astype(np.int64) - image.astype(np.int64))
        assert difference.mean() < 8
        assert np.quantile(difference, 0.9) <= 20


def test_images_are_neither_flat_nor_washed_out() -> None:
    for frame in frames()[7::300]:
        image = draw(0, frame)
        assert image.std() > 15
        assert 20 < image.mean() < 235


def test_another_seed_paints_another_image() -> None:
    assert (draw(0, frames()[0]) != draw(1, frames()[0])).mean() > 0.5


def changed(frame: Frame, **labels: object) -> NDArray[np.uint8]:
    """The same frame with other labels."""
    return draw(0, replace(frame, track=replace(frame.track, **labels)))  # type: ignore[arg-type]


@pytest.mark.parametrize("expression", [(name,) for name in PULLS] + [("happiness", "surprise"), ("fear", "surprise")])
def test_an_expression_changes_the_face_and_nothing_else(expression: tuple[str, ...]) -> None:
    frame = next(f for f in frames() if f.track.shot == "full" and f.track.body == "standing" and f.place == 0)
    calm, moved = changed(frame, expression=()), changed(frame, expression=expression)
    rows = np.flatnonzero((calm != moved).any(axis=(1, 2)))
    assert 8 < np.ptp(rows) < 70  # within the height of the head
    assert 100 < (calm != moved).any(axis=2).sum() < 2600


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("arm", ARMS)
def test_a_pose_is_what_its_labels_say(body: str, arm: str) -> None:
    looks = frames()[0].track.person.looks
    for i in range(25):
        stance = stance_of(Draws("pose", i), body, arm)
        bones = skeleton_of(looks, stance, Place())
        feet = max(y for _, y in bones.ankles)
        legs = feet - bones.torso.origin[1]
        upright = looks.stature - 0.97 * looks.head
        assert feet <= 0.01  # no foot is below the ground
        if body == "standing":
            assert legs > 0.5 * upright
        if body in ("sitting", "bending_squatting") and stance.variant != "bow":
            assert legs < 0.45 * upright
        if body == "walking_running":
            assert abs(bones.ankles[0][0] - bones.ankles[1][0]) > 0.25 * upright
        assert ARM_RULES[arm](stance), (body, arm, stance)
        assert (stance.prop != "") == (arm == "holding")


ARM_RULES: dict[str, Callable[[Stance], bool]] = {
    "down": lambda stance: stance.arms == ("down", "down"),
    "bent": lambda stance: bool({"hips", "chin", "belly"} & set(stance.arms)),
    "raised_extended": lambda stance: max(stance.uppers) > 80,
    "crossed": lambda stance: max(stance.forearms) < -70,
    "holding": lambda stance: bool({"hold", "carry"} & set(stance.arms)),
}


def test_unknown_poses_are_bugs() -> None:
    with pytest.raises(ValueError, match="no body pose 'flying'"):
        stance_of(Draws(0), "flying", "down")
    with pytest.raises(ValueError, match="no arm pose 'folded'"):
        stance_of(Draws(0), "standing", "folded")


def test_two_emotions_at_once_keep_what_is_strongest_in_each() -> None:
    both = pulls_of(("fear", "surprise"), 1.0)
    assert both.lid == PULLS["surprise"].lid
    assert both.brow_inner == PULLS["fear"].brow_inner
    assert pulls_of((), 1.0) == Pulls()
    assert pulls_of(("sadness",), 0.5).corner == 0.5 * PULLS["sadness"].corner
    assert pulls_of(("happiness", "surprise"), 1.0).round == 0.0  # a smile, not an O


def test_clothes_change_from_film_to_film_and_not_within_one() -> None:
    person = frames()[0].track.person
    assert outfit_of(0, person, 3) == outfit_of(0, person, 3)
    assert len({outfit_of(0, person, film) for film in range(1, 9)}) == 8


def test_the_body_shows_height_and_physique() -> None:
    people = {frame.track.person.number: frame.track.person for frame in frames()}.values()
    stature = {h: [p.looks.stature for p in people if p.height == h] for h in ("short", "medium", "tall")}
    assert max(stature["short"]) < min(stature["medium"]) < max(stature["medium"]) < min(stature["tall"])
    grown = [person for person in people if person.age == "adult"]
    waist = {k: [p.looks.waist for p in grown if p.physique == k] for k in ("thin", "medium", "fat")}
    assert max(waist["thin"]) < min(waist["medium"]) < max(waist["medium"]) < min(waist["fat"])


def test_what_an_expression_changes_lies_in_the_head() -> None:
    changed = 0
    for frame in frames()[40::EVERY]:
        calm, angry = (
            replace(frame, track=replace(frame.track, expression=expression)) for expression in ((), ("anger",))
        )
        head = head_of(0, frame)
        difference = np.abs(draw(0, calm).astype(int) - draw(0, angry)).max(axis=2)
        rows, columns = np.nonzero(difference > 8)
        x, y = head.origin
        assert (np.hypot(columns + 0.5 - x, rows + 0.5 - y) < 1.3 * head.scale).all()
        changed += rows.size > 0
    assert changed > 6  # the others' faces may be out of sight


if __name__ == "__main__":
    for frozen in frames()[::EVERY]:
        print(f'    "{frozen.image}": "{digest(draw(0, frozen))}",')
