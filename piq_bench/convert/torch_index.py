"""Checks the index of a file of torch.save, a pickle, without torch and without running anything in it.

A file with a Python object, an operation that torch's loader of weights lacks, or a missing end is refused here: to
import torch for it would take 4 s and 290 MB.
"""

import pickletools
import re
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from piq_bench.convert.features import refusal
from piq_bench.errors import printable

MOST_CHECKED_BYTES = 1 << 20  # a longer index takes seconds to check, and few can pay for an import of torch with it
FILE = "data.pkl"
REMEDY = "save a dictionary of tensors and lists of texts: torch.save({'features': ..., 'names': [...]}, path)"
# Operations and names that torch.load(..., weights_only=True) knows; which names its own modules have, torch decides.
OPERATIONS = re.compile(
    r"APPENDS?|BIN(FLOAT|GET|INT[12]?|PERSID|PUT|UNICODE)|BUILD|EMPTY_(DICT|LIST|SET|TUPLE)|GLOBAL|LONG1"
    r"|LONG_BIN(GET|PUT)|MARK|NEW(FALSE|OBJ|TRUE)|NONE|PROTO|REDUCE|SETITEMS?|SHORT_BINSTRING|STOP|TUPLE[123]?"
)
KNOWN = re.compile(
    r"collections (OrderedDict|Counter)|_codecs encode|(builtins|__builtin__) (bytearray|set|complex)"
    r"|torch(\._utils|\._tensor|\.cuda|\.sparse|\.cuda\.sparse|\.storage|\.nn\.parameter|\.serialization)? \w+"
)


def check_index(path: Path, archive: ZipFile, members: Sequence[str]) -> None:
    """Refuse an archive whose index torch's loader of weights would refuse.

    Args:
        path: the file, for messages.
        archive: the opened file.
        members: names of its records; torch reads the index in the folder of the first.

    Raises:
        BadSubmission: if there is no index, or one with anything but tensors, texts and numbers, or without an end.
    """
    wanted = f"{next(iter(members), '').partition('/')[0]}/{FILE}"
    name = next((name for name in members if name.lower() == wanted.lower()), None)  # torch, too, ignores case
    if name is None:
        raise refusal(path, "damaged", f"its first folder has no {FILE}", REMEDY)
    if archive.getinfo(name).file_size > MOST_CHECKED_BYTES:
        return
    try:
        index = archive.read(name)
    except (BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return  # torch does not look at checksums: it says what it can read
    try:
        for operation, argument, _ in pickletools.genops(index):
            if operation.name == "GLOBAL" and not KNOWN.fullmatch(str(argument)):
                held = f"({printable(str(argument).replace(' ', '.'))})"
                found = f"holds Python objects {held} besides tensors, texts and numbers; nothing was executed"
                raise refusal(path, "pickle", found, REMEDY)
            if not OPERATIONS.fullmatch(operation.name):
                found = f"is no plain file of tensors: it takes {operation.name} to be read; nothing was executed"
                raise refusal(path, "pickle", found, REMEDY)
    except ValueError as error:
        raise refusal(path, "damaged", f"its index cannot be read: {printable(error, 160)}", REMEDY) from None
