"""Lists the names of images in folders and list files; no image is opened.

What file managers left behind is passed over. All limits on what strangers' folders may hold are here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from piq_bench.errors import LimitExceeded, Problem, first_few
from piq_bench.limits import MAX_TABLE_ROWS
from piq_bench.read.layouts.layout import Part
from piq_bench.read.litter import is_litter

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MAX_LIST_BYTES = 1 << 28


@dataclass(frozen=True)
class Listing:
    """What a folder or list holds.

    Attributes:
        names: images, ascending, relative to the folder; or the lines of a list, in their order.
        ignored: other entries of the folder, ascending.
        litter: number of entries that file managers left behind.
        problems: why the folder or list could not be read.
    """

    names: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    litter: int = 0
    problems: tuple[Problem, ...] = ()


class Scanner:
    """Lists the parts of one data set, each folder once, although several layouts may ask for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.n_entries = 0
        self.listings: dict[tuple[str, bool], Listing] = {}

    def listing(self, part: Part) -> Listing:
        """The names of a part.

        Raises:
            LimitExceeded: if there are more than MAX_TABLE_ROWS files, or a list is longer than MAX_LIST_BYTES.
        """
        key = (part.list or part.folder, part.by_person)
        if key not in self.listings:
            self.listings[key] = self.lines(part.list) if part.list else self._files(part.folder, part.by_person)
        return self.listings[key]

    def people(self, part: Part) -> tuple[set[str] | None, list[Problem]]:
        """Identities of a part without leading zeros, None if all people in its folder belong to it; and problems."""
        if not part.people_in:
            return None, []
        people: set[str] = set()
        problems: list[Problem] = []
        for file in part.people_in:
            listing = self.lines(file)
            names = [name.strip() for line in listing.names for name in line.split(",") if name.strip()]
            unknown = [name for name in names if not (name.isascii() and name.isdigit())]
            if unknown:
                found = f"identities that are no numbers: {first_few(unknown, len(unknown))}"
                problems.append(Problem("people-list", file, found, "numbers separated by commas", len(unknown)))
            people.update(name.lstrip("0") for name in names)
            problems += listing.problems
        return people, problems

    def _files(self, folder: str, by_person: bool) -> Listing:
        names: list[str] = []
        ignored: list[str] = []
        litter = 0
        try:
            for entry in self._entries(folder):
                if is_litter(entry.name):
                    litter += 1
                elif by_person and entry.is_dir():
                    inner = self._files(f"{folder}/{entry.name}", by_person=False)
                    if inner.problems:
                        return inner
                    names += [f"{entry.name}/{name}" for name in inner.names]
                    ignored += [f"{entry.name}/{name}" for name in inner.ignored]
                    litter += inner.litter
                elif not by_person and entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.is_file():
                    names.append(entry.name)
                else:
                    ignored.append(entry.name)
        except OSError as error:
            return Listing(problems=(_unreadable(folder, error),))
        return Listing(sorted(names), sorted(ignored), litter)

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        with os.scandir(self.root / folder) as entries:
            for entry in entries:
                self.n_entries += 1
                if self.n_entries > MAX_TABLE_ROWS:
                    found = f"has more than {MAX_TABLE_ROWS} files"
                    problem = Problem("too-large", self.root.name, found, f"at most {MAX_TABLE_ROWS} files")
                    raise LimitExceeded(str(self.root), [problem])
                yield entry

    def lines(self, file: str) -> Listing:
        """The lines of a list that are not empty."""
        try:
            with (self.root / file).open("rb") as stream:
                raw = stream.read(MAX_LIST_BYTES + 1)
            if len(raw) > MAX_LIST_BYTES:
                problem = Problem("too-large", file, f"has more than {MAX_LIST_BYTES} bytes", "a list of image names")
                raise LimitExceeded(str(self.root), [problem])
            text = raw.decode("utf-8").removeprefix("\ufeff")
        except OSError as error:
            return Listing(problems=(_unreadable(file, error),))
        except UnicodeDecodeError:
            problem = Problem("encoding", file, "is not UTF-8", "save the list as UTF-8 text")
            return Listing(problems=(problem,))
        return Listing([line for line in text.replace("\r\n", "\n").split("\n") if line])


def _unreadable(name: str, error: OSError) -> Problem:
    remedy = "add it, or check its permissions"
    return Problem("missing-folder", name, str(error.strerror or error), remedy)
