"""Reads DukeMTMC-reID together with DukeMTMC-attribute: re-identification and ten attribute tasks.

A few people have several colours of the lower body, so that task is multi-label. Nobody is junk or a distractor.
Source: Lin et al., Improving person re-identification by attribute and identity learning, 2019.
"""

from pathlib import Path

from piq_bench.read.layouts.by_identity import Coding, find_file, read_joined
from piq_bench.read.layouts.labelled_rows import LabelledRows
from piq_bench.read.rules import CandidateRules
from piq_bench.records import SAME_CAMERA

NO_YES = ("no", "yes")
CODING = Coding(
    name="DukeMTMC-reID with attributes",
    file="duke_attribute.mat",
    labels={
        "gender": ("male", "female"),
        "top": ("short", "long"),
        "shoes": ("dark", "light"),
        "boots": NO_YES,
        "hat": NO_YES,
        "backpack": NO_YES,
        "bag": NO_YES,
        "handbag": NO_YES,
    },
    colours={
        "upper_colour": ("up", ("black", "white", "red", "purple", "gray", "blue", "green", "brown")),
        "lower_colour": ("down", ("black", "white", "red", "gray", "blue", "green", "brown")),
    },
    several=("lower_colour",),
    portrait={"gender": {"male": "male", "female": "female"}},
    rules=CandidateRules(exclude=(SAME_CAMERA,)),
)


def recognise(folder: Path) -> bool:
    """Whether a DukeMTMC-reID folder has duke_attribute.mat in it or near it."""
    return find_file(folder, CODING.file) is not None


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read images and attributes.

    Raises:
        BadDataset: with the problems of the folder, or if the file is not as released.
        LimitExceeded: if either is too large.
    """
    return read_joined(folder, taxonomy, CODING)
