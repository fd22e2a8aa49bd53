"""Data sets in the layouts of others, feature files of MATLAB and torch, and lists of names, with changes."""

import io
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import layout_builders
import mat_builders
import numpy as np
from fuzz import samples
from fuzz.arrays import npy
from fuzz.values import changed_bytes, changed_json, json_bytes, some_text
from unpacking_here import unpack_here

from piq_bench.convert.mat import read_mat
from piq_bench.convert.names import read_names
from piq_bench.errors import BadSubmission
from piq_bench.read.dataset import inspect_dataset
from piq_bench.read.layouts.matlab import load_mat

Files = dict[str, bytes]
LONGEST = 200  # bytes of a name, of which a file system takes 255
MINIATURES = [one for one in vars(layout_builders).values() if isinstance(one, layout_builders.Miniature)]


def changed_name(draw: Random, name: str) -> str:
    """The path of an image with a change in its base name, its folder or its suffix."""
    parts = name.split("/")
    place = draw.choice([-1, -1, -1, draw.randrange(len(parts))])
    raw = (
        changed_bytes(draw, parts[place].encode("utf-8", "surrogateescape"), 1)
        if draw.random() < 0.7
        else some_text(draw).encode("utf-8", "ignore")
    )
    raw = raw.replace(b"/", b"_").replace(b"\0", b"")[:LONGEST]
    parts[place] = raw.decode("utf-8", "surrogateescape") if raw not in (b"", b".", b"..") else "x"
    return "/".join(parts)


def make_layout(draw: Random) -> Files:
    """A miniature of a public data set with a few names or lines changed, added, left out or twice."""
    one = draw.choice(MINIATURES)
    names = [image for image, *_ in one.rows]
    for _ in range(draw.choice([0, 1, 1, 2, 5])):
        place = draw.randrange(len(names))
        kind = draw.randrange(4)
        if kind < 2:
            names[place] = changed_name(draw, names[place])
        elif kind == 2:
            names.append(changed_name(draw, names[place]))
        elif len(names) > 1:
            del names[place]
    lists = {name: text.encode() for name, text in one.lists.items()}
    for name in lists:
        if draw.random() < 0.5:
            lists[name] = changed_bytes(draw, lists[name])
    files = dict.fromkeys(names, b"") | lists
    folders = {"/".join(name.split("/")[:place]) for name in files for place in range(1, name.count("/") + 1)}
    return {f"{one.folder}/{name}": content for name, content in files.items() if name not in folders}


def read_layout(folder: Path) -> None:
    """Read the data set below a folder, and quote its notes."""
    (data,) = folder.iterdir()
    for note in inspect_dataset(data).notes:
        str(BadSubmission("notes", [note])).encode()


@cache
def mat_files() -> tuple[bytes, ...]:
    """Files of MATLAB, packed and not: attributes of people as structures, and features with names as cells."""
    from scipy.io import savemat

    people: dict[str, Any] = {"up": mat_builders.row([1, 2]), "image_index": mat_builders.cells(["0001", "0002"])}
    features = {"features": np.ones((3, 2), np.float32), "names": mat_builders.cells(["a.jpg", "b.jpg", "c.jpg"])}
    whole = {**features, "people": {"train": people, "test": people}, "text": "abc", "flag": np.array([True])}
    files = []
    for compressed in (False, True):
        stream: Any = io.BytesIO()  # which stubs do not list among what savemat takes
        savemat(stream, whole, do_compression=compressed)
        files.append(stream.getvalue())
    return tuple(files)


def make_mat(draw: Random) -> Files:
    content = draw.choice(mat_files())
    return {
        "a.mat": content[:128] + changed_bytes(draw, content[128:])
        if draw.random() < 0.8
        else changed_bytes(draw, content)
    }


def read_table_of_mat(folder: Path) -> None:
    load_mat(folder / "a.mat", ("features", "names", "people"))


def read_features_of_mat(folder: Path) -> None:
    with patch("piq_bench.convert.exchange.unpack_apart", unpack_here):
        read_mat(folder / "a.mat")


@cache
def torch_files() -> tuple[bytes, ...]:
    """Files of torch.save: a dictionary with tensors and names, and a tensor alone."""
    import torch

    files = []
    for content in ({"features": torch.ones(3, 2), "names": ["a.jpg", "b.jpg"], "n": 1}, torch.ones(3, 2).half().T):
        stream = io.BytesIO()
        torch.save(content, stream)
        files.append(stream.getvalue())
    return tuple(files)


def make_torch(draw: Random) -> Files:
    return {"a.pt": changed_bytes(draw, draw.choice(torch_files()))}


def read_torch_file(folder: Path) -> None:
    from piq_bench.convert.torch_file import read_torch

    with patch("piq_bench.convert.exchange.unpack_apart", unpack_here):
        read_torch(folder / "a.pt")


def make_names(draw: Random) -> Files:
    """A list of names as text, CSV, a .npy array or JSON."""
    kind = draw.randrange(4)
    if kind == 0:
        return {"names.json": json_bytes(draw, changed_json(draw, samples.IMAGES))}
    if kind == 1:
        return {"names.npy": npy(draw, np.array(samples.IMAGES, draw.choice(["U", "S"])))}
    names = [some_text(draw) if draw.random() < 0.2 else name for name in samples.IMAGES]
    rows = [["image", "x"], *([name, "1"] for name in names)]
    text = samples.csv_text(rows) if kind == 2 else "\n".join(names)
    raw = text.encode("utf-8", "surrogatepass")
    return {"names.csv" if kind == 2 else "names.txt": changed_bytes(draw, raw, 1) if draw.random() < 0.5 else raw}


def read_list(folder: Path) -> None:
    (path,) = folder.iterdir()
    read_names(path)
