"""Keeps the hashes of an unfinished run in a file, so that an interrupted run can resume.

The file has one JSON line of parameters, then one line per image, appended as images are hashed. A cache of other
parameters is not used, and a line that a crash cut short is skipped. The caller checks that an image still has the size
and modification time that it was hashed with.
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
    """Hash, quality and file status of one readable image."""

    image: str
    size: int
    modified_ns: int
    phash: int
    quality: float
    bytes_hash: int


class Cache:
    """A file of `Hashed` lines.

    Args:
        path: the file, which need not exist; None keeps nothing.
        parameters: what the hashes depend on; a file with other parameters is overwritten.
    """

    def __init__(self, path: Path | None, parameters: Mapping[str, object]) -> None:
        self.path = path
        self.header = json.dumps(parameters, sort_keys=True)
        self.known: dict[str, Hashed] = {}
        self.stream: IO[str] | None = None

    def __enter__(self) -> "Cache":
        if self.path is not None:
            self.known = self.read(self.path)
            # Rewriting the file drops lines of other parameters and an incomplete last line.
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
        """Appends images and flushes the file, so that a crash loses only the images being hashed."""
        if self.stream is not None:
            for hashed in images:
                line = [
                    hashed.image,
                    hashed.size,
                    hashed.modified_ns,
                    f"{hashed.phash:016x}",
                    hashed.quality,
                    f"{hashed.bytes_hash:016x}",
                ]
                self.stream.write(json.dumps(line) + "\n")
            self.stream.flush()

    def read(self, path: Path) -> dict[str, Hashed]:
        """The stored images by id; empty if there is no such file or its parameters differ."""
        try:
            header, *lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            return {}
        if header != self.header:
            return {}
        images = (parsed(line) for line in lines)
        return {hashed.image: hashed for hashed in images if hashed is not None}


def parsed(line: str) -> Hashed | None:
    """The image of one line; None if the line is not whole."""
    try:
        image, size, modified_ns, phash, quality, bytes_hash = json.loads(line)
        hashed = Hashed(str(image), int(size), int(modified_ns), int(phash, 16), float(quality), int(bytes_hash, 16))
    except (ValueError, TypeError):
        return None
    return hashed if 0 <= hashed.phash < UINT64 and 0 <= hashed.bytes_hash < UINT64 else None
