"""Recognises files of other kinds by their first bytes, so that a refusal says what a file is and how to repair it.

People pass what a download, git or their framework left: a pointer of Git LFS, a web page, a checkpoint.
"""

from dataclasses import dataclass

from piq_bench.errors import printable

N_BYTES = 64  # of a file's start: all that `kind_of` looks at
CONVERT = "make a submission of it: piq convert FILE --dataset DATASET --out submission.npz"
SAVE = 'save its arrays alone: numpy.savez("submission.npz", image=..., embedding=...)'
LFS_POINTER = b"version https://git-lfs"
# The magic number of a checkpoint from before PyTorch 1.6, pickled with protocol 2.
OLD_PYTORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
PICKLE_PROTOCOLS = (b"\2", b"\3", b"\4", b"\5")
PAGES = (b"<!doctype html", b"<html")
UTF8_MARK = b"\xef\xbb\xbf"
MAX_SAFETENSORS_HEADER = 100_000_000  # the format's own limit


@dataclass(frozen=True)
class Kind:
    """What a file is.

    Attributes:
        found: the kind in words, to follow the file's name: "is an HTML page".
        remedy: what its owner can do, with FILE for the name of the file.
        hides_file: whether the remedy gives the file that was meant, of whatever format.
    """

    found: str
    remedy: str
    hides_file: bool = False

    def remedy_for(self, file: str) -> str:
        """The remedy, with the name of the file."""
        return self.remedy.replace("FILE", printable(file))


POINTER = Kind("is a Git LFS pointer, not the file itself", "fetch the file: git lfs pull", hides_file=True)
PAGE = Kind(
    "is an HTML page, not the file itself", "download the file again: the address gave a web page", hides_file=True
)
PYTORCH = Kind("is a PyTorch checkpoint", CONVERT)
MAGIC = {  # by the bytes that a file begins with
    LFS_POINTER: POINTER,
    b"MATLAB 5": Kind("is a MATLAB file", CONVERT),
    b"MATLAB 7.3": Kind("is a MATLAB file of version 7.3", "write it again with save -v7; then " + CONVERT),
    b"\x89HDF\r\n\x1a\n": Kind("is an HDF5 file", f"open it with h5py and {SAVE}"),
    b"\x93NUMPY": Kind(
        "is a single .npy array",
        "put it into a folder, beside image.npy, as embedding.npy or named like its task, and pass the folder",
    ),
    b"\x1f\x8b": Kind("is compressed with gzip", "unpack it: gunzip FILE", hides_file=True),
    b"BZh": Kind("is compressed with bzip2", "unpack it: bunzip2 FILE", hides_file=True),
    b"\xfd7zXZ\0": Kind("is compressed with xz", "unpack it: unxz FILE", hides_file=True),
    OLD_PYTORCH: PYTORCH,
}


def is_checkpoint_member(name: str) -> bool:
    """Whether a file of this name in a zip shows that torch.save wrote the zip."""
    return name == "data.pkl" or name.endswith("/data.pkl")


def kind_of(start: bytes) -> Kind | None:
    """The kind of a file that is neither a submission nor a table; None if it is not recognised.

    Args:
        start: the file's first N_BYTES bytes.

    >>> kind_of(b"<!DOCTYPE html><title>404</title>").found
    'is an HTML page, not the file itself'
    """
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            return kind
    if start.removeprefix(UTF8_MARK).lstrip().lower().startswith(PAGES):
        return PAGE
    if start[:1] == b"\x80" and start[1:2] in PICKLE_PROTOCOLS:
        return Kind("is a Python pickle, which could run code and is never loaded", SAVE)
    if int.from_bytes(start[:8], "little") <= MAX_SAFETENSORS_HEADER and start[8:10] == b'{"':
        return Kind("is a safetensors file", CONVERT)
    return None
