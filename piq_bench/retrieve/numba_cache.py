"""Compiles functions with numba and keeps the result on disk where that is possible; where it is not, they still work.

numba looks for a folder that can be written: $NUMBA_CACHE_DIR, then __pycache__ beside the module, then the user's
cache folder. A read-only installation without a home has none of them; a private folder for temporary files is left.
"""

import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba

COMPILER: Any = numba.njit
CONFIG: Any = numba.config
F = TypeVar("F", bound=Callable[..., Any])


def inner(**options: Any) -> Callable[[F], F]:  # noqa: ANN401  (numba's own options)
    """`numba.njit` for a function that only compiled functions of its module call.

    Its code is part of theirs, and so it is kept with theirs alone. To keep each such function in a file of its own
    took a fifth of the time of compiling.
    """
    decorate: Callable[[F], F] = COMPILER(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)
    return decorate


def njit(**options: Any) -> Callable[[F], F]:  # noqa: ANN401  (numba's own options)
    """`numba.njit(cache=True)` that never fails for want of a place to write to."""

    def decorate(function: F) -> F:
        compiled: Any = COMPILER(no_cfunc_wrapper=True, **options)(function)
        for is_last in (False, True):
            if is_last:
                _use_temporary_folder()
            try:
                compiled.enable_caching()
            except (RuntimeError, OSError):  # numba finds no folder that it can write to
                continue
            _forgive(compiled)
            break
        return compiled  # type: ignore[no-any-return]

    return decorate


def _use_temporary_folder() -> None:
    folder = _temporary_folder()
    if folder is not None:
        CONFIG.CACHE_DIR = str(folder)


@cache
def _temporary_folder() -> Path | None:
    """A folder that this user alone can write to: what lies in it is executed."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir(), f"piq-bench-numba-{os.getuid()}")
    try:
        folder.mkdir(0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_private else None


def _forgive(compiled: Any) -> None:  # noqa: ANN401
    """Lets a compiled function work on where its cache cannot be read or written after all, as on a full disk."""
    store = getattr(compiled, "_cache", None)
    for name in ("load_overload", "save_overload"):
        access = getattr(store, name, None)
        if access is not None:
            setattr(store, name, _tolerant(access))


def _tolerant(access: Callable[..., Any]) -> Callable[..., Any]:
    def tried(*arguments: Any) -> Any:  # noqa: ANN401
        try:
            return access(*arguments)
        except (OSError, EOFError):
            return None  # not found, or not kept

    return tried
