"""Chooses the engine that counts, by its name and the size of the job; see `retrieve.contract.Engine`.

All engines give the same counts, so "auto" is a matter of time alone: numpy for small jobs, which would not repay
compiling or torch's start; the compiled engine from there on; a GPU, if one works, from where it repays torch's start.
Only the modules chosen here import torch.
"""

import ctypes
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from piq_bench.errors import BadUsage, Problem, printable
from piq_bench.records import GALLERY, QUERY, Benchmark, Submission
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Engine, wide

ENGINES = ("auto", "cpu", "gpu", "dask")
BY_WORK = ("auto", "cpu")  # for which the choice depends on the size of the job
COMPILED_PAIRS = 200_000_000  # queries x gallery, of the usual dimension: a few seconds with numpy
GPU_PAIRS = 1_000_000_000  # the compiled engine needs longer than torch takes to start
WORTH_MORE_ON_WORKERS = 8
LARGE_BYTES = 1 << 26  # of a submission: its embedding is measured by a compiled function, whichever engine counts
INSTALL = "pip install 'piq-bench[gpu]'"


def prepare(submission: Path, engine: str) -> None:
    """Start to load the compiled engine, and to compile it on the first run, if a submission looks as if it needed it.

    It happens in the background, while files are read. Nothing depends on it but time.
    """
    if engine not in ("auto", "cpu") or (engine == "auto" and _has_driver()):
        return
    try:
        files = submission.iterdir() if submission.is_dir() else [submission]
        is_large = any(file.stat().st_size >= LARGE_BYTES for file in files)
    except (OSError, ValueError):  # reading it will say why
        return
    if is_large:
        pool = ThreadPoolExecutor(1)
        pool.submit(_load_compiled)
        pool.shutdown(wait=False)


def _load_compiled() -> None:
    from piq_bench.retrieve import warm

    warm.start()  # first, since what follows takes a while too
    from piq_bench.retrieve import cpu  # noqa: F401  (loaded, to be used later)


def work_of(benchmark: Benchmark, submission: Submission | None = None) -> int:
    """Number of queries times number of gallery images, or as many pairs of the usual dimension as take the same time.

    Args:
        benchmark: the benchmark.
        submission: the submission that is ranked; None if it has not been read yet.
    """
    n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
    if submission is None or submission.embedding is None:
        return n_queries * n_gallery
    return wide(n_queries * n_gallery, submission.embedding.shape[1])


def choose(
    engine: str,
    n_pairs: int,
    *,
    scheduler: str | None = None,
    faiss: bool = True,
    tell: Callable[[str], None] = lambda message: None,
) -> tuple[Engine, str]:
    """The engine to use, and its name in a result.

    Args:
        engine: a name from ENGINES.
        n_pairs: number of queries times number of gallery images; see `work_of`.
        scheduler: address of a Dask scheduler, for "dask" alone; None starts workers on this machine.
        faiss: whether a GPU engine may use faiss.
        tell: called with a message for the user if a GPU was asked for and faiss cannot be used there.

    Raises:
        BadUsage: if a GPU was asked for, and torch or a working GPU is missing; or if Dask was asked for, and its
            scheduler does not answer or its workers have other versions.
    """
    if engine not in ENGINES:
        raise ValueError(f"{engine!r} is not one of {', '.join(ENGINES)}")
    if scheduler is not None and engine != "dask":
        unused = Problem("unused-scheduler", "--scheduler", f"the engine is '{engine}'", "add --engine dask")
        raise BadUsage("options", [unused])
    if engine == "dask":
        from piq_bench.cluster.connect import check_scheduler
        from piq_bench.retrieve import dask

        check_scheduler(scheduler)
        return partial(dask.count_ranks, scheduler=scheduler, choose=choose_on_worker), dask.describe()
    if engine == "gpu":
        problem = _gpu_problem()
        if problem is not None:
            raise BadUsage("--engine gpu", [problem])
        return _gpu_engine(faiss, tell)
    if engine == "auto" and n_pairs >= GPU_PAIRS and _has_driver() and _gpu_problem() is None:
        return _gpu_engine(faiss, lambda message: None)
    if n_pairs >= COMPILED_PAIRS:
        from piq_bench.retrieve import cpu, warm

        warm.start()
        return cpu.count_ranks, cpu.ENGINE
    return plain.count_ranks, plain.ENGINE


def choose_on_worker(n_pairs: int, threads: int) -> tuple[Engine, str]:
    """The engine for a worker's share of a job, and its name.

    A worker stays for the next job and often has one thread: what takes time to load repays it sooner.
    """
    engine, name = choose("auto", n_pairs * WORTH_MORE_ON_WORKERS)
    if name.startswith("cpu"):
        options: dict[str, Any] = {"threads": threads}  # the contract knows no threads, CPU engines do
        engine = partial(engine, **options)
    return engine, name


def _has_driver() -> bool:
    """Whether a driver of a GPU that torch can use is installed: to import torch just for asking takes seconds."""
    if Path("/dev/kfd").exists():  # AMD's
        return True
    for library in ("libcuda.so.1", "nvcuda.dll"):
        with suppress(OSError, AttributeError):
            return int(ctypes.CDLL(library).cuInit(0)) == 0
    return False


def _gpu_problem() -> Problem | None:
    """Why no GPU engine works here, or None. Looks for torch first, since importing it takes seconds."""
    remedy = f"{INSTALL} on a machine with an NVIDIA GPU, or use --engine cpu: it gives the same score"
    if find_spec("torch") is None:
        return Problem("no-torch", "torch", "not installed", remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old driver warns; the message below says enough
            torch = import_module("torch")
            works = bool(torch.cuda.is_available())
            if works:
                torch.zeros(1, device="cuda").add_(1).item()
    except (ImportError, OSError, RuntimeError) as error:  # a missing library, or a GPU that this torch has no code for
        return Problem("no-gpu", "torch", f"does not work here ({printable(error)})", remedy)
    if not works:
        version = printable(torch.__version__)
        return Problem("no-gpu", "torch", f"version {version} sees no GPU (torch.cuda.is_available() is False)", remedy)
    return None


def _gpu_engine(faiss: bool, tell: Callable[[str], None]) -> tuple[Engine, str]:
    from piq_bench.retrieve import gpu

    if faiss:
        reason = gpu.why_no_faiss()
        if reason:
            tell(f"faiss {reason}: torch computes the similarities instead, with the same score")
    return partial(gpu.count_ranks, faiss=faiss), gpu.describe(faiss=faiss)
