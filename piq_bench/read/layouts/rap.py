"""Reads RAP, both releases: 51 attributes of 41,585 pedestrians (v1) or 54 of 84,928 (v2), from RAP_annotation.mat.

The file has five random splits; the field uses the first, and trains on train and val. Test images are the gallery.
The value 2 is unknown. Sources: Li et al., A richly annotated dataset for pedestrian attribute recognition, 2016; Li et
al., A richly annotated pedestrian dataset for person retrieval in real surveillance scenarios, TIP 2019.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from piq_bench.errors import first_few
from piq_bench.read.layouts.labelled_rows import (
    AS_RELEASED,
    PORTRAIT,
    PRESENT,
    BinaryAttributes,
    LabelledRows,
    gender_of,
    split_of,
)
from piq_bench.read.layouts.matlab import MatFile, load_mat
from piq_bench.records import NOT_ANNOTATED, IntArray

VARIABLE = "RAP_annotation"
FILES = (f"{VARIABLE}/{VARIABLE}.mat", f"{VARIABLE}.mat")
PHYSIQUE = {"thin": "BodyThin", "medium": "BodyNormal", "fat": "BodyFat"}
V2_FIELDS = ("name", "data", "attribute", "selected_attribute", "partition_attribute")


def recognise(folder: Path) -> bool:
    """Whether a folder holds RAP_annotation.mat, itself or in a folder RAP_annotation."""
    return any((folder / name).is_file() for name in FILES)


def read(folder: Path, taxonomy: str | None) -> LabelledRows:
    """Read the labels and the first split of either release.

    Raises:
        BadDataset: if the file is not as released.
        LimitExceeded: if it is too large.
    """
    file = load_mat(next(folder / name for name in FILES if (folder / name).is_file()), [VARIABLE])
    fields = file.fields(file.variables[VARIABLE], VARIABLE)
    second = "selected_attribute" in fields
    attributes = _v2(file, fields) if second else _v1(file, list(fields.values()))
    portrait: dict[str, tuple[IntArray, Collection[str]]] = {}
    if taxonomy == "portrait":
        missing = [name for name in ("Female", *PHYSIQUE.values()) if name not in attributes.names]
        if missing:
            file.refuse("names of the attributes", f"lack {first_few(missing, len(missing))}", AS_RELEASED)
        portrait["gender"] = gender_of(attributes.values, attributes.names), ["Female"]
        portrait["physique"] = _physique(attributes), PHYSIQUE.values()
    official = {"train": 67_943, "gallery": 16_985} if second else {"train": 33_268, "gallery": 8_317}
    name = "RAPv2" if second else "RAPv1"
    return attributes.labelled(name, portrait, images_folder="RAP_dataset", official=official)


def _v1(file: MatFile, fields: list[Any]) -> BinaryAttributes:
    """The fields by their place: splits, labels, names in Chinese, in English, boxes, images, standard names."""
    if len(fields) < 7:
        file.refuse(VARIABLE, f"has {len(fields)} fields", f"expected 7; {AS_RELEASED}")
    names = file.texts(fields[3], "names of the attributes")
    images = file.texts(fields[5], "names of the images")
    n_standard = len(file.texts(fields[6], "names of the standard attributes"))
    values = file.numbers(fields[1], "labels", (len(images), len(names)))
    split = split_of(file, "splits", fields[0], len(images), ("train", "test"))
    return BinaryAttributes(file, images, values[:, :n_standard], names[:n_standard], split)


def _v2(file: MatFile, fields: dict[str, Any]) -> BinaryAttributes:
    fields = file.fields(fields, VARIABLE, V2_FIELDS)
    names = file.texts(fields["attribute"], "attribute")
    images = file.texts(fields["name"], "name")
    values = file.numbers(fields["data"], "data", (len(images), len(names)))
    columns = file.numbers(fields["selected_attribute"], "selected_attribute") - 1
    if not columns.size or columns.min() < 0 or columns.max() >= len(names):
        remedy = f"expected numbers from 1 to {len(names)}"
        file.refuse("selected_attribute", "names attributes that are not there", remedy)
    parts = fields["partition_attribute"]
    split = split_of(file, "partition_attribute", parts, len(images), ("train", "val", "test"))
    return BinaryAttributes(file, images, values[:, columns], [names[column] for column in columns], split)


def _physique(attributes: BinaryAttributes) -> IntArray:
    """Physique where exactly one of the three attributes is present."""
    labels = PORTRAIT["physique"].labels
    columns = [attributes.names.index(PHYSIQUE[label]) for label in labels]
    present = attributes.values[:, columns] == PRESENT
    return np.where(present.sum(axis=1) == 1, present.argmax(axis=1), NOT_ANNOTATED)
