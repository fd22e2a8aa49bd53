"""Declares how a public data set lies on disk: its folders and lists, its file names, its rules and its official sizes.

A layout is data; `scan` lists its names, `recognise` finds out which layout a folder has, and `rows` reads it. Where a
data set numbers the people of train and test independently, `Part.people` keeps them apart: it stands before every
identity of that part.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from piq_bench.errors import Problem
from piq_bench.read.rules import CandidateRules

Names = Mapping[str, str]
"""The named groups of a pattern, "" for groups that did not take part."""

Image = tuple[str, int, Names]
"""Id, split and columns of an image."""

Counts = Mapping[int, tuple[int, int]]
"""For each split its images and its identities; junk and distractors are images but no identities."""


@dataclass(frozen=True)
class Part:
    """Images of one split: those in a folder, or those that a list names.

    Attributes:
        folder: folder of the images, relative to the data set.
        split: index into SPLITS.
        name: matches the whole name of an image in the folder, or the whole line of the list. Its named groups are
            "identity", "camera", "sequence" and further columns; for a list also "image", a path below the folder.
        by_person: whether the images lie in one more level of folders; `name` then matches "folder/image".
        list: text file that names the images, one a line; empty if all images in the folder belong to the part.
        given: values of columns that are the same for the whole part.
        people: stands before every identity of the part.
        people_in: text files that list the identities of the part, separated by commas, leading zeros or not; images
            of other people in the folder belong to another part. Empty if all people belong to it.
    """

    folder: str
    split: int
    name: re.Pattern[str]
    by_person: bool = False
    list: str = ""
    given: Names = field(default_factory=dict)
    people: str = ""
    people_in: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The folder and files that must exist."""
        return (self.folder, *([self.list] if self.list else []), *self.people_in)


def as_named(names: Names) -> Names:
    """The columns of a data set whose patterns name them directly."""
    return names


@dataclass(frozen=True)
class Layout:
    """A public data set.

    Attributes:
        name: for `piq import` and in messages.
        title: as people know it.
        example: an image's name, for messages.
        parts: together all images.
        rules: who is a candidate. Rules about columns that turn out to be empty are left out.
        columns: the columns of an image, from the named groups of its name and the values given for its part.
        editions: official sizes of each edition; a data set of other sizes is read, with a note.
        folder_name: what the data set's folder must be called to be recognised; None for any name.
        automatic: whether it is recognised without being asked for.
        remark: a choice that users should know of.
        read: reads a data set that has no parts, because names alone do not tell its rows.
        more_needs: folders and files that must exist besides those of the parts.
    """

    name: str
    title: str
    example: str
    parts: tuple[Part, ...]
    rules: CandidateRules = field(default_factory=CandidateRules)
    columns: Callable[[Names], Names] = as_named
    editions: tuple[Counts, ...] = ()
    folder_name: re.Pattern[str] | None = None
    automatic: bool = True
    remark: str = ""
    read: Callable[[Path], tuple[list[Image], list[Problem]]] | None = None
    more_needs: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The folders and files by which the data set is recognised."""
        return (*dict.fromkeys(need for part in self.parts for need in part.needs), *self.more_needs)
