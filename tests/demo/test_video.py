from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from piq_bench.build.collect.tracks import read_tracks
from piq_bench.demo.film import ARMS, BODIES, EXPRESSIONS
from piq_bench.demo.people import cast_people
from piq_bench.demo.video import HOLD, PICTURES, SHOTS, WIDTH, draw_films, pictures_of, shots_of, tracks_text, truth_of
from piq_bench.errors import BadUsage

PEOPLE = cast_people(0, "video one", 0, 8)


def test_everybody_is_in_two_shots_and_the_first_shot_comes_again() -> None:
    rows = truth_of("one", shots_of(0, 1, PEOPLE))
    assert [row[1] for row in rows] == [str(number) for number in range(1, 21)]
    assert set(Counter((row[3], row[2]) for row in rows).values()) == {1}
    assert set(Counter(row[3] for row in rows[:16]).values()) == {2}
    assert [row[3:] for row in rows[16:]] == [row[3:] for row in rows[:4]]
    for row in rows:
        assert row[8] in BODIES
        assert row[9] in ARMS
        assert row[10] == "-" or set(row[10].split("|")) <= set(EXPRESSIONS)


def test_a_box_holds_its_person_whom_the_picture_shows(tmp_path: Path) -> None:
    shot = shots_of(0, 1, PEOPLE)[1]
    (picture, boxes), (again, later) = islice(pictures_of(0, shot, lambda steps: None), 2)
    assert picture.shape == (256, WIDTH, 3)
    left, top, width, height = boxes[1]
    assert 100 < left < left + width < 224  # the second of four, who stands
    assert 0 < top < top + height <= 256
    moved = (picture.astype(int) - again).max(axis=2) > 60  # more than grain
    rows, columns = moved.nonzero()
    inside = [
        any(x <= column < x + wide and y <= row < y + high for x, y, wide, high in [*boxes, *later])
        for row, column in zip(rows, columns, strict=True)
    ]
    assert inside
    assert all(inside)  # nothing but people moves


def test_the_boxes_are_read_as_a_trackers(tmp_path: Path) -> None:
    boxes = [[(shot, picture, 10, 100) for _ in range(4)] for shot in range(SHOTS + 1) for picture in range(PICTURES)]
    shots = [boxes[start : start + PICTURES] for start in range(0, len(boxes), PICTURES)]
    (tmp_path / "one.txt").write_text(tracks_text(shots))
    found = read_tracks(tmp_path / "one.txt", frames_from=None, pixels_from=0, min_confidence=0)
    frames = found.boxes
    assert sorted(frames) == list(range((SHOTS + 1) * PICTURES * HOLD))
    for frame, held in frames.items():
        shot, picture = divmod(frame // HOLD, PICTURES)
        assert [(box.track, box.left, box.top) for box in held] == [(shot * 4 + n, shot, picture) for n in range(1, 5)]


def test_without_pyav_nothing_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("piq_bench.demo.video.find_spec", lambda name: None)
    with pytest.raises(BadUsage, match="PyAV is not installed") as refusal:
        draw_films(tmp_path / "out")
    assert "pip install 'piq-bench\\[video\\]'".replace("\\", "") in str(refusal.value)
    assert not (tmp_path / "out").exists()
