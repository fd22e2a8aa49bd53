"""The records of a feature file, and the choice of the features and the names among the arrays that a file holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from piq_bench.errors import BadSubmission, Problem, first_few, printable, quoted
from piq_bench.limits import MAX_TEXT_WIDTH
from piq_bench.read.mapped import Array, rows_of

KINDS = ("image", "img", "file")
FEATURE_KEYS = ("embedding", "embeddings", "feature", "features", "feat", "feats", "vector", "vectors")
# In this order, if there are several: "name" may be that of a person. A wrong choice fits no image and is refused.
NAME_KEYS = (
    *("image", "images", "path", "paths"),
    *(f"{kind}{gap}{what}" for what in ("path", "paths", "name", "names") for kind in KINDS for gap in ("_", "")),
    *("image_id", "image_ids", "img", "imgs", "file", "files", "name", "names"),
)
MAX_ROWS = 10_000_000
MAX_DIMENSION = 65536
LAYUMI_KEYS = tuple(f"{part}_{field}" for part in ("query", "gallery") for field in ("f", "label", "cam"))
NAMES_REMEDY = "pass a list of names, one for each row, with --names"


@dataclass(frozen=True, eq=False)
class Features:
    """A matrix of features and the image of each row.

    Attributes:
        values: shape (n_rows, dimension); numbers of any type.
        names: one name or path of an image for each row.
        stems: whether each name is only an image's base name up to its first dot.
        meta: the JSON text of a submission's meta; None for other files.
    """

    values: Array
    names: Sequence[str]
    stems: bool = False
    meta: str | None = None


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features of one folder without names, as in layumi's pytorch_result.mat.

    Attributes:
        values: shape (n_rows, dimension).
        label, camera: shape (n_rows,); the person and the camera of each row, as numbers.
    """

    values: Array
    label: Array
    camera: Array


@dataclass(frozen=True, eq=False)
class UnnamedFeatures:
    """Features of the query and gallery folders, in the order in which torchvision lists class folders."""

    query: LabelledFeatures
    gallery: LabelledFeatures


def refusal(path: Path, code: str, found: str, remedy: str, where: str | None = None) -> BadSubmission:
    """The refusal of a whole file for one reason."""
    return BadSubmission(str(path), [Problem(code, printable(where or path.name), found, remedy)])


def choose(path: Path, content: Mapping[str, object], names: Sequence[str] | None) -> Features | UnnamedFeatures:
    """Choose the features and the names among everything that a file holds.

    The usual keys come first. If there is none, the only matrix of numbers and the only list of texts are taken.

    Args:
        path: the file, for messages.
        content: arrays and lists of texts by key.
        names: names from another file, which replace those in this one.

    Raises:
        BadSubmission: if the choice is not clear, or the names are not one for each row.
    """
    if "mquery_f" in content:
        found = "holds features averaged over several images of a person and camera (multi-query)"
        raise refusal(path, "multi-query", found, "a submission has one row for each image: convert pytorch_result.mat")
    if names is None and all(key in content for key in LAYUMI_KEYS):
        return UnnamedFeatures(_labelled(path, content, "query"), _labelled(path, content, "gallery"))
    matrices = {key: value for key, value in content.items() if isinstance(value, np.ndarray) and is_matrix(value)}
    key = _pick(path, matrices, FEATURE_KEYS, "matrices of features", content)
    values = matrices[key]
    meta = content.get("meta")
    if names is None:
        texts = {key: as_texts(value) for key, value in content.items() if key != "meta"}
        lists = {key: found for key, found in texts.items() if found is not None}
        names = lists[_pick(path, lists, NAME_KEYS, "lists of names", content)]
    check_count(path, key, values, names)
    return Features(values, names, meta=meta if isinstance(meta, str) else None)


def check_count(path: Path, where: str, values: Array, names: Sequence[str]) -> None:
    """Refuse features that have not one name for each row, and matrices of a shape that no submission can have."""
    n_rows, dimension = values.shape
    if n_rows != len(names):
        turned = " (its transpose fits)" if dimension == len(names) else ""
        found = f"has shape {values.shape}, but there are {len(names)} names{turned}"
        raise refusal(path, "wrong-row-count", found, "expected one row for each name", where)
    if not 1 <= dimension <= MAX_DIMENSION:
        raise refusal(path, "bad-shape", f"has {dimension} columns", f"expected 1 to {MAX_DIMENSION} columns", where)


def is_matrix(value: object) -> bool:
    """Whether a value is a two-dimensional array of real numbers."""
    return isinstance(value, np.ndarray) and value.ndim == 2 and value.dtype.kind in "fiub"


def as_texts(value: object) -> list[str] | None:
    """A list or array of texts as a list; None if it is anything else."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "US" or value.ndim not in (1, 2) or value.size != max(value.shape, default=0):
            return None
        value = rows_of(value, slice(None)).ravel().tolist()
    if not isinstance(value, list | tuple):
        return None
    texts = [_decoded(text) for text in value]
    return [text for text in texts if text is not None] if None not in texts else None


def first_usual(names: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The name that comes first among the usual ones; none if there is no usual one."""
    return sorted((name for name in names if name.lower() in usual), key=lambda name: usual.index(name.lower()))[:1]


def _decoded(text: object) -> str | None:
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return text if isinstance(text, str) and len(text) <= MAX_TEXT_WIDTH else None


def _pick(
    path: Path, found: Mapping[str, object], usual: Sequence[str], what: str, content: Mapping[str, object]
) -> str:
    """The key of a usual name, else the only key; anything else is refused with what the file holds."""
    known = [key for key in found if key.lower() in usual]
    keys = (first_usual(known, usual) if usual is NAME_KEYS else known) or list(found)
    if len(keys) == 1:
        return keys[0]
    held = ", ".join(f"{printable(key)} {_described(value)}" for key, value in list(content.items())[:20])
    remedy = f"expected one, called {usual[1]!r}"
    if usual is NAME_KEYS:
        remedy += f"; or {NAMES_REMEDY}"
    number = f"{len(keys)} {what}: {first_few(keys, len(keys))}" if keys else f"no {what}"
    raise refusal(path, "unclear", f"has {number}; it holds {held or 'nothing that is read'}", remedy)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.shape}"
    if value is None:
        return "(not read)"
    return f"({len(value)} values)" if isinstance(value, list | tuple) else f"({type(value).__name__})"


def _labelled(path: Path, content: Mapping[str, object], part: str) -> LabelledFeatures:
    """The features, labels and cameras of one folder; scipy gives the latter as row vectors."""
    values, label, camera = (content[f"{part}_{field}"] for field in ("f", "label", "cam"))
    if not isinstance(values, np.ndarray) or not is_matrix(values):
        raise refusal(path, "bad-shape", "is no matrix of numbers", "expected one row for each image", f"{part}_f")
    for name, vector in (("label", label), ("cam", camera)):
        if not isinstance(vector, np.ndarray) or vector.dtype.kind not in "iuf" or vector.size != values.shape[0]:
            shape = f"shape {vector.shape}" if isinstance(vector, np.ndarray) else quoted(vector)
            found = f"has {shape}, but {part}_f has {values.shape[0]} rows"
            raise refusal(path, "wrong-row-count", found, "expected one number for each row", f"{part}_{name}")
    return LabelledFeatures(values, np.ravel(np.asarray(label)), np.ravel(np.asarray(camera)))
