"""Tracks: where counting begins, which boxes are left out, and what is refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from piq_bench.build.collect.tracks import Box, read_tracks
from piq_bench.errors import BadDataset


def written(folder: Path, *lines: str) -> Path:
    path = folder / "film.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_line_of_bytetrack_is_read(tmp_path: Path) -> None:
    tracks = read_tracks(written(tmp_path, "1,3,794.20,247.50,71.20,174.80,0.91,-1,-1,-1"))
    assert tracks.boxes == {0: (Box(3, 794.2, 247.5, 71.2, 174.8, 0.91),)}


def test_blanks_separate_as_well_as_commas(tmp_path: Path) -> None:
    path = written(tmp_path, "1 3 7.5 2 71 174 0.9 -1 -1 -1", "", "2, 3, 8, 2, 71, 174, 0.9,")
    assert read_tracks(path).boxes == {0: (Box(3, 7.5, 2, 71, 174, 0.9),), 1: (Box(3, 8, 2, 71, 174, 0.9),)}


def test_frames_count_from_0_once_a_line_names_frame_0(tmp_path: Path) -> None:
    assert [*read_tracks(written(tmp_path, "5,1,0,0,9,9,1")).boxes] == [4]
    assert [*read_tracks(written(tmp_path, "5,1,0,0,9,9,1", "0,1,0,0,9,9,1")).boxes] == [0, 5]
    assert [*read_tracks(written(tmp_path, "5,1,0,0,9,9,1"), frames_from=0).boxes] == [5]


def test_pixels_may_count_from_1(tmp_path: Path) -> None:
    box = read_tracks(written(tmp_path, "1,1,1,11,9,9,1"), pixels_from=1).boxes[0][0]
    assert (box.left, box.top, box.width) == (0, 10, 9)


def test_a_ground_truth_loses_what_it_says_to_ignore_and_all_but_pedestrians(tmp_path: Path) -> None:
    path = written(tmp_path, "1,1,0,0,9,9,1,1,0.8", "1,2,0,0,9,9,0,1,0.8", "1,3,0,0,9,9,1,3,0.8")
    tracks = read_tracks(path)
    assert [box.track for box in tracks.boxes[0]] == [1]
    assert tracks.left_out == {"ignored by the ground truth, or no pedestrian": (0, 0)}


def test_boxes_without_area_and_of_low_confidence_are_left_out_and_unknown_confidence_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "3,1,0,0,9,0,1", "3,2,0,0,9,9,0.3", "3,4,0,0,9,9,-1", "3,3,0,0,9,9")
    tracks = read_tracks(path, min_confidence=0.5)
    assert [box.track for box in tracks.boxes[2]] == [3, 4]
    assert tracks.left_out == {"of low confidence": (2,), "without area": (2,)}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["1,1,0,0,9"], "line 1: has 5 of at least 6 columns"),
        (["1,1,0,0,9,9,1", "2,x,0,0,9,9,1"], "line 2: 'x' is no number"),
        (["1,1,nan,0,9,9,1"], "line 1: '1,1,nan,0,9,9,1' has a value that is not finite"),
        (["1,1,0,0,9,1e300,1"], "far too large"),
        (["1.5,1,0,0,9,9,1"], "line 1: frame 1.5 and track 1 must be whole numbers"),
        (["-1,1,0,0,9,9,1"], "line 1: frame -1"),
        (["1,-1,0,0,9,9,1"], "line 1: track -1 means a detection that belongs to no track"),
        (["1,1,0,0,9,9,1", "1,1,5,0,9,9,1"], "line 2: track 1 is in frame 1 already, in line 1"),
        (["0 1 pedestrian 0 0 -10 5 5 20 40 -10 -1 -1 -1 -1000 -1000 -1000 -10"], "as in KITTI's format"),
        (["# frame,id"], "the file has no boxes"),
        (["1," * 600], "line 1 is longer than 1000 characters"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, lines: list[str], told: str) -> None:
    with pytest.raises(BadDataset) as refused:
        read_tracks(written(tmp_path, *lines))
    assert told in str(refused.value)


def test_a_frame_before_the_first_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match=r"line 1: frame 0 comes before frame 1"):
        read_tracks(written(tmp_path, "0,1,0,0,9,9,1"), frames_from=1)


def test_all_kinds_of_problems_come_at_once_and_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, *["1,2"] * 5, "1,-1,0,0,9,9,1")
    with pytest.raises(BadDataset) as refused:
        read_tracks(path)
    assert [(problem.code, problem.count) for problem in refused.value.problems] == [
        ("few-columns", 5),
        ("no-track", 1),
    ]
    assert "and 2 more" in refused.value.problems[0].found


@settings(max_examples=50)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text("\n".join(texts), encoding="utf-8", errors="replace")
    try:
        assert read_tracks(path).boxes is not None
    except BadDataset as refusal:
        assert refusal.problems
