"""Reads PA-100K: 26 attributes of 100,000 pedestrians, from annotation.mat.

The field trains on train and val. Test images are the gallery.
Source: Liu et al., HydraPlus-Net: attentive deep features for pedestrian analysis, ICCV 2017.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from piq_bench.read.layouts.labelled_rows import AS_RELEASED, BinaryAttributes, LabelledRows, gender_of
from piq_bench.read.layouts.matlab import load_mat
from piq_bench.records import GALLERY, TRAIN, IntArray

FILE = "annotation.mat"
PARTS = {"train": TRAIN, "val": TRAIN, "test": GALLERY}
FOLDERS = ("data", "release_data/release_data")  # of images
UNPACKED = "annotation"  # folder of the file, beside those of the images, if each archive was unpacked for itself


def recognise(folder: Path) -> bool:
    """Whether a folder holds annotation.mat."""
    return (folder / FILE).is_file()


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read the labels and the split.

    Raises:
        BadDataset: if the file is not as released.
        LimitExceeded: if it is too large.
    """
    variables = [f"{part}_{kind}" for part in PARTS for kind in ("images_name", "label")]
    file = load_mat(folder / FILE, [*variables, "attributes"])
    names = file.texts(file.variables["attributes"], "attributes")
    images: list[str] = []
    values: list[IntArray] = []
    split: list[int] = []
    for part, index in PARTS.items():
        of_part = file.texts(file.variables[f"{part}_images_name"], f"{part}_images_name")
        label = f"{part}_label"
        values.append(file.numbers(file.variables[label], label, (len(of_part), len(names))))
        images += of_part
        split += [index] * len(of_part)
    portrait: dict[str, tuple[IntArray, Collection[str]]] = {}
    table = np.concatenate(values)
    if taxonomy == "portrait":
        if "Female" not in names:
            file.refuse("attributes", "lack 'Female'", AS_RELEASED)
        portrait["gender"] = gender_of(table, names), ["Female"]
    attributes = BinaryAttributes(file, images, table, names, np.array(split, dtype=np.int64))
    places = [*FOLDERS, *(f"../{name}" for name in FOLDERS if folder.resolve().name == UNPACKED)]
    found = next((name for name in places if (folder / name).is_dir()), FOLDERS[0])
    official = {"train": 90_000, "gallery": 10_000}
    return attributes.labelled("PA-100K", portrait, images_folder=found, official=official)
