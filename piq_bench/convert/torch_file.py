"""Reads a file of torch.save: a tensor, or a dictionary of tensors and lists of names. Nothing in it is executed.

Only torch's zip archives are read, whose records are not packed: their size bounds what they hold. A tensor may still
repeat its values, and a key may take for ever to compare, so another process loads them (`convert.unpack_torch`). Most
files that torch would refuse are refused without it (`convert.torch_index`).
"""

import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from piq_bench.convert.exchange import read_apart
from piq_bench.convert.features import refusal
from piq_bench.convert.torch_index import REMEDY, check_index
from piq_bench.errors import BadUsage, Problem, printable

MAX_PICKLE_BYTES = 256 << 20
UNPACK = "piq_bench.convert.unpack_torch"


def is_torch(members: Sequence[str]) -> bool:
    """Whether a zip archive with these members was written by torch.save."""
    return any(name.endswith("/data.pkl") for name in members)


def read_torch(path: Path) -> dict[str, object]:
    """Arrays and lists of texts by key; a tensor alone has the key "features"; None for anything else.

    Raises:
        BadUsage: if torch is not installed.
        BadSubmission: if the file holds anything but tensors, texts and numbers, or is damaged.
        LimitExceeded: if it takes more memory or time than is allowed.
    """
    if find_spec("torch") is None:
        found = "reading files of torch.save takes torch, which is not installed"
        problem = Problem("no-torch", path.name, found, "pip install torch; or save features as .npy")
        raise BadUsage(str(path), [problem])
    _check_records(path)
    return read_apart(UNPACK, path, refusal(path, "damaged", "torch crashed while reading it", REMEDY))


def _check_records(path: Path) -> None:
    """Refuse archives that could unpack to more than their own size, or that torch would refuse."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise refusal(path, "damaged", f"is no complete archive: {printable(error)}", REMEDY) from None
    packed = [record.filename for record in records if record.compress_type != zipfile.ZIP_STORED]
    if packed:
        found = f"{len(packed)} of its records are packed, which torch.save never does"
        raise refusal(path, "packed", found, REMEDY)
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise refusal(path, "truncated", "declares more bytes than it has", "write the file again")
    if any(record.filename.endswith("/data.pkl") and record.file_size > MAX_PICKLE_BYTES for record in records):
        raise refusal(path, "too-large", f"its index has more than {MAX_PICKLE_BYTES} bytes", REMEDY)
    with zipfile.ZipFile(path) as archive:
        check_index(path, archive, [record.filename for record in records])
