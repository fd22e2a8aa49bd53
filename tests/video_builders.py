"""Short films drawn for tests, with tracks that are known; needs PyAV."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.records import Pixels

HEIGHT, WIDTH = 96, 160
ROTATED = (
    0,
    65536,
    0,
    -65536,
    0,
    0,
    HEIGHT << 16,
    0,
    1 << 30,
)  # the matrix of a phone held upright: a quarter clockwise


def walkers(n_frames: int, *, cut_at: int = 10**9, height: int = HEIGHT, width: int = WIDTH) -> list[Pixels]:
    """A red person who walks to the right and a blue one who stands; the ground changes at a cut."""
    frames = []
    for index in range(n_frames):
        frame = np.full((height, width, 3), 60 if index < cut_at else 190, np.uint8)
        frame[10:90, 10 + index : 40 + index] = (220, 20, 20)
        frame[16:88, 100:130] = (20, 20, 220)
        frames.append(frame)
    return frames


def lines(n_frames: int, *, first: int = 1) -> list[str]:
    """The tracks of `walkers`, as ByteTrack writes them."""
    rows = []
    for index in range(n_frames):
        rows.append(f"{index + first},1,{10 + index}.00,10.00,30.00,80.00,0.90,-1,-1,-1")
        rows.append(f"{index + first},2,100.00,16.00,30.00,72.00,0.60,-1,-1,-1")
    return rows


def write_video(
    path: Path,
    frames: Sequence[Pixels],
    *,
    codec: str = "mpeg4",
    times: Sequence[int] | None = None,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode frames; `times` in units of 1/25 s, the number of each frame by default."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = 5
        stream.codec_context.bit_rate = 4_000_000
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index if times is None else times[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path) -> None:
    """Note in an MP4 file that it is shown a quarter turn clockwise."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4
    place += 4 + (32 if content[place] else 20) + 16
    content[place : place + 36] = struct.pack(">9i", *ROTATED)
    path.write_bytes(bytes(content))


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
