"""Opens the image files of a data set: regular files below one folder, and nothing outside it."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from piq_bench.errors import BadDataset, Problem
from piq_bench.records import Benchmark

MAX_FILE_BYTES = 1 << 28


def images_folder(benchmark: Benchmark) -> Path | None:
    """The folder that image ids are relative to; None where the data set has no such folder."""
    if benchmark.root is None:
        return None
    folder = benchmark.root / benchmark.images_folder
    return folder if folder.is_dir() else None


def required_images_folder(benchmark: Benchmark) -> Path:
    """The same for work that needs the pictures.

    Raises:
        BadDataset: if there is no such folder.
    """
    folder = images_folder(benchmark)
    if folder is None:
        remedy = "pictures lie in images/ beside annotations.csv, or in a Market-1501 style folder"
        source = str(benchmark.root or benchmark.name)
        raise BadDataset(source, [Problem("no-images", "images", "the data set has no image files", remedy)])
    return folder


class Unreadable(Exception):
    """Why an image cannot be hashed: a stable code and a sentence."""

    def __init__(self, code: str, found: str) -> None:
        super().__init__(code, found)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class ImageBytes:
    """A regular file inside the data set: its content and what tells whether it has changed since."""

    data: bytes
    modified_ns: int


class ImageFolder:
    """Opens image ids below one folder and nothing outside it."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.inside: dict[str, bool] = {}  # by parent folder: whether it really lies below the root

    def stat(self, image: str) -> os.stat_result:
        """Size and time of a regular file.

        Raises:
            Unreadable: if the id is no plain relative path, or the file is missing, special, or outside the folder.
        """
        path = PurePosixPath(image)
        if not path.parts or path.is_absolute() or str(path) != image or {"..", "."} & {*path.parts} or "\0" in image:
            raise Unreadable("bad-path", "is no plain relative path")
        full = os.path.join(self.root, image)  # noqa: PTH118  (pathlib costs as much as the decoding of a header)
        try:
            link = os.lstat(full)
            parent = os.path.dirname(full)  # noqa: PTH120
            if parent not in self.inside:
                self.inside[parent] = self.holds(parent)
            if not self.inside[parent] or (stat.S_ISLNK(link.st_mode) and not self.holds(full)):
                raise Unreadable("outside", "is a link that leaves the image folder")
            found = Path(full).stat() if stat.S_ISLNK(link.st_mode) else link
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            raise Unreadable("missing-file" if missing else "unreadable-file", reason(error)) from error
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
            raise Unreadable("not-a-file", "is no regular file")
        return found

    def holds(self, path: str) -> bool:
        """Whether a path, all links followed, lies below the root."""
        real = os.path.realpath(path)
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    def read(self, image: str) -> ImageBytes:
        """The bytes of one image file.

        Raises:
            Unreadable: as `stat`, and if the file is empty or too large.
        """
        found = self.stat(image)
        if found.st_size > MAX_FILE_BYTES:
            raise Unreadable("too-large", f"has {found.st_size} bytes, more than {MAX_FILE_BYTES}")
        try:
            data = Path(self.root, image).read_bytes()
        except OSError as error:
            raise Unreadable("unreadable-file", reason(error)) from error
        if not data:
            raise Unreadable("empty-file", "is empty")
        return ImageBytes(data, found.st_mtime_ns)


def bytes_hash(data: bytes) -> int:
    """The first 64 bits of the SHA-256."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def reason(error: Exception) -> str:
    """An error's own words, without the path in it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
