"""Decoding: frames are counted as they come, upright, and damage is counted instead of hidden."""

from pathlib import Path

import numpy as np
import pytest
from video_builders import HEIGHT, WIDTH, rotate, walkers, write_video

from piq_bench.build.collect.video import Damage, frames_of, inspect_video
from piq_bench.errors import BadDataset
from piq_bench.records import Pixels

pytest.importorskip("av")


def pictures(path: Path, damage: Damage | None = None) -> list[Pixels]:
    return [frame.pixels() for frame in frames_of(path, damage or Damage())]


def close(first: Pixels, second: Pixels) -> bool:
    return float(np.abs(first.astype(int) - second.astype(int)).mean()) < 6


def test_every_frame_comes_once_and_in_order(tmp_path: Path) -> None:
    drawn = walkers(12)
    decoded = pictures(write_video(tmp_path / "a.mp4", drawn))
    distances = [[np.abs(shown.astype(int) - one).mean() for one in drawn] for shown in decoded]
    assert len(decoded) == 12
    assert np.argmin(distances, axis=1)[::2].tolist() == [0, 2, 4, 6, 8, 10]  # colours are stored for every other pixel


def test_a_variable_frame_rate_neither_adds_nor_drops_frames(tmp_path: Path) -> None:
    times = [0, 1, 5, 6, 30, 31, 90]
    path = write_video(tmp_path / "a.mkv", walkers(7), times=times)
    frames = list(frames_of(path, Damage()))
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.seconds for frame in frames] == pytest.approx([time / 25 for time in times], abs=1e-3)
    assert all(map(close, [frame.pixels() for frame in frames], walkers(7)))


def test_a_rotated_video_is_shown_upright(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", walkers(3))
    rotate(path)
    frame = next(frames_of(path, Damage()))
    assert frame.upright_shape == frame.pixels().shape[:2] == (WIDTH, HEIGHT)
    right_of_turned = walkers(1)[0].swapaxes(0, 1)[:, ::-1]  # what was the top is on the right
    assert close(frame.pixels(), right_of_turned)


@pytest.mark.parametrize(("codec", "pixel_format"), [("ffv1", "yuv420p"), ("ffv1", "bgr0"), ("ffv1", "yuv420p10le")])
def test_brightness_is_that_of_the_picture_in_every_pixel_format(tmp_path: Path, codec: str, pixel_format: str) -> None:
    path = write_video(tmp_path / "a.mkv", walkers(2), codec=codec, pixel_format=pixel_format)
    brightness = next(frames_of(path, Damage())).brightness()
    drawn = walkers(1)[0] @ np.array([0.299, 0.587, 0.114])
    assert brightness.shape == (HEIGHT, WIDTH)
    assert np.abs(brightness - drawn).mean() < 16 and np.corrcoef(brightness.ravel(), drawn.ravel())[0, 1] > 0.98


def test_damage_in_the_middle_is_counted_and_the_rest_is_decoded(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", walkers(30))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = bytes(1500)
    path.write_bytes(bytes(content))
    damage = Damage()
    assert 3 < len(pictures(path, damage)) < 30
    assert damage.text()


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.mp4", b"", "cannot be opened"),
        ("a.mp4", b"no film at all" * 100, "cannot be opened"),
        ("missing.mp4", None, "cannot be opened: No such file"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadDataset, match=told):
        inspect_video(tmp_path / name)


def test_a_truncated_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", walkers(9))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(BadDataset, match="cannot be opened"):
        inspect_video(path)


def test_the_number_of_frames_is_known_or_estimated(tmp_path: Path) -> None:
    assert inspect_video(write_video(tmp_path / "a.mp4", walkers(12))).n_frames == 12
    assert inspect_video(write_video(tmp_path / "a.mkv", walkers(12))).n_frames == pytest.approx(12, abs=1)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(BadDataset, match="has no pictures"):
        inspect_video(tmp_path / "a.wav")
