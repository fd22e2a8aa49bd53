"""Cuts the portraits of one video, and resumes where an interrupted run stopped.

A portrait appears under its name only when it is whole, so that an image that is there need not be cut again. The video
is decoded from its beginning all the same: decoding alone is fast, and frames can be counted in no other way.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np

from piq_bench.build.collect.crops import CropSettings, encoded, region
from piq_bench.build.collect.shots import Shots
from piq_bench.build.collect.tracks import UNKNOWN_CONFIDENCE, Box, Tracks
from piq_bench.build.collect.video import Damage, Frame, frames_of
from piq_bench.images.prefetch import in_order
from piq_bench.records import Pixels

AFTER_END = "after the end of the video"
ADVANCE_EVERY = 32  # frames
N_AHEAD = 8  # frames whose portraits may wait to be encoded
SEQUENCES = ("shot", "track")


@dataclass(frozen=True)
class Portrait:
    """One portrait, in the words of annotations.csv; the height of a person is a task of its own."""

    image: str
    shot: str
    track: str
    frame: str
    time: str
    box_left: str
    box_top: str
    box_width: str
    box_height: str
    confidence: str


@dataclass
class CutVideo:
    """What one video gave.

    Attributes:
        portraits: in the order of frames and tracks.
        n_frames: number of frames that were decoded.
        left_out: number of boxes of the chosen frames that gave no portrait, by reason.
        damage: what could not be decoded, in words; empty if nothing.
    """

    portraits: list[Portrait] = field(default_factory=list)
    n_frames: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    damage: str = ""


class Stopped(Exception):
    """The user has interrupted the run."""


def cut_video(
    name: str,
    video: Path,
    tracks: Tracks,
    folder: Path,
    *,
    every: int,
    settings: CropSettings,
    encoders: Executor,
    threads: int,
    stop: Event,
    advance: Callable[[int], None],
) -> CutVideo:
    """Writes the portraits of every n-th frame of a video.

    Args:
        name: of the source; its images lie in a folder of this name.
        video: the video.
        tracks: its boxes.
        folder: of all images.
        every: distance of the frames that are used.
        settings: how portraits are cut.
        encoders: pool in which portraits are encoded.
        threads: number of decoding threads; 0 lets the decoder choose.
        stop: set when the run shall end.
        advance: called with the number of frames decoded since the last call.

    Raises:
        Stopped: if `stop` was set; what is finished stays.
    """
    found = CutVideo()
    left_out: Counter[str] = Counter()
    damage = Damage()
    (folder / name).mkdir(parents=True, exist_ok=True)

    def jobs() -> Iterator[list[tuple[Path, Pixels]]]:
        shot_of = Shots()
        for frame in frames_of(video, damage, threads=threads):
            if stop.is_set():
                raise Stopped
            shot = shot_of(frame.brightness())
            found.n_frames = frame.index + 1
            boxes = tracks.boxes.get(frame.index, ()) if frame.index % every == 0 else ()
            if boxes:
                yield list(_cut(name, frame, shot, boxes))
            if found.n_frames % ADVANCE_EVERY == 0:
                advance(ADVANCE_EVERY)
        advance(found.n_frames % ADVANCE_EVERY)

    def _cut(name: str, frame: Frame, shot: int, boxes: tuple[Box, ...]) -> Iterator[tuple[Path, Pixels]]:
        height, width = frame.upright_shape
        pixels: Pixels | None = None
        for box in boxes:
            area = region(box, settings, height=height, width=width)
            if isinstance(area, str):
                left_out[area] += 1
                continue
            portrait = _portrait(name, frame, shot, box, settings.file_type)
            found.portraits.append(portrait)
            path = folder / portrait.image
            if path.exists() and path.stat().st_size:
                continue
            pixels = frame.pixels() if pixels is None else pixels
            left, top, right, bottom = area
            yield path, np.ascontiguousarray(pixels[top:bottom, left:right])

    def submit(job: list[tuple[Path, Pixels]]) -> "Future[None]":
        return encoders.submit(_write, job, settings)

    for _ in in_order(submit, jobs(), N_AHEAD):
        pass
    for reason, frames in tracks.left_out.items():
        left_out[reason] += sum(1 for frame in frames if frame % every == 0)
    late = sum(len(boxes) for frame, boxes in tracks.boxes.items() if frame % every == 0 and frame >= found.n_frames)
    left_out[AFTER_END] += late
    found.left_out = {reason: number for reason, number in sorted(left_out.items()) if number}
    found.damage = damage.text()
    return found


def _portrait(name: str, frame: Frame, shot: int, box: Box, suffix: str) -> Portrait:
    return Portrait(
        image=f"{name}/{frame.index:06d}_{box.track}.{suffix}",
        shot=f"shot{shot:04d}",
        track=str(box.track),
        frame=str(frame.index),
        time="" if frame.seconds is None else _text(frame.seconds, 3),
        box_left=_text(box.left),
        box_top=_text(box.top),
        box_width=_text(box.width),
        box_height=_text(box.height),
        confidence="" if box.confidence == UNKNOWN_CONFIDENCE else _text(box.confidence, 4),
    )


def _text(value: float, digits: int = 2) -> str:
    """A number without needless zeros.

    >>> _text(12.5), _text(7.0), _text(-0.001)
    ('12.5', '7', '0')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")


def _write(job: list[tuple[Path, Pixels]], settings: CropSettings) -> None:
    """Writes the portraits of one frame, each whole or not at all."""
    for path, pixels in job:
        unfinished = path.with_name(f".{path.name}.part")  # a killed run leaves it; the next one writes over it
        unfinished.write_bytes(encoded(pixels, settings))
        unfinished.replace(path)
