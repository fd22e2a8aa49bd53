"""Keeps the hashes of an unfinished run in a file, so that an interrupted run can resume.

The file has one JSON line of parameters, then one line per image, appended as images are hashed. A cache of other
parameters is not used. The file lies beside a data set, which may come from somebody else, so every line begins with a
code that only this user can compute (see `group.secret`): reading ends at the first line without it, which is also a
line that a crash cut short. The caller checks that an image still has the size and modification time that it was
hashed with.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from piq_bench.group.secret import user_secret

SCHEMA = "piq-bench/groups-cache/2"
FAMILY = b'"schema": "piq-bench/groups-cache/'  # any version, in the line of parameters
CODE_BYTES = 16
MAX_LINE = 16 << 10  # characters; image ids are shorter


@dataclass(frozen=True)
class Hashed:
    """Hash, quality and file status of one readable image."""

    image: str
    size: int
    modified_ns: int
    phash: int
    quality: float
    bytes_hash: int


def is_cache(path: Path) -> bool:
    """Whether a file is a cache of any version and any parameters, or empty; only such a file may be overwritten."""
    try:
        with path.open("rb") as stream:
            begin = stream.readline(MAX_LINE)
    except OSError:
        return False
    return not begin or FAMILY in begin


class Cache:
    """A file of `Hashed` lines.

    Args:
        path: the file, which need not exist; None, a link or a device keeps nothing.
        parameters: what the hashes depend on; a file with other parameters is overwritten.
    """

    def __init__(self, path: Path | None, parameters: Mapping[str, object]) -> None:
        is_usable = path is not None and not path.is_symlink() and (path.is_file() or not path.exists())
        self.path = path if is_usable else None
        self.secret = user_secret() if is_usable else b""
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
                text = json.dumps(line)
                self.stream.write(f"{self.code(text)} {text}\n")
            self.stream.flush()

    def code(self, text: str) -> str:
        """What a line begins with; it depends on the user, the parameters and the rest of the line."""
        own = f"{self.header}\n{text}".encode()
        return hashlib.blake2b(own, key=self.secret, digest_size=CODE_BYTES).hexdigest()

    def read(self, path: Path) -> dict[str, Hashed]:
        """The stored images by id; empty if there is no such file, or its parameters differ."""
        try:
            with path.open(encoding="utf-8", newline="\n") as stream:
                if stream.readline(len(self.header) + 1) != self.header + "\n":
                    return {}
                return {hashed.image: hashed for hashed in self._own_lines(stream)}
        except (OSError, UnicodeDecodeError):
            return {}

    def _own_lines(self, stream: IO[str]) -> Iterator[Hashed]:
        """The images up to the first line that is not whole or not of this user."""
        while (line := stream.readline(MAX_LINE)).endswith("\n"):
            code, _, text = line.removesuffix("\n").partition(" ")
            if not hmac.compare_digest(code.encode(), self.code(text).encode()):
                return
            image, size, modified_ns, phash, quality, bytes_hash = json.loads(text)
            yield Hashed(image, size, modified_ns, int(phash, 16), quality, int(bytes_hash, 16))
