"""Hands what a process of its own read from a feature file to the process that started it."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from piq_bench.convert.features import as_texts
from piq_bench.errors import BadSubmission, Problem
from piq_bench.limits import MAX_MEMORY_BYTES
from piq_bench.read.unpacking import REPORT, unpack_apart


def read_apart(module: str, path: Path, crashed: BadSubmission) -> dict[str, object]:
    """Arrays, lists of texts and single texts by key, read by `main` of a module; None for anything else.

    Args:
        module: its `main` calls `leave`.
        path: the file to read.
        crashed: the refusal if the process crashes.

    Raises:
        BadSubmission: if the file is refused.
        LimitExceeded: if it takes more memory or time than is allowed.
    """
    with tempfile.TemporaryDirectory(prefix="piq-") as folder:
        if not unpack_apart(module, path, Path(folder), {}, most_memory=2 * MAX_MEMORY_BYTES):
            raise crashed
        report = json.loads(Path(folder, REPORT).read_text(encoding="utf-8"))
        if report["problems"]:
            raise BadSubmission(str(path), [Problem(**problem) for problem in report["problems"]])
        files: dict[str, str] = report["files"]
        arrays = {name: np.load(Path(folder, file), allow_pickle=False) for name, file in files.items()}
        return {**report["others"], **arrays}


def leave(folder: Path, path: Path, unpack: Callable[[Path], dict[str, object]]) -> None:
    """Write the content of a file, or the problems for which it is refused, to a folder for `read_apart`."""
    content: dict[str, object] = {}
    problems: tuple[Problem, ...] = ()
    try:
        content = unpack(path)
    except BadSubmission as error:
        problems = error.problems
    except MemoryError:
        found = "does not fit into the memory that a file of its size may take"
        problems = (Problem("too-large", path.name, found, "store float32"),)
    files = {}
    for place, (name, value) in enumerate(content.items()):
        if isinstance(value, np.ndarray):
            files[name] = f"{place}.npy"
            np.save(folder / files[name], value, allow_pickle=False)
    others = {name: value if isinstance(value, str) else as_texts(value) for name, value in content.items()}
    report = {
        "files": files,
        "others": {name: None if name in files else value for name, value in others.items()},
        "problems": [asdict(problem) for problem in problems],
    }
    (folder / REPORT).write_text(json.dumps(report), encoding="utf-8")
