"""Reads Market-1501 together with Market-1501_Attribute: re-identification and twelve attribute tasks.

Every person has one of each attribute; 78 of train and 69 of test have no colour of the upper body, 30 and 44 none of
the lower. Source: Lin et al., Improving person re-identification by attribute and identity learning, 2019.
"""

from pathlib import Path

from piq_bench.read.layouts.by_identity import Coding, find_file, read_joined
from piq_bench.read.layouts.labelled_rows import LabelledRows
from piq_bench.read.layouts.market1501 import RULES

NO_YES = ("no", "yes")
CODING = Coding(
    name="Market-1501 with attributes",
    file="market_attribute.mat",
    labels={
        "gender": ("male", "female"),
        "age": ("young", "teenager", "adult", "old"),
        "hair": ("short", "long"),
        "up": ("long", "short"),  # sleeves
        "down": ("long", "short"),
        "clothes": ("dress", "pants"),
        "hat": NO_YES,
        "backpack": NO_YES,
        "bag": NO_YES,
        "handbag": NO_YES,
    },
    colours={
        "upper_colour": ("up", ("black", "white", "red", "purple", "yellow", "gray", "blue", "green")),
        "lower_colour": ("down", ("black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown")),
    },
    portrait={
        "gender": {"male": "male", "female": "female"},
        "age": {"young": "child", "teenager": "teenager", "adult": "adult", "old": "old"},
    },
    rules=RULES,
)


def recognise(folder: Path) -> bool:
    """Whether a Market-1501 folder has market_attribute.mat in it or near it."""
    return find_file(folder, CODING.file) is not None


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read images and attributes.

    Raises:
        BadDataset: with the problems of the folder, or if the file is not as released.
        LimitExceeded: if either is too large.
    """
    return read_joined(folder, taxonomy, CODING)
