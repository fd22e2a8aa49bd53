"""Unpacks files in the process of the tests instead of one of its own, which would cost a third of a second each."""

import faulthandler
import os
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from piq_bench.read.unpacking import REPORT


def unpack_here(module: str, path: Path, folder: Path, request: Mapping[str, object], **limits: int) -> bool:
    """Like `unpack_apart`, without limits."""
    import_module(module).main({**request, "path": str(path), "folder": str(folder)})
    return (folder / REPORT).is_file()


def unpack_forked(module: str, path: Path, folder: Path, request: Mapping[str, object], **limits: int) -> bool:
    """Like `unpack_here`, in a copy of this process: libraries crash on some damaged files."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()
        try:
            unpack_here(module, path, folder, request)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status) and (folder / REPORT).is_file()
