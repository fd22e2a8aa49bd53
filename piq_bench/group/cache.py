"""What has been hashed so far, kept in a file beside the output, so that an interrupted run goes on where it was.

One JSON line of parameters, then one line per image, appended as they come. A cache of other parameters is not used;
a line counts only if the image still has the size and time it was hashed with; a line cut short by a crash is skipped.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

UINT64 = 1 << 64


@dataclass(frozen=True)
class Hashed:
    """One readable image."""

    image: str
    size: int
    modified_ns: int
    phash: int
    quality: float
    bytes_hash: int


class Cache:
    """A file of `Hashed` lines; `path` None keeps nothing."""

    def __init__(self, path: Path | None, parameters: Mapping[str, object]) -> None:
        self.path = path
        self.header = json.dumps(parameters, sort_keys=True)
        self.known: dict[str, Hashed] = {}
        self.stream: IO[str] | None = None

    def __enter__(self) -> "Cache":
        if self.path is not None:
            self.known = self.read(self.path)
            # Written anew: drops lines of other parameters and a last line without its end.
            self.stream = self.path.open("w", encoding="utf-8", newline="\n")
            self.stream.write(self.header + "\n")
            self.add(self.known.values())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.stream is not None:
            self.stream.close()

    def add(self, images: Iterable[Hashed]) -> None:
        """Append and hand to the system at once; a crash loses what is being hashed, nothing more."""
        if self.stream is not None:
            for one in images:
                line = [
                    one.image,
                    one.size,
                    one.modified_ns,
                    f"{one.phash:016x}",
                    one.quality,
                    f"{one.bytes_hash:016x}",
                ]
                self.stream.write(json.dumps(line) + "\n")
            self.stream.flush()

    def read(self, path: Path) -> dict[str, Hashed]:
        """By image; empty where there is no such file or it belongs to other parameters."""
        try:
            header, *lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return {}
        if header != self.header:
            return {}
        images = (parsed(line) for line in lines)
        return {one.image: one for one in images if one is not None}


def parsed(line: str) -> Hashed | None:
    """One line, or None if it is not whole."""
    try:
        image, size, modified_ns, phash, quality, bytes_hash = json.loads(line)
        hashed = Hashed(str(image), int(size), int(modified_ns), int(phash, 16), float(quality), int(bytes_hash, 16))
    except (ValueError, TypeError):
        return None
    return hashed if 0 <= hashed.phash < UINT64 and 0 <= hashed.bytes_hash < UINT64 else None
