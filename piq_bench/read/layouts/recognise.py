"""Finds out which public data set a folder holds, from the names of its folders and files.

The folders decide first. Where several data sets have the same ones, the data set that can read most names is taken,
and the first of `LAYOUTS` among equals. The data set may also lie one folder deeper, as archives often unpack.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from piq_bench.errors import BadDataset, BadUsage, Problem, first_few, printable, quoted
from piq_bench.read.layouts.known import LAYOUTS
from piq_bench.read.layouts.layout import Layout
from piq_bench.read.layouts.rows import count_names
from piq_bench.read.layouts.scan import Scanner
from piq_bench.read.litter import is_litter
from piq_bench.read.validate import expected

N_NEAREST = 3
MAX_ENTRIES = 1000  # a folder with more entries holds images or people, and is not searched for data sets


@dataclass(frozen=True, eq=False)
class Found:
    """A data set that was recognised: its layout, its folder, and what has been listed of it already."""

    layout: Layout
    folder: Path
    scanner: Scanner


def layout_named(name: str, others: Iterable[str] = ()) -> Layout:
    """The layout of that name.

    Args:
        name: as users wrote it.
        others: further names that would have been valid, for the message.

    Raises:
        BadUsage: if there is none.
    """
    names = [layout.name for layout in LAYOUTS]
    if name not in names:
        problem = Problem("unknown-layout", "LAYOUT", f"is {quoted(name)}", expected(name, [*names, *others]))
        raise BadUsage(name, [problem])
    return LAYOUTS[names.index(name)]


def recognise(root: Path, layout: Layout | None = None) -> Found | None:
    """The data set in a folder, or in the only folder inside it that holds one; None if there is none.

    Args:
        root: the folder.
        layout: the only layout that it may have; None for all that are recognised by themselves.

    Raises:
        BadDataset: if several folders inside it hold data sets.
        LimitExceeded: if there are too many files.
    """
    if found := _recognise_here(root, layout):
        return found
    inside = [found for folder in inner_folders(root) if (found := _recognise_here(folder, layout))]
    if len(inside) > 1:
        raise several(root, [found.folder for found in inside])
    return inside[0] if inside else None


def several(root: Path, folders: Sequence[Path]) -> BadDataset:
    """The refusal of a folder in which several folders hold data sets."""
    names = [folder.name for folder in folders]
    found = f"{len(names)} folders hold data sets: {first_few(names, len(names))}"
    remedy = f"pass one of them, such as {printable(folders[0])}"
    return BadDataset(str(root), [Problem("several-datasets", root.name, found, remedy)])


def nearest(root: Path, layouts: Iterable[Layout] = LAYOUTS) -> list[Problem]:
    """The data sets of which a folder has at least one folder or list, most complete first, and what it lacks."""
    partial = []
    for folder in (root, *inner_folders(root)):
        for layout in layouts:
            present = [name for name in layout.needs if _has(folder, name)]
            absent = [name for name in layout.needs if name not in present]
            if present:
                partial.append((len(absent) / len(layout.needs), folder, layout, present, absent))
    partial.sort(key=lambda near: near[0])  # stable: the folder itself before those inside, then the order of LAYOUTS
    problems = []
    for _, folder, layout, present, absent in partial[:N_NEAREST]:
        where = root.name if folder == root else f"{root.name}/{folder.name}"
        found = f"has {first_few(present, len(present), len(present))} of {layout.title}"
        lacks = first_few(absent, len(absent), len(absent)) or "nothing; see `piq import`"
        problems.append(Problem("unknown-layout", where, found, f"to be read as {layout.name}, it lacks {lacks}"))
    return problems


def _recognise_here(folder: Path, layout: Layout | None) -> Found | None:
    possible = (known for known in LAYOUTS if _may_be(known, folder)) if layout is None else (layout,)
    candidates = [known for known in possible if all(_has(folder, need) for need in known.needs)]
    if not candidates:
        return None
    scanner = Scanner(folder)
    best = candidates[0]
    if len(candidates) > 1:
        best = max(candidates, key=lambda known: count_names(known, scanner))  # the first among equals
    return Found(best, folder, scanner)


def _may_be(layout: Layout, folder: Path) -> bool:
    """Whether a layout is recognised by itself in a folder of that name."""
    name = layout.folder_name
    return layout.automatic and (name is None or bool(name.fullmatch(folder.resolve().name)))


def inner_folders(root: Path) -> list[Path]:
    """The folders in a folder, by name; none if it has more than MAX_ENTRIES entries."""
    with os.scandir(root) as found:
        entries = list(islice(found, MAX_ENTRIES + 1))
    names = sorted(entry.name for entry in entries if entry.is_dir() and not is_litter(entry.name))
    return [root / name for name in names] if len(entries) <= MAX_ENTRIES else []


def _has(folder: Path, need: str) -> bool:
    try:
        return (folder / need).exists()
    except OSError:  # a folder that may not be read holds nothing that could be
        return False
