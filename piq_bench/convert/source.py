"""Recognises a feature file by its content and reads it."""

import zipfile
from pathlib import Path

import numpy as np

from piq_bench.convert import frames, mat, safetensors, torch_file
from piq_bench.convert.features import (
    FEATURE_KEYS,
    NAMES_REMEDY,
    Features,
    UnnamedFeatures,
    check_count,
    choose,
    is_matrix,
    refusal,
)
from piq_bench.convert.names import read_names
from piq_bench.convert.numpy_files import read_archive, read_image_folder, read_npy
from piq_bench.errors import LimitExceeded, Problem
from piq_bench.read.container import unreadable
from piq_bench.read.kinds import N_BYTES, kind_of

PICKLES = (".pkl", ".pickle", ".joblib")
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
READ = ".mat, .npy, .npz, .pt, .pth, .safetensors, .csv, .parquet, or a folder of .npy files"


def read_features(path: Path, names_file: Path | None = None) -> Features | UnnamedFeatures:
    """Read features in any of the formats, and the names of their images.

    Args:
        path: the file or folder.
        names_file: a list of names, one for each row; it replaces names in the file itself.

    Raises:
        BadSubmission: if it is of no format that is read, or damaged.
        BadUsage: if torch is needed and not installed.
        LimitExceeded: if it does not fit into memory.
    """
    try:
        names = None if names_file is None else read_names(names_file)
        if path.is_dir():
            if names is None and not (path / "embedding.npy").is_file():
                return read_image_folder(path)
            return choose(path, read_archive(path), names)
        if not path.is_file():
            raise unreadable(path, FileNotFoundError(str(path)))
        content = _content(path)
        if isinstance(content, np.ndarray):
            if not is_matrix(content):
                found = f"has shape {content.shape} and dtype {content.dtype.str}"
                raise refusal(path, "bad-shape", found, "expected numbers of shape (n_rows, D)")
            if names is None:
                raise refusal(path, "no-names", "holds no names of images", NAMES_REMEDY)
            check_count(path, path.name, content, names)
            return Features(content, names)
        return choose(path, content, names)
    except MemoryError:
        problem = Problem("too-large", path.name, "does not fit into memory", "store float16 or float32")
        raise LimitExceeded(str(path), [problem]) from None
    except OSError as error:
        raise unreadable(path, error) from None


def _content(path: Path) -> "dict[str, object] | np.ndarray":
    """Everything that a file holds, by key; a .npy file's array alone."""
    with path.open("rb") as stream:
        start = stream.read(512)
    kind = kind_of(start[:N_BYTES])
    if kind is not None and kind.hides_file:
        raise refusal(path, "unknown-format", kind.found, kind.remedy_for(path.name))
    if start.startswith(b"\x93NUMPY"):
        return read_npy(path, FEATURE_KEYS[0])
    if start.startswith(b"PK"):
        return torch_file.read_torch(path) if torch_file.is_torch(_members(path)) else read_archive(path)
    if start.startswith(b"PAR1"):
        return frames.read_parquet_frame(path)
    if start.startswith(b"\x89HDF") or b"MATLAB 7.3" in start[:128]:
        found = "is an HDF5 file, such as MATLAB writes with -v7.3"
        raise refusal(path, "hdf5", found, "write it with scipy.io.savemat, in MATLAB with save -v7, or as .npz")
    if start[126:128] in (b"IM", b"MI") and start[124:126] in (b"\x00\x01", b"\x01\x00"):
        return mat.read_mat(path)
    if safetensors.is_safetensors(start, path.stat().st_size):
        return safetensors.read_safetensors(path)
    if start[:2] in PICKLE_STARTS or path.suffix.lower() in PICKLES:
        found = "is a pickle, which can run any program when it is opened"
        raise refusal(path, "pickle", found, "save the arrays alone: numpy.savez(path, features=..., names=...)")
    if path.suffix.lower() == ".csv" or _is_csv(start):
        return frames.read_csv_frame(path)
    found = "is empty" if not start else f"starts with {start[:8]!r}"
    raise refusal(path, "unknown-format", f"{found}, so it is of no format that is read", f"expected {READ}")


def _members(path: Path) -> list[str]:
    """Names of the files in a zip archive; none if it is damaged, which its reader will say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return []


def _is_csv(start: bytes) -> bool:
    """Whether a file starts with a line of text that has commas."""
    line = start.partition(b"\n")[0]
    return b"," in line and all(byte >= 32 or byte in b"\t\r" for byte in line)
