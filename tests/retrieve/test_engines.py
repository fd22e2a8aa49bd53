"""Which engine is chosen, and the message where a GPU is missing."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Event
from types import ModuleType, SimpleNamespace

import builders
import numpy as np
import pytest
from click.testing import CliRunner

import piq_bench
from piq_bench.cli.options import ENGINES
from piq_bench.cli.score import score_command
from piq_bench.errors import BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.records import GALLERY, QUERY
from piq_bench.retrieve import cpu, engines, plain
from piq_bench.retrieve.contract import wide


def pretend(monkeypatch: pytest.MonkeyPatch, torch: ModuleType | SimpleNamespace | None) -> None:
    """Make `import torch` return this; None stands for no torch."""
    monkeypatch.setattr(engines, "find_spec", lambda name: None if torch is None else ModuleSpec(name, None))
    monkeypatch.setitem(sys.modules, "torch", torch)


def torch_with(*, gpu: bool, broken: bool = False) -> SimpleNamespace:
    def zeros(*_: object, **__: object) -> SimpleNamespace:
        if broken:
            raise RuntimeError("no kernel image\nis available")
        return SimpleNamespace(add_=lambda value: SimpleNamespace(item=lambda: value))

    cuda = SimpleNamespace(is_available=lambda: gpu)
    return SimpleNamespace(cuda=cuda, zeros=zeros, __version__="2.8.0")


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, why_no_faiss: str = "") -> list[bool]:
    """Pretend that there is a working GPU; the list returned collects the `faiss` option of each call."""
    pretend(monkeypatch, torch_with(gpu=True))
    monkeypatch.setattr(engines, "_has_driver", lambda: True)
    faiss_options: list[bool] = []

    def count_ranks(*_: object, faiss: bool) -> None:
        faiss_options.append(faiss)

    module = SimpleNamespace(
        count_ranks=count_ranks, why_no_faiss=lambda: why_no_faiss, describe=lambda *, faiss: f"gpu (faiss: {faiss})"
    )
    monkeypatch.setitem(sys.modules, "piq_bench.retrieve.gpu", module)
    monkeypatch.setattr("piq_bench.retrieve.gpu", module, raising=False)
    return faiss_options


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_small_jobs_do_not_wait_for_the_compiler_and_large_ones_use_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, None)
    assert engines.choose(name, engines.COMPILED_PAIRS - 1) == (plain.count_ranks, plain.ENGINE)
    assert engines.choose(name, engines.COMPILED_PAIRS) == (cpu.count_ranks, cpu.ENGINE)
    assert engines.choose(name, 10**13) == (cpu.count_ranks, cpu.ENGINE)


@pytest.mark.parametrize(("dimension", "times"), [(1, 1), (512, 1), (1024, 2), (2048, 4)])
def test_pairs_count_more_where_their_embeddings_are_wide(dimension: int, times: int) -> None:
    rng = np.random.default_rng(0)
    benchmark = builders.benchmark(rng)
    entry = builders.submission(rng, benchmark, rng.random((benchmark.test_rows.size, dimension)).astype(np.float32))
    n_pairs = int((benchmark.split == QUERY).sum() * (benchmark.split == GALLERY).sum())
    assert engines.work_of(benchmark, entry) == wide(n_pairs, dimension) == times * n_pairs
    assert engines.work_of(benchmark) == engines.work_of(benchmark, replace(entry, embedding=None)) == n_pairs


def test_a_command_chooses_by_the_dimension(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Half as many pairs as the compiled engine asks for are enough if their embeddings are twice as wide."""
    benchmark = read_benchmark(None)
    monkeypatch.setattr(engines, "COMPILED_PAIRS", 2 * engines.work_of(benchmark))
    rng, images = np.random.default_rng(0), benchmark.images[benchmark.test_rows]
    for dimension, name in ((512, plain.ENGINE), (1024, cpu.ENGINE)):
        embedding = rng.random((images.size, dimension)).astype(np.float32)
        np.savez(tmp_path / "entry.npz", image=images.astype(str), embedding=embedding)
        found = CliRunner().invoke(score_command, [str(tmp_path / "entry.npz"), "--partial", "--json", "-"])
        assert json.loads(found.stdout)["engine"] == name
        assert piq_bench.score(tmp_path / "entry.npz", partial=True).score.engine == name


@pytest.mark.parametrize(
    ("engine", "large", "driver", "loads"),
    [
        ("auto", True, False, True),
        ("cpu", True, True, True),
        ("auto", True, True, False),  # a GPU may count
        ("gpu", True, False, False),
        ("auto", False, False, False),
    ],
)
def test_a_large_submission_loads_the_compiled_engine_while_files_are_read(
    engine: str, large: bool, driver: bool, loads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Event()
    monkeypatch.setattr(engines, "_load_compiled", loaded.set)
    monkeypatch.setattr(engines, "_has_driver", lambda: driver)
    monkeypatch.setattr(engines, "LARGE_BYTES", 8)
    (tmp_path / "embedding.npy").write_bytes(bytes(8 if large else 7))
    for path in (tmp_path, tmp_path / "embedding.npy", tmp_path / "missing.npz"):
        loaded.clear()
        engines.prepare(path, engine)
        assert loaded.wait(10 if loads and path.exists() else 0.01) == (loads and path.exists())


def test_auto_uses_a_working_gpu_for_large_jobs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    faiss_options = pretend_gpu(monkeypatch, "is missing")
    messages: list[str] = []
    engine, name = engines.choose("auto", engines.GPU_PAIRS, tell=messages.append)
    assert name == "gpu (faiss: True)"
    engine()  # type: ignore[call-arg]
    assert faiss_options == [True]
    assert messages == []  # the user did not request a GPU
    assert engines.choose("auto", engines.GPU_PAIRS - 1)[1] == cpu.ENGINE


def test_auto_does_not_use_a_broken_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_has_driver", lambda: True)
    for torch in (torch_with(gpu=False), torch_with(gpu=True, broken=True)):
        pretend(monkeypatch, torch)
        assert engines.choose("auto", engines.GPU_PAIRS)[1] == cpu.ENGINE


def test_a_requested_gpu_engine_says_why_it_does_not_use_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, "1.7 is older than 1.8")
    messages: list[str] = []
    engines.choose("gpu", 1, tell=messages.append)
    assert messages == ["faiss 1.7 is older than 1.8: torch computes the similarities instead, with the same score"]
    messages.clear()
    assert engines.choose("gpu", 1, faiss=False, tell=messages.append)[1] == "gpu (faiss: False)"
    assert messages == []


@pytest.mark.parametrize(
    ("torch", "found"),
    [
        (None, "not installed"),
        (torch_with(gpu=False), "version 2.8.0 sees no GPU"),
        (torch_with(gpu=True, broken=True), "does not work here (no kernel image"),
    ],
    ids=["no torch", "no GPU", "broken"],
)
def test_a_requested_gpu_that_is_missing_is_refused_with_the_install_command(
    torch: SimpleNamespace | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, torch)
    with pytest.raises(BadUsage) as refusal:
        engines.choose("gpu", 1)
    text = str(refusal.value)
    assert found in text
    assert engines.INSTALL in text
    assert "--engine cpu" in text


def test_an_unknown_name_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="'tpu' is not one of auto, cpu, gpu"):
        engines.choose("tpu", 1)


def test_commands_offer_all_engines() -> None:
    assert engines.ENGINES == ENGINES


def test_piq_score_refuses_a_missing_gpu_as_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    result = CliRunner().invoke(score_command, ["submissions/colour-shape/submission.npz", "--engine", "gpu"])
    assert result.exit_code == 2
    assert "pip install 'piq-bench[gpu]'" in " ".join(result.output.split())


def use(monkeypatch: pytest.MonkeyPatch, name: str, count: Callable[..., object]) -> None:
    monkeypatch.setattr(engines, "choose", lambda *_, **__: (count, name))


def test_the_result_says_which_engine_ran_and_its_digest_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    for name, count in (("cpu (numba)", cpu.count_ranks), ("cpu (numpy)", plain.count_ranks)):
        use(monkeypatch, name, count)
        arguments = ["submissions/colour-shape/submission.npz", "--bootstrap", "0", "--format", "json"]
        result = CliRunner().invoke(score_command, arguments)
        assert result.exit_code == 0, result.output
        assert f'"{name}"' in result.stdout
        texts.append(next(line for line in result.stdout.splitlines() if '"digest"' in line))
    assert texts[0] == texts[1]


def test_auto_does_not_import_torch_where_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise AssertionError("looked for torch")

    monkeypatch.setattr(engines, "_has_driver", lambda: False)
    monkeypatch.setattr(engines, "_gpu_problem", fails)
    assert engines.choose("auto", engines.GPU_PAIRS)[1] == cpu.ENGINE


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (100, False), (None, False)])
def test_a_driver_without_a_device_is_none(answer: int | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def library(name: str) -> SimpleNamespace:
        if answer is None:
            raise OSError(name)
        return SimpleNamespace(cuInit=lambda flags: answer)

    monkeypatch.setattr("ctypes.CDLL", library)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert engines._has_driver() is expected
