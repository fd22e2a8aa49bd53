"""The process that compiles on the first run: it compiles what the engine calls, once, and ends with its parent."""

import subprocess
import sys

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


def test_trouble_means_no_process() -> None:
    assert not warm._is_wanted(object())
