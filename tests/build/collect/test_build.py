"""A collected data set: what is in it, the same bytes every time, and resuming."""

import csv
import io
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_builders import files_of, lines, rotate, walkers, write_video

from piq_bench.build.collect import crops
from piq_bench.build.collect.build import CollectSettings, collect
from piq_bench.build.collect.crops import CropSettings
from piq_bench.build.collect.pairs import Source, paired
from piq_bench.errors import BadDataset, BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import Pixels

pytest.importorskip("av")
SMALL = CropSettings(64, 32)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Source]:
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / "a.mp4", walkers(40, cut_at=20))
    write_video(folder / "b.mkv", walkers(30))
    (folder / "a.txt").write_text("\n".join(lines(40)), encoding="utf-8")
    (folder / "b.txt").write_text("\n".join(lines(30, first=0)), encoding="utf-8")
    return paired([folder / "b.mkv", folder / "a.mp4"], [])


@pytest.fixture(scope="module")
def made(films: list[Source], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "ds"
    collect(films, out, CollectSettings(every=5, crops=SMALL), workers=2)
    return out


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "annotations.csv").read_text(encoding="utf-8"))))


def test_it_is_a_data_set_with_every_image(made: Path) -> None:
    benchmark = read_benchmark(made)
    assert [str(image) for image in benchmark.images] == sorted(row["image"] for row in rows(made))
    assert set(files_of(made / "images")) == set(benchmark.images)
    assert not (made / ".collect").exists()


def test_every_fifth_frame_gives_one_row_for_each_box(made: Path) -> None:
    expected = [
        (f"{film}/{frame:06d}_{track}.jpg", film, str(track), str(frame))
        for film, n_frames in (("a", 40), ("b", 30))
        for frame in range(0, n_frames, 5)
        for track in (1, 2)
    ]
    assert [(row["image"], row["source"], row["track"], row["frame"]) for row in rows(made)] == expected


def test_boxes_times_and_confidences_are_those_of_the_tracks(made: Path) -> None:
    row = next(row for row in rows(made) if row["image"] == "a/000015_1.jpg")
    box = [float(row[f"box_{name}"]) for name in ("left", "top", "width", "height")]
    assert box == [25, 10, 30, 80]
    assert (row["time"], row["confidence"], row["split"], row["identity"]) == ("0.6", "0.9", "gallery", "")


def test_a_cut_begins_a_sequence(made: Path) -> None:
    shots = {row["frame"]: row["sequence"] for row in rows(made) if row["source"] == "a"}
    assert [shots["15"], shots["20"]] == ["shot0001", "shot0002"]


def test_each_portrait_shows_the_person_of_its_track(made: Path) -> None:
    for row in rows(made):
        with Image.open(made / "images" / row["image"]) as image:
            middle = np.asarray(image)[16:48, 8:24].reshape(-1, 3).mean(axis=0)
        assert image.size == (32, 64)
        if row["frame"] < "70" and not (row["track"] == "2" and int(row["frame"]) > 55):
            assert np.argmax(middle) == (0 if row["track"] == "1" else 2)


def test_two_runs_and_any_number_of_workers_give_the_same_bytes(
    films: list[Source], made: Path, tmp_path: Path
) -> None:
    collect(films, tmp_path / "other", CollectSettings(every=5, crops=SMALL), workers=1)
    assert files_of(tmp_path / "other") == files_of(made)


def test_a_second_run_on_a_finished_folder_changes_nothing(films: list[Source], made: Path, tmp_path: Path) -> None:
    before = files_of(made)
    edited = before["annotations.csv"].replace(b"gallery,,a", b"gallery,someone,a")
    (made / "annotations.csv").write_bytes(edited)  # labels that somebody has given meanwhile
    try:
        assert collect(films, made, CollectSettings(every=5, crops=SMALL)).was_complete
        assert files_of(made) == {**before, "annotations.csv": edited}
    finally:
        (made / "annotations.csv").write_bytes(before["annotations.csv"])


@pytest.mark.parametrize("after", [1, 5, 9])
def test_an_interrupted_run_resumes_to_the_same_bytes(
    films: list[Source], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    encode, begun, again = crops.encoded, count(1), count(1)

    def dying(pixels: Pixels, settings: CropSettings) -> bytes:
        if next(begun) > after:
            raise KeyboardInterrupt
        return encode(pixels, settings)

    monkeypatch.setattr("piq_bench.build.collect.one_video.encoded", dying)
    with pytest.raises(KeyboardInterrupt):
        collect(films, tmp_path / "ds", CollectSettings(every=5, crops=SMALL), workers=1)
    assert not (tmp_path / "ds" / "annotations.csv").exists()

    def counting(pixels: Pixels, settings: CropSettings) -> bytes:
        next(again)
        return encode(pixels, settings)

    monkeypatch.setattr("piq_bench.build.collect.one_video.encoded", counting)
    collect(films, tmp_path / "ds", CollectSettings(every=5, crops=SMALL), workers=1)
    assert files_of(tmp_path / "ds") == files_of(made)
    assert next(again) - 1 == len(rows(made)) - after  # what was finished is not cut again


def test_other_options_never_mix_with_an_earlier_run(films: list[Source], made: Path) -> None:
    with pytest.raises(BadUsage, match="was collected with other every, crops"):
        collect(films, made, CollectSettings(every=4, crops=CropSettings(32, 32)))


def test_a_folder_of_something_else_is_left_alone(films: list[Source], tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadUsage, match=r"the folder holds 'mine\.txt'"):
        collect(films, tmp_path, CollectSettings())


def test_two_runs_at_once_are_refused(films: list[Source], made: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (made / "collect.json").open() as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(BadUsage, match="another run"):
            collect(films, made, CollectSettings(every=5, crops=SMALL))


def test_boxes_that_give_no_portrait_are_counted_by_reason(films: list[Source], tmp_path: Path) -> None:
    boxes = [
        *lines(40),
        "6,7,500,0,30,80,1",
        "6,8,0,80,30,80,1",
        "7,9,0,0,0,80,1",
        "11,9,0,0,0,80,1",
        "51,1,0,0,9,90,1",
    ]
    (tmp_path / "a.txt").write_text("\n".join(boxes), encoding="utf-8")
    [film] = [Source("a", source.video, tmp_path / "a.txt") for source in films if source.name == "a"]
    found = collect([film], tmp_path / "ds", CollectSettings(every=5, crops=SMALL)).videos["a"]
    assert found.n_frames == 40 and len(found.portraits) == 16
    assert found.left_out == {
        "after the end of the video": 1,
        "lower than the minimum height": 1,
        "outside the picture": 1,
        "without area": 1,
    }


def test_a_rotated_film_is_cut_where_the_tracker_saw_people(tmp_path: Path) -> None:
    rotate(write_video(tmp_path / "a.mp4", walkers(3)))
    (tmp_path / "a.txt").write_text("1,2,8,100,72,30,1", encoding="utf-8")  # the blue one, seen upright
    settings = CollectSettings(every=1, crops=CropSettings(min_height=8, height=30, width=72))
    collect(paired([tmp_path / "a.mp4"], []), tmp_path / "ds", settings)
    with Image.open(tmp_path / "ds" / "images" / "a" / "000000_2.jpg") as image:
        assert np.abs(np.asarray(image, dtype=int)[4:-4, 4:-4] - (20, 20, 220)).mean() < 12


def test_tracks_that_give_nothing_leave_no_folder_that_blocks_the_next_try(films: list[Source], tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="30 frames gave no portrait: 12 lower than the minimum height"):
        collect(films, tmp_path / "ds", CollectSettings(every=5, crops=CropSettings(min_height=90)))
    collect(films, tmp_path / "ds", CollectSettings(every=20, crops=SMALL))


def test_all_broken_videos_and_tracks_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_bytes(b"nothing")
        (tmp_path / f"{name}.txt").write_text("1,2,3", encoding="utf-8")
    with pytest.raises(BadDataset) as refused:
        collect(paired([tmp_path / "a.mp4", tmp_path / "b.mp4"], []), tmp_path / "ds", CollectSettings())
    assert [problem.where for problem in refused.value.problems] == ["a.txt", "a.mp4", "b.txt", "b.mp4"]
    assert not (tmp_path / "ds").exists()


def test_sequences_may_be_tracks(films: list[Source], tmp_path: Path) -> None:
    collect(films, tmp_path / "ds", CollectSettings(every=20, sequence="track", crops=SMALL))
    assert {row["sequence"] for row in rows(tmp_path / "ds")} == {"track1", "track2"}
