"""Finds and reads the image files of a data set: regular files below one folder, and nothing outside it.

Links that leave the folder, as DVC and git-annex make them, are followed only if a user asks for it.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from piq_bench.errors import BadDataset, Problem
from piq_bench.limits import MAX_IMAGE_BYTES as MAX_FILE_BYTES
from piq_bench.records import Benchmark

LINK_REMEDIES = {  # by the code of `Unreadable`
    "outside": "if you trust this data set, use --follow-links",
    "broken-link": "fetch the files, for example by `git annex get` or `dvc pull`, or mend the links",
}


def images_folder(benchmark: Benchmark) -> Path | None:
    """The folder that image ids are relative to; None where the data set has no such folder."""
    if benchmark.root is None:
        return None
    folder = benchmark.root / benchmark.images_folder
    return folder if folder.is_dir() else None


def required_images_folder(benchmark: Benchmark) -> Path:
    """The folder that image ids are relative to.

    Raises:
        BadDataset: if the data set has no such folder.
    """
    folder = images_folder(benchmark)
    if folder is None:
        remedy = "put the images in images/ beside annotations.csv, or use a Market-1501 style folder"
        source = str(benchmark.root or benchmark.name)
        raise BadDataset(source, [Problem("no-images", "images", "the data set has no image files", remedy)])
    return folder


class Unreadable(Exception):
    """An image file cannot be used.

    Attributes:
        code: stable code of the reason.
        found: the reason in words, to follow the image id.
    """

    def __init__(self, code: str, found: str) -> None:
        super().__init__(code, found)
        self.code = code
        self.found = found


@dataclass(frozen=True)
class ImageBytes:
    """Content of an image file, and when it was last modified."""

    data: bytes
    modified_ns: int


class ImageFolder:
    """Reads image files by their ids, below one folder and nothing outside it.

    Args:
        root: the folder that image ids are relative to.
        follow_links: whether links may lead out of the folder.
    """

    def __init__(self, root: Path, *, follow_links: bool = False) -> None:
        self.root = os.path.realpath(root)
        self.follow_links = follow_links
        self.parents: dict[str, bool] = {}  # whether each parent folder seen so far is below the root

    def stat(self, image: str) -> os.stat_result:
        """The status of an image file, which has its size and time.

        Raises:
            Unreadable: if the id is no plain relative path, or the file is missing, not a regular file, or outside the
                folder although links may not leave it.
        """
        if not {"", ".", ".."}.isdisjoint(image.split("/")) or "\0" in image:
            raise Unreadable("bad-path", "is no plain relative path")
        full = os.path.join(self.root, image)  # noqa: PTH118  (pathlib costs as much as the decoding of a header)
        try:
            link = os.lstat(full)
            found = Path(full).stat() if stat.S_ISLNK(link.st_mode) else link
            if not self.follow_links and not self.is_inside(full, is_link=found is not link):
                raise Unreadable("outside", "is a link that leaves the image folder")
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            if missing and self.has_broken_link(PurePosixPath(image)):
                raise Unreadable("broken-link", "is a link to a file that does not exist") from error
            raise Unreadable("missing-file" if missing else "unreadable-file", error_text(error)) from error
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would block
            raise Unreadable("not-a-file", "is no regular file")
        return found

    def is_inside(self, full: str, *, is_link: bool) -> bool:
        """Whether a file is below the root; the answer for its folder is remembered."""
        parent = os.path.dirname(full)  # noqa: PTH120
        if parent not in self.parents:
            self.parents[parent] = self.contains(parent)
        return self.parents[parent] and not (is_link and not self.contains(full))

    def has_broken_link(self, image: PurePosixPath) -> bool:
        """Whether an image, or a folder on the way to it, is a link to something that does not exist."""
        paths = [Path(self.root, part) for part in (image, *image.parents[:-1])]
        return any(path.is_symlink() and not path.exists() for path in paths)

    def contains(self, path: str) -> bool:
        """Whether a path is below the root once all links are followed."""
        real = os.path.realpath(path)
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    def read(self, image: str) -> ImageBytes:
        """The bytes of one image file.

        Raises:
            Unreadable: for the reasons of `stat`, and if the file is empty or too large.
        """
        found = self.stat(image)
        if found.st_size > MAX_FILE_BYTES:
            raise Unreadable("too-large", f"has {found.st_size} bytes, more than {MAX_FILE_BYTES}")
        try:
            with open(os.path.join(self.root, image), "rb", buffering=0) as file:  # noqa: PTH118, PTH123  (as above)
                data = file.read(found.st_size + 1)
                if len(data) != found.st_size:  # it changes at this moment, or the system reads in parts
                    data += file.readall()
        except OSError as error:
            raise Unreadable("unreadable-file", error_text(error)) from error
        if not data:
            raise Unreadable("empty-file", "is empty")
        return ImageBytes(data, found.st_mtime_ns)


def error_text(error: Exception) -> str:
    """The message of an error, without the path that an OSError adds."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
