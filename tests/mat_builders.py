"""Small .mat files with the nesting of public attribute data sets, for tests of their readers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from piq_bench.read.layouts import duke_attribute, market_attribute
from piq_bench.read.layouts.by_identity import Coding
from piq_bench.read.layouts.peta import STANDARD

PA100K_NAMES = ("Female", "AgeOver60", "Age18-60", "AgeLess18", "Skirt&Dress")
RAP_NAMES = ("Female", "AgeLess16", "BodyFat", "BodyNormal", "BodyThin", "Calling")


def cells(values: Sequence[Any], *, row: bool = False) -> np.ndarray:
    """A cell array with one column, or with one row."""
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array.reshape((1, -1) if row else (-1, 1))


def row(values: Sequence[int]) -> np.ndarray:
    return np.array([values], dtype=np.uint16)


def column(values: Sequence[int]) -> np.ndarray:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def save(path: Path, variables: Mapping[str, Any], *, compressed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, dict(variables), do_compression=compressed)
    return path


def write_peta(folder: Path, labels: np.ndarray, *, names: Sequence[str] = (), parts: Sequence[Any] = ()) -> Path:
    """PETA.mat with four columns before the labels; by default, images 1 and 2 are train, 3 val and the rest test."""
    n_images = len(labels)
    ours = ([1, 2], [3], range(4, n_images + 1))
    first = dict(zip(("train", "val", "test"), map(column, parts or ours), strict=True))
    other = dict(zip(("train", "val", "test"), map(column, ([4], [3], [1, 2])), strict=True))
    peta = {
        "data": np.column_stack([np.full((n_images, 4), 9), labels]).astype(np.uint8),
        "attribute": cells(names or (*STANDARD, "personalFemale")),
        "unused": np.zeros((2, 2)),
        "partition": cells([first, other, other, other, other]),
    }
    save(folder / "PETA.mat", {"peta": peta})
    return folder


def write_pa100k(folder: Path, labels: Mapping[str, np.ndarray]) -> Path:
    """annotation.mat with images numbered over train, val and test."""
    variables: dict[str, Any] = {"attributes": cells(PA100K_NAMES)}
    start = 1
    for part, table in labels.items():
        variables[f"{part}_label"] = table.astype(np.uint8)
        variables[f"{part}_images_name"] = cells([f"{start + i:06}.jpg" for i in range(len(table))])
        start += len(table)
    save(folder / "annotation.mat", variables)
    return folder


def rap_images(n_images: int) -> list[str]:
    days = (f"CAM17_2014-03-15_20140315101030-20140315102513_tarid{i}_frame2893_line1.png" for i in range(n_images))
    return list(days)


def write_rap1(folder: Path, labels: np.ndarray, train: Sequence[int], test: Sequence[int]) -> Path:
    """RAP_annotation.mat of the first release: five standard attributes, one more."""
    part = {"train_index": row(train), "test_index": row(test)}
    annotation = {
        "partition": cells([part] * 5),
        "label": labels.astype(np.float64),
        "attribute_chinese": cells(["?"] * len(RAP_NAMES)),
        "attribute_eng": cells(RAP_NAMES),
        "position": np.zeros((len(labels), 16)),
        "imagesname": cells(rap_images(len(labels))),
        "attribute_exp": cells(RAP_NAMES[:-1]),
    }
    save(folder / "RAP_annotation" / "RAP_annotation.mat", {"RAP_annotation": annotation})
    return folder


def write_rap2(folder: Path, labels: np.ndarray, selected: Sequence[int], **changes: object) -> Path:
    """RAP_annotation.mat of the second release; images 1 and 2 are train, 3 is val, 4 and 5 are test."""
    part = {"train_index": row([1, 2]), "val_index": row([3]), "test_index": row([4, 5])}
    annotation = {
        "name": cells(rap_images(len(labels))),
        "data": labels.astype(np.float64),
        "attribute": cells(RAP_NAMES),
        "selected_attribute": row(selected),
        "partition_attribute": cells([part] * 5, row=True),
        **changes,
    }
    save(folder / "RAP_annotation.mat", {"RAP_annotation": annotation})
    return folder


def people(coding: Coding, ids: Sequence[str], **values: Sequence[int]) -> dict[str, Any]:
    """A structure of one part: every value is 1 ("no" for colours) unless given."""
    colours = [prefix + name for prefix, names in coding.colours.values() for name in names]
    fields = {name: np.array([values.get(name, [1] * len(ids))], dtype=np.uint8) for name in (*coding.labels, *colours)}
    return {**fields, "image_index": cells(ids)}


def write_market_attribute(path: Path, train: dict[str, Any], test: dict[str, Any]) -> Path:
    """market_attribute.mat, in which the fields of test are in another order than those of train."""
    return save(path, {"market_attribute": {"train": train, "test": dict(reversed(test.items()))}})


def write_duke_attribute(path: Path, train: dict[str, Any], test: dict[str, Any]) -> Path:
    return save(path, {"duke_attribute": {"train": train, "test": dict(reversed(test.items()))}})


MARKET = market_attribute.CODING
DUKE = duke_attribute.CODING
