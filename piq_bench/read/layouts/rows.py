"""Reads the rows of a recognised data set from its names, and compares its sizes with the official ones."""

from collections.abc import Mapping, Sequence

import numpy as np

from piq_bench.errors import Problem, first_few, quoted
from piq_bench.read.column import Column, object_array
from piq_bench.read.layouts.layout import Counts, Image, Layout, Part
from piq_bench.read.layouts.scan import Scanner
from piq_bench.read.rows import Rows, index_identities
from piq_bench.read.validate import image_problems, repeat_problems
from piq_bench.records import SPLITS

MAX_NAME = 512  # characters of a name or line; checked before any pattern is tried
COLUMNS = ("source", "sequence", "camera")  # columns that `Rows` has a field for


def count_names(layout: Layout, scanner: Scanner) -> tuple[int, int]:
    """How many names the layout can read, and how many it finds, to choose between layouts."""
    found = [(part, scanner.listing(part).names) for part in layout.parts]
    readable = sum(len(name) <= MAX_NAME and bool(part.name.fullmatch(name)) for part, names in found for name in names)
    return readable, sum(len(names) for _, names in found)


def read_layout(layout: Layout, scanner: Scanner) -> tuple[Rows | None, list[Problem], list[Problem]]:
    """Read the names of a data set.

    Returns:
        The rows, None if there are none; the problems; and as notes what was ignored and what differs from the
        official data set.

    Raises:
        LimitExceeded: if there are too many files.
    """
    problems: list[Problem] = []
    notes: list[Problem] = []
    images: list[Image] = []
    litter = 0
    seen: set[int] = set()
    if layout.read is not None:
        images, problems = layout.read(scanner.root)
    for part in layout.parts:
        listing = scanner.listing(part)
        problems += listing.problems
        people, faults = scanner.people(part)
        problems += [fault for fault in faults if fault not in problems]  # several parts may share a list
        images += _read_part(layout, part, listing.names, people, problems)
        if id(listing) in seen:  # several parts may share a folder
            continue
        seen.add(id(listing))
        litter += listing.litter
        if listing.ignored:
            found = f"ignored: {first_few(listing.ignored, len(listing.ignored))}"
            remedy = "only images where the layout expects them are read"
            notes.append(Problem("ignored-file", part.folder, found, remedy, len(listing.ignored)))
    if litter:
        found = f"{litter} entries that file managers left behind are passed over"
        notes.append(Problem("litter", scanner.root.name, found, "delete them", litter))
    if not images:
        remedy = f"put images into {', '.join(layout.needs)}"
        problems.append(Problem("no-rows", scanner.root.name, "has no images", remedy))
        return None, problems, notes
    images.sort(key=lambda image: image[0])
    rows = _rows(images)
    problems += image_problems(scanner.root.name, rows.images, rows.row_name)
    problems += repeat_problems(scanner.root.name, rows.images, rows.split, rows.row_name)
    if layout.remark:
        notes.append(Problem("layout", scanner.root.name, layout.remark, ""))
    nobody = {*(layout.rules.junk or ()), *(layout.rules.distractors or ())}
    if (note := _differences(layout, sizes(images, nobody))) is not None:
        notes.append(note)
    return rows, problems, notes


def sizes(images: Sequence[Image], nobody: set[str]) -> Counts:
    """The images and identities of each split that has any."""
    people: dict[int, set[str]] = {}
    n_images: dict[int, int] = {}
    for _, split, columns in images:
        n_images[split] = n_images.get(split, 0) + 1
        people.setdefault(split, set()).add(columns["identity"])
    return {split: (count, len(people[split] - nobody)) for split, count in n_images.items()}


def _read_part(
    layout: Layout, part: Part, names: Sequence[str], people: set[str] | None, problems: list[Problem]
) -> list[Image]:
    images: list[Image] = []
    unknown = []
    for name in names:
        match = part.name.fullmatch(name) if len(name) <= MAX_NAME else None
        if match is None:
            unknown.append(name)
            continue
        groups = {**part.given, **{group: value or "" for group, value in match.groupdict().items()}}
        file = groups.pop("image", name)
        if people is not None and groups["identity"].lstrip("0") not in people:
            continue
        columns = dict(layout.columns(groups))
        columns["identity"] = part.people + columns["identity"]
        images.append((f"{part.folder}/{file}", part.split, columns))
    if unknown:
        found = f"{'lines' if part.list else 'names'} that cannot be read: {first_few(unknown, len(unknown))}"
        remedy = f"expected {'lines' if part.list else 'names'} such as {layout.example} ({layout.title})"
        problems.append(Problem("image-name", part.list or part.folder, found, remedy, len(unknown)))
    return images


def _rows(images: Sequence[Image]) -> Rows:
    identity, identities = index_identities(Column.from_texts([columns["identity"] for *_, columns in images]))
    further = dict.fromkeys(name for *_, columns in images for name in columns if name != "identity")
    texts = {name: Column.from_texts([columns.get(name, "") for *_, columns in images]) for name in further}
    filled: Mapping[str, Column] = {name: column for name, column in texts.items() if column.distinct != {""}}
    source, sequence, camera = (filled[name].rows() if name in filled else None for name in COLUMNS)
    nobody = np.zeros(len(images), dtype=np.bool_)
    return Rows(
        images=object_array([image for image, *_ in images]),
        split=np.array([split for _, split, _ in images], dtype=np.int64),
        identity=identity,
        identities=identities,
        labels={},
        junk=nobody,
        distractor=nobody.copy(),
        source=source,
        sequence=sequence,
        camera=camera,
        row_name=lambda row: quoted(images[row][0]),
        columns={name: filled[name].rows() for name in sorted(filled) if name not in COLUMNS},
    )


def _differences(layout: Layout, found: Counts) -> Problem | None:
    """A note if the sizes are those of no edition; it names the splits that differ from the edition most like it."""
    by_edition = [
        [split for split in sorted(edition) if found.get(split, (0, 0)) != edition[split]]
        for edition in layout.editions
    ]
    if not by_edition or [] in by_edition:
        return None
    differing = min(by_edition, key=len)
    edition = layout.editions[by_edition.index(differing)]
    texts = [
        f"{SPLITS[split]} has {_size(found.get(split, (0, 0)))} instead of {_size(edition[split])}"
        for split in differing
    ]
    text = f"differs from the sizes published for {layout.title}: {'; '.join(texts)}"
    return Problem("other-sizes", layout.title, text, "check that it was unpacked completely", len(differing))


def _size(counts: tuple[int, int]) -> str:
    return f"{counts[0]} images of {counts[1]} people"
