"""Unpacks files in the process of the tests instead of one of its own, which would cost a third of a second each."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from piq_bench.read.unpacking import REPORT


def unpack_here(module: str, path: Path, folder: Path, request: Mapping[str, object], **limits: int) -> bool:
    """Like `unpack_apart`, without limits."""
    import_module(module).main({**request, "path": str(path), "folder": str(folder)})
    return (folder / REPORT).is_file()
