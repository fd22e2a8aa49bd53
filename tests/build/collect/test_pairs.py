"""Videos and tracks belong together by name; whoever lacks tracks is told how to make them."""

from pathlib import Path

import pytest

from piq_bench.build.collect.pairs import paired
from piq_bench.errors import BadUsage


def touched(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).touch()
    return [folder / name for name in names]


def test_tracks_are_found_by_name_in_a_folder_beside_the_video_or_as_the_only_file(tmp_path: Path) -> None:
    a, b, a_txt, b_txt, _, out = touched(tmp_path, "a.mp4", "b.mp4", "t/a.txt", "b.txt", "t/c.txt", "out.txt")
    assert [(one.name, one.tracks) for one in paired([b, a], [tmp_path / "t"])] == [("a", a_txt), ("b", b_txt)]
    assert paired([a], [out])[0].tracks == out


def test_a_video_without_tracks_is_told_which_file_to_make_and_how(tmp_path: Path) -> None:
    with pytest.raises(BadUsage) as refused:
        paired(touched(tmp_path, "a.mp4", "b.mp4"), touched(tmp_path, "b.txt"))
    told = str(refused.value)
    assert "a.mp4' has no tracks" in told and "ByteTrack" in told
    assert "frame,id,left,top,width,height,confidence,-1,-1,-1, into a.txt" in told


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    videos = touched(tmp_path, "a.mp4", "x/a.mkv", ".b.mp4")
    tracks = touched(tmp_path, "a.txt", "y/a.txt", "z.txt")
    with pytest.raises(BadUsage) as refused:
        paired([*videos, tmp_path / "none.mp4"], [*tracks, tmp_path / "none.txt"])
    assert {problem.code for problem in refused.value.problems} == {
        "same-name",
        "bad-name",
        "missing-file",
        "several-tracks",
        "no-tracks",
        "unused-tracks",
    }
