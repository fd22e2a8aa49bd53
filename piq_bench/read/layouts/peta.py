"""Reads PETA: 35 standard attributes of 19,000 pedestrians, from PETA.mat in its usual repackaging.

The file has five random splits; the field uses the first, and trains on train and val. Test images are the gallery.
Source: Deng et al., Pedestrian attribute recognition at far distance, ACM MM 2014.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from piq_bench.errors import first_few
from piq_bench.read.layouts.labelled_rows import (
    AS_RELEASED,
    PORTRAIT,
    PRESENT,
    BinaryAttributes,
    LabelledRows,
    split_of,
)
from piq_bench.read.layouts.matlab import load_mat
from piq_bench.records import NOT_ANNOTATED, IntArray

FILE = "PETA.mat"
N_OTHER_COLUMNS = 4  # before the labels
# fmt: off
STANDARD = (
    "personalLess30", "personalLess45", "personalLess60", "personalLarger60", "carryingBackpack", "carryingOther",
    "lowerBodyCasual", "upperBodyCasual", "lowerBodyFormal", "upperBodyFormal", "accessoryHat", "upperBodyJacket",
    "lowerBodyJeans", "footwearLeatherShoes", "upperBodyLogo", "hairLong", "personalMale", "carryingMessengerBag",
    "accessoryMuffler", "accessoryNothing", "carryingNothing", "upperBodyPlaid", "carryingPlasticBags",
    "footwearSandals", "footwearShoes", "lowerBodyShorts", "upperBodyShortSleeve", "lowerBodyShortSkirt",
    "footwearSneaker", "upperBodyThinStripes", "accessorySunglasses", "lowerBodyTrousers", "upperBodyTshirt",
    "upperBodyOther", "upperBodyVNeck",
)
# fmt: on


def recognise(folder: Path) -> bool:
    """Whether a folder holds PETA.mat."""
    return (folder / FILE).is_file()


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read the labels and the first split.

    Raises:
        BadDataset: if the file is not as released.
        LimitExceeded: if it is too large.
    """
    file = load_mat(folder / FILE, ["peta"])
    fields = list(file.fields(file.variables["peta"], "peta").values())
    if len(fields) < 4:
        file.refuse("peta", f"has {len(fields)} fields", "expected labels, names, one more, and splits")
    names = file.texts(fields[1], "names of the attributes")
    n_rows = len(fields[0]) if isinstance(fields[0], np.ndarray) and fields[0].ndim == 2 else 1
    table = file.numbers(fields[0], "labels", (n_rows, N_OTHER_COLUMNS + len(names)))[:, N_OTHER_COLUMNS:]
    missing = [name for name in STANDARD if name not in names]
    if missing:
        file.refuse("names of the attributes", f"lack {first_few(missing, len(missing))}", AS_RELEASED)
    columns = [names.index(name) for name in STANDARD]
    attributes = BinaryAttributes(
        file=file,
        images=[f"{row + 1:05}.png" for row in range(n_rows)],
        values=table[:, columns],
        names=STANDARD,
        split=split_of(file, "splits", fields[3], n_rows, ("train", "val", "test")),
    )
    portrait: dict[str, tuple[IntArray, Collection[str]]] = {}
    if taxonomy == "portrait":
        portrait["gender"] = _gender(table, names), ["personalMale"]
    return attributes.labelled("PETA", portrait, official={"train": 11_400, "gallery": 7_600})


def _gender(table: IntArray, names: list[str]) -> IntArray:
    """Gender where exactly one of the two attributes is present: who is "not male" need not be female."""
    male = table[:, names.index("personalMale")] == PRESENT
    female = table[:, names.index("personalFemale")] == PRESENT if "personalFemale" in names else np.zeros_like(male)
    labels = PORTRAIT["gender"].labels
    known = np.where(male, labels.index("male"), labels.index("female"))
    return np.where(male != female, known, NOT_ANNOTATED)
