"""The process that compiles on the first run: it compiles what the engine calls, once, and ends with its parent."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from retrieve.test_cpu import Job, clustered, similarity_of

from piq_bench.retrieve import cpu, warm


def test_the_engine_calls_what_was_compiled() -> None:
    cpu.count_ranks(*Job(similarity_of(clustered(np.random.default_rng(0), 50, 8)), 5, 3).given)
    assert warm._argument_types() in warm._count_block().signatures


def test_a_filled_cache_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **options: started.append(given))
    monkeypatch.setattr(warm, "_is_wanted", lambda function: False)
    warm.start()
    assert not started


def test_it_compiles_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "PROGRAM", "import piq_bench.retrieve.warm")
    monkeypatch.setattr(warm, "_is_wanted", lambda function: True)
    warm.start()
    warm.start()  # one is enough
    (process,) = warm._running
    warm.wait()
    assert process.returncode == 0
    assert not warm._running


def test_it_ends_with_its_parent() -> None:
    program = "from piq_bench.retrieve import warm; import threading, time; warm._end_with_parent()"
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1


def test_it_ends_as_soon_as_it_has_compiled() -> None:
    """A thread of it still waits for its parent's end then, which once held it up by a second and made it crash."""
    program = (
        "from types import SimpleNamespace; from piq_bench.retrieve import warm; "
        "warm._count_block = lambda: SimpleNamespace(compile=lambda types: None); warm.compile_kernel()"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", program], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 0


def test_a_fresh_installation_is_seen_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(warm, "CACHE", tmp_path)
    assert warm._is_fresh()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not warm._is_fresh()  # the user has chosen another folder
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    (tmp_path / "kernel.count_block-1.py311.nbi").touch()
    assert not warm._is_fresh()
    monkeypatch.setattr(warm, "CACHE", tmp_path / "missing")
    assert not warm._is_fresh()


def test_the_cache_has_the_name_that_a_fresh_installation_lacks() -> None:
    """The name is numba's own: if it changes, every run takes the installation for a fresh one."""
    index = warm._count_block()._cache._cache_file._index_path
    assert Path(index).match(warm.KEPT)


def test_trouble_means_no_process() -> None:
    assert not warm._is_wanted(object())
