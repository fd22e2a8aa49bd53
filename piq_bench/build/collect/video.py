"""Decodes a video frame by frame, upright, as trackers see it; needs PyAV, which brings FFmpeg.

Frames are counted as they come out of the decoder, from 0, whatever their times: OpenCV, which most trackers read with,
counts so too, and neither repeats nor drops frames where the frame rate varies. A rotation that a phone noted beside
the pixels is applied, as OpenCV does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piq_bench.errors import BadDataset, BadUsage, Problem, printable
from piq_bench.records import Pixels

INSTALL = "pip install 'piq-bench[video]'"
PLANAR = (
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuvj422p",
    "yuv444p",
    "yuvj444p",
    "nv12",
    "nv21",
    "gray",
)  # brightness first
REMEDY = "play it to check it, fetch it again, or repair it: ffmpeg -i VIDEO -c copy REPAIRED.mkv"
QUARTER = 90  # degrees


def require() -> None:
    """Raises BadUsage if PyAV is not installed; called before anything is read."""
    if find_spec("av") is None:
        raise BadUsage("video", [Problem("not-installed", "av", "PyAV is not installed", INSTALL)])


@dataclass(frozen=True)
class VideoFacts:
    """What a video says about itself.

    Attributes:
        n_frames: number of frames by its header, or estimated from its length; 0 where nothing is known.
    """

    n_frames: int


@dataclass
class Damage:
    """Counts what could not be decoded.

    Attributes:
        packets: pieces of the file that gave an error.
        frames: frames that the decoder itself calls damaged.
        ended: what stopped the reading before the end of the file; empty if nothing did.
    """

    packets: int = 0
    frames: int = 0
    ended: str = ""

    def text(self) -> str:
        """What was wrong in words; empty if nothing was."""
        parts = [f"{self.packets:,} pieces cannot be decoded"] if self.packets else []
        parts += [f"{self.frames:,} frames are damaged"] if self.frames else []
        parts += [f"it ends early: {self.ended}"] if self.ended else []
        return ", ".join(parts)


@dataclass
class Frame:
    """One decoded frame.

    Attributes:
        index: number of the frame, from 0.
        seconds: time at which it is shown; None where the video does not say.
        raw: PyAV's frame.
    """

    index: int
    seconds: float | None
    raw: Any = field(repr=False)

    def brightness(self) -> NDArray[np.uint8]:
        """Shape (height, width); brightness, without a rotation."""
        raw = self.raw
        if raw.format.name not in PLANAR:
            raw = raw.reformat(format="gray")
        plane = raw.planes[0]
        lines = np.frombuffer(plane, np.uint8)[: plane.line_size * raw.height]
        return lines.reshape(raw.height, plane.line_size)[:, : raw.width]

    @property
    def quarter_turns(self) -> int:
        """By how many quarter turns, counter-clockwise, the picture is shown."""
        return int(round(self.raw.rotation / QUARTER) % 4)

    @property
    def upright_shape(self) -> tuple[int, int]:
        """Height and width of the upright picture."""
        height, width = self.raw.height, self.raw.width
        return (width, height) if self.quarter_turns % 2 else (height, width)

    def pixels(self) -> Pixels:
        """Shape (height, width, 3); the upright picture."""
        pixels: Pixels = self.raw.to_ndarray(format="rgb24")
        return np.rot90(pixels, self.quarter_turns) if self.quarter_turns else pixels


def inspect_video(path: Path) -> VideoFacts:
    """Opens a video and decodes its first frame.

    Raises:
        BadDataset: if it is no video that can be decoded.
    """
    import av

    try:
        with av.open(str(path)) as container:
            stream = _stream(container, path)
            if next(container.decode(stream), None) is None:
                raise BadDataset(str(path), [Problem("no-frames", path.name, "has no frames", REMEDY)])
            return VideoFacts(_n_frames(container, stream))
    except (OSError, ValueError) as error:  # FFmpeg's errors are of these types too
        raise _unreadable(path, error) from None


def frames_of(path: Path, damage: Damage, *, threads: int = 0) -> Iterator[Frame]:
    """Yields every frame that can be decoded.

    Args:
        path: the video.
        damage: receives what could not be decoded.
        threads: number of decoding threads; 0 lets the decoder choose.

    Raises:
        BadDataset: if it is no video.
    """
    import av

    try:
        container = av.open(str(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    with container:
        stream = _stream(container, path)
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        index = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (OSError, ValueError) as error:
                damage.ended = printable(error)
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except (OSError, ValueError):
                damage.packets += 1
                continue
            for raw in decoded:
                damage.frames += bool(raw.is_corrupt)
                yield Frame(index, raw.time, raw)
                index += 1


def _stream(container: Any, path: Path) -> Any:  # noqa: ANN401  (PyAV need not be installed)
    if not container.streams.video:
        found = "has no pictures, only sound or text"
        raise BadDataset(str(path), [Problem("no-video", path.name, found, "name a file with a video stream")])
    return container.streams.video[0]


def _n_frames(container: Any, stream: Any) -> int:  # noqa: ANN401
    if stream.frames:
        return int(stream.frames)
    rate = stream.average_rate or stream.guessed_rate or 0
    if stream.duration and stream.time_base:
        return int(stream.duration * stream.time_base * rate)
    return int(container.duration * rate / 1_000_000) if container.duration else 0


def _unreadable(path: Path, error: Exception) -> BadDataset:
    reason = printable(getattr(error, "strerror", None) or error)
    return BadDataset(str(path), [Problem("unreadable-video", path.name, f"cannot be opened: {reason}", REMEDY)])
