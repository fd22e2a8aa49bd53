"""Finds out, in a process of its own, whether faiss works on this machine's GPUs.

A faiss wheel holds code for some generations of GPUs only. On a newer one it ends the whole process, which no `except`
can catch, so the first product is tried elsewhere. The answer is kept in the user's cache folder, for this driver, this
wheel and these cards.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from piq_bench.errors import printable

SECONDS = 120.0  # to import torch and faiss from a cold disk, and to multiply
WORKS = "works"
MAX_BYTES = 64 << 10
PROGRAM = """
import sys
sys.path[:] = {path!r}
import faiss, torch
import faiss.contrib.torch_utils
for index in range(faiss.get_num_gpus()):
    one = torch.ones((3, 8), device=f"cuda:{{index}}")
    out = torch.empty((3, 3), device=one.device)
    with torch.cuda.device(index):
        resources = faiss.StandardGpuResources()
        faiss.pairwise_distance_gpu(resources, one, one, D=out, metric=faiss.METRIC_INNER_PRODUCT, device=index)
        torch.cuda.synchronize()
    if out.tolist() != [[8.0] * 3] * 3:
        sys.exit("gives wrong products")
"""


def why_not(cards: list[str], driver: str) -> str:
    """Why faiss cannot be used here, in words that follow "faiss"; empty if it can.

    Args:
        cards: name and compute capability of each GPU.
        driver: the driver's version.
    """
    key = sha256(json.dumps([_wheels(), cards, driver, sys.version]).encode()).hexdigest()
    known = _read()
    if key not in known:
        answer = _tried()
        if answer is None:  # not an answer that will hold tomorrow
            return f"gave no answer within {SECONDS:.0f} s when it was tried"
        known = {**known, key: answer}
        _write(known)
    answer = known[key]
    return "" if answer == WORKS else answer


def _wheels() -> list[str]:
    """Name and version of all installed packages of faiss, and of torch."""
    found = [
        f"{one.metadata['Name']} {one.version}"
        for one in distributions()
        if str(one.metadata["Name"] or "").lower().startswith("faiss")
    ]
    with suppress(PackageNotFoundError):
        found.append(f"torch {version('torch')}")
    return sorted(found)


def _tried() -> str | None:
    """Multiply in a child process: WORKS, or why not; None if it did not end."""
    program = PROGRAM.format(path=[path for path in sys.path if path])
    try:
        ended = subprocess.run(  # noqa: S603  (our own program; -P: nothing is imported from the folder we are in)
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if ended.returncode == 0:
        return WORKS
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    detail = printable(lines[-1].strip()) if lines else f"exit status {ended.returncode}"
    return f"fails on this GPU ({detail})"


def _file() -> Path | None:
    """Where answers are kept; None where there is no such place."""
    import click

    folder = Path(click.get_app_dir("piq-bench"))
    return folder / "faiss.json" if folder.is_absolute() else None


def _read() -> dict[str, str]:
    """The answers so far; none if the file is missing or not one that this module writes."""
    file = _file()
    try:
        if file is None or file.stat().st_size > MAX_BYTES:
            return {}
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {key: answer for key, answer in known.items() if isinstance(answer, str)}


def _write(known: dict[str, str]) -> None:
    """Keep the answers; nothing is lost where they cannot be kept."""
    file = _file()
    if file is None:
        return
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        beside.write_text(json.dumps(known, indent=1), encoding="utf-8")
        beside.replace(file)
