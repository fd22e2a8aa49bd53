"""Recognises public attribute data sets and tables of other libraries by their files, and reads them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from piq_bench.errors import BadDataset, BadUsage, Problem, quoted
from piq_bench.read.layouts import duke_attribute, market_attribute, oml, pa100k, peta, rap, wildlife
from piq_bench.read.layouts.known import TITLES as OF_FOLDERS
from piq_bench.read.layouts.labelled_rows import LabelledRows
from piq_bench.read.layouts.recognise import inner_folders, recognise, several
from piq_bench.read.table import SUFFIXES
from piq_bench.read.vocabulary import FILE

ATTRIBUTE_FILES = {
    "market-attribute": market_attribute,
    "duke-attribute": duke_attribute,
    "peta": peta,
    "pa100k": pa100k,
    "rap": rap,
}
TABLES = {"oml": oml, "wildlife": wildlife}
READERS = {**ATTRIBUTE_FILES, **TABLES}
TITLES = {
    "market-attribute": "Market-1501 with Market-1501_Attribute",
    "duke-attribute": "DukeMTMC-reID with DukeMTMC-attribute",
    "peta": "PETA",
    "pa100k": "PA-100K",
    "rap": "RAP",
    "oml": "a table of OpenMetricLearning",
    "wildlife": "a table of wildlife-datasets",
}
ALL_TITLES = {**OF_FOLDERS, **TITLES}
EXPECTED = {
    "market-attribute": "market_attribute.mat in a folder of Market-1501 or beside it",
    "duke-attribute": "duke_attribute.mat in a folder of DukeMTMC-reID or beside it",
    "peta": "PETA.mat",
    "pa100k": "annotation.mat",
    "rap": "RAP_annotation.mat",
    "oml": "a .csv file with the columns label, split, is_query, is_gallery and path",
    "wildlife": "a .csv file with the columns image_id, identity and path",
}
TAXONOMIES = ("portrait",)


@dataclass(frozen=True)
class Found:
    """A recognised data set.

    Attributes:
        layout: a key of READERS.
        root: the folder or file that was recognised: the given one, or the only such folder in it.
        read: reads it.
    """

    layout: str
    root: Path
    read: Callable[[Path, str | None], LabelledRows]


def find_labelled(path: Path, taxonomy: str | None = None, layout: str | None = None) -> Found | None:
    """The data set that a file or folder is or that a folder in it is; None if its files are of none of READERS.

    Args:
        path: the file or folder.
        taxonomy: the taxonomy that the data set must have; None for its own.
        layout: the only layout that it may have, a name of any kind; None to recognise it.

    Raises:
        BadDataset: if several folders hold data sets, or the files of `layout` are not there.
        BadUsage: for a taxonomy that is unknown, or for files that have none.
    """
    found = _find(path) if layout is None else _find_as(path, layout)
    if taxonomy is not None and (taxonomy not in TAXONOMIES or found is None):
        known = f"the taxonomies are {', '.join(TAXONOMIES)}, for data sets with attributes: {', '.join(READERS)}"
        fault = "is unknown" if taxonomy not in TAXONOMIES else "cannot be applied to this data set"
        raise BadUsage("taxonomy", [Problem("taxonomy", path.name, f"{quoted(taxonomy)} {fault}", known)])
    return found


def _find_as(path: Path, layout: str) -> Found | None:
    """The data set of that layout, however its files are recognised; None if the layout is none of READERS."""
    if layout not in READERS:
        return None
    readers = {layout: READERS[layout]}
    if (here := _recognised(path, readers)) is not None:
        return here
    inside = _inside(path, readers)
    if len(inside) > 1:
        raise several(path, [found.root for found in inside])
    if not inside:
        found = f"has no file of {TITLES[layout]}"
        raise BadDataset(str(path), [Problem("unknown-layout", path.name, found, f"expected {EXPECTED[layout]}")])
    return inside[0]


def _find(path: Path) -> Found | None:
    if not path.is_dir():
        return _recognised(path)
    if any((path / f"annotations{suffix}").exists() for suffix in SUFFIXES):
        return None
    here = _recognised(path)
    if here is not None and here.layout in TABLES and recognise(path) is not None:
        return None  # a public data set in its own folders, whatever tables lie in it
    if here is not None or (path / FILE).exists():
        return here
    inside = _inside(path, ATTRIBUTE_FILES)
    if not inside:
        return None
    other = recognise(path)  # images of one data set and the attributes of another
    folders = list(dict.fromkeys([*(found.root for found in inside), *([other.folder] if other else [])]))
    if len(folders) > 1:
        raise several(path, folders)
    return inside[0]


def _inside(path: Path, readers: Mapping[str, ModuleType]) -> list[Found]:
    """The data sets in the folders of a folder."""
    folders = inner_folders(path) if path.is_dir() else []
    return [found for folder in folders if (found := _recognised(folder, readers)) is not None]


def _recognised(path: Path, readers: Mapping[str, ModuleType] = READERS) -> Found | None:
    names = (name for name, reader in readers.items() if reader.recognise(path))
    return next((Found(name, path, readers[name].read) for name in names), None)
