"""Makes the benchmark.toml of a starting kit from that of the organiser, byte for byte where nothing has to go."""

import re
from pathlib import Path, PureWindowsPath

from piq_bench.documents import parse_toml
from piq_bench.errors import BadDataset, Problem
from piq_bench.read.vocabulary import FILE as VOCABULARY

IMAGES_ROOT = re.compile(r"^([ \t]*\[images\][^\[]*?)^[ \t]*root[ \t]*=[^\n]*\n?", re.MULTILINE)


def vocabulary_for_participants(vocabulary: Path) -> bytes:
    """The content of benchmark.toml without a place of the images on the organiser's machine.

    Raises:
        BadDataset: if the place is written in a way that is not recognised.
    """
    text = vocabulary.read_text(encoding="utf-8-sig")
    if not _leads_elsewhere(text):
        return vocabulary.read_bytes()
    text = IMAGES_ROOT.sub(r"\1", text)
    if _leads_elsewhere(text):
        found = "tells participants where the images are on your machine"
        remedy = "write it as a line root = '...' below a line [images], or leave it out and link images/ to the folder"
        raise BadDataset(str(vocabulary), [Problem("images-root", f"{VOCABULARY}: images.root", found, remedy)])
    return text.encode()


def _leads_elsewhere(text: str) -> bool:
    """Whether a vocabulary places the images outside the folder of the data set."""
    images = parse_toml(text).get("images")
    root = images.get("root") if isinstance(images, dict) else None
    if not isinstance(root, str):
        return False
    parts = PureWindowsPath(root)  # knows both kinds of slashes
    return bool(parts.anchor) or ".." in parts.parts
