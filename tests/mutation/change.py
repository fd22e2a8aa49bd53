"""Puts a mutant into the functions that live in this process, and into its file for the processes that tests start."""

import gc
import os
import shutil
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mutation.mutants import Mutant

FIRST_MOMENT = 1_000_000_000  # seconds; each text of a file gets a time of its own, by which Python knows old bytecode


def change_in_memory(copy: Path, mutant: Mutant) -> Callable[[], bool] | None:
    """What puts the changed code into living functions, and says whether it fitted; None outside functions."""
    path = str(copy / mutant.path)
    try:
        pair = _changed_function(compile(mutant.source, path, "exec"), compile(mutant.text(), path, "exec"))
    except SyntaxError:
        return None
    if pair is None:
        return None
    old, new = pair

    def change() -> bool:
        n_changed = 0
        for found in gc.get_objects():
            if type(found) is types.FunctionType and _place(found.__code__) == _place(old):
                try:
                    found.__code__ = new
                except ValueError:  # it needs other variables of the functions around it
                    return False
                n_changed += 1
        return n_changed > 0

    return change


def _changed_function(old: types.CodeType, new: types.CodeType) -> tuple[types.CodeType, types.CodeType] | None:
    """The outermost function in which two modules differ; None if they differ outside functions."""
    parts = [[part for part in code.co_consts if isinstance(part, types.CodeType)] for code in (old, new)]
    if len(parts[0]) != len(parts[1]) or _shell(old) != _shell(new):
        return None
    for before, after in zip(*parts, strict=True):
        if before != after:
            is_function = bool(before.co_flags & 1)  # CO_OPTIMIZED: not a class
            return (before, after) if is_function else _changed_function(before, after)
    return None


def _shell(code: types.CodeType) -> object:
    constants = [None if isinstance(part, types.CodeType) else (type(part), part) for part in code.co_consts]
    return code.co_code, repr(constants), code.co_names


def _place(code: types.CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


_texts = iter(range(FIRST_MOMENT, 2 * FIRST_MOMENT))


@contextmanager
def changed_file(copy: Path, mutant: Mutant) -> Iterator[None]:
    target = copy / mutant.path

    def write(text: str) -> None:
        target.write_text(text, encoding="utf-8")
        moment = next(_texts)
        os.utime(target, (moment, moment))

    write(mutant.text())
    try:
        yield
    finally:
        write(mutant.source)
        shutil.rmtree(copy.parent / "tmp", ignore_errors=True)
