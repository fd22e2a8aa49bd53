"""No block size changes a digest: scores and groups with every block constant at 1 to 50, by every engine."""

import inspect
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType, ModuleType
from typing import Any

import builders
import numpy as np
import pytest
from group.test_sweep import grouped, random_images
from group_builders import balanced_hashes
from oracles_groups import Rules
from retrieve.test_matrix import with_matrix

import piq_bench.group
import piq_bench.metrics
import piq_bench.read.mapped
import piq_bench.retrieve
import piq_bench.scoring
from piq_bench.group import pairs
from piq_bench.records import SAME_CAMERA, Benchmark, Rule, Submission
from piq_bench.report.json import score_document
from piq_bench.retrieve import cpu, plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.compare import compare, tallied
from piq_bench.scoring.drilldown import drill_down
from piq_bench.scoring.score import score

BLOCKS = {
    "BLOCK", "BLOCK_BYTES", "BLOCK_CLUSTERS", "BLOCK_ROWS", "BLOCK_VALUES", "CACHE_VALUES", "CANDIDATES", "CHUNK_BYTES",
    "COLUMNS", "COMPILE_FROM", "COUNTED_VALUES", "FEW", "FEW_PAIRS", "FULL_BLOCK", "GALLERY_BLOCK", "MANY", "MAX_EDGES",
    "MAX_WAITING", "MULTIPLIED_VALUES", "N_BUCKETS", "PAIRS_AT_ONCE", "PAIRS_OF_QUERY", "PANEL_BYTES", "PART_VALUES",
    "PENDING", "PIECE_ROWS", "POINTS_AT_ONCE", "QUERIES_AT_ONCE", "QUERY_BLOCK", "QUERY_VALUES_AT_ONCE", "READ_ROWS",
    "ROWS", "SAMPLE", "SMALLEST_BLOCK", "SORTED_AT_ONCE", "SPARE", "STEP_VALUES", "TABLE_VALUES", "TIED_VALUES",
}  # fmt: skip
SMALLEST = {"N_BUCKETS": 2}  # for two edges
COMPILED_IN = ("piq_bench.retrieve.kernel", "piq_bench.retrieve.amx")  # in machine code; tests of engines exceed them
HAS_TORCH = find_spec("torch") is not None


def modules() -> list[ModuleType]:
    found: list[ModuleType] = [piq_bench.read.mapped]
    for room in (piq_bench.retrieve, piq_bench.scoring, piq_bench.metrics, piq_bench.group):
        names = [f"{room.__name__}.{module.name}" for module in pkgutil.iter_modules(room.__path__)]
        found += [import_module(n) for n in names if n not in COMPILED_IN and (HAS_TORCH or ".gpu" not in n)]
    return found


def shrink(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> set[str]:
    """Set all block constants, and the defaults of parameters made from them; return the constants' names."""
    shrunk: set[str] = set()
    for module in modules():
        own = {name: int(rng.integers(SMALLEST.get(name, 1), 51)) for name in sorted(BLOCKS & vars(module).keys())}
        for function in vars(module).values():
            if not isinstance(function, FunctionType) or function.__module__ != module.__name__:
                continue
            defaults = {
                name: own[name.upper()]
                for name, parameter in inspect.signature(function).parameters.items()
                if name.upper() in own and parameter.default == vars(module)[name.upper()]
            }
            if function.__kwdefaults__ and defaults.keys() & function.__kwdefaults__.keys():
                monkeypatch.setattr(function, "__kwdefaults__", {**function.__kwdefaults__, **defaults})
            elif defaults:
                monkeypatch.setattr(function, "__defaults__", tuple(defaults.values()))
        for name, size in own.items():
            monkeypatch.setattr(module, name, size)
        shrunk |= own.keys()
    return shrunk


def engines() -> list[Any]:
    found = [pytest.param(plain.count_ranks, id="numpy"), pytest.param(cpu.count_ranks, id="numba")]
    if HAS_TORCH:
        from piq_bench.retrieve import gpu

        found.append(pytest.param(partial(gpu.count_ranks, devices=["cpu"]), id="torch"))
    return found


Case = tuple[Benchmark, Submission]


def cases() -> list[Case]:
    """Every mode of groups, with and without further rules; both distances and types, and a matrix."""
    size = builders.Size(n_query=30, n_gallery=200, n_identities=2)  # more than 64 images of a person
    made: list[Case] = []
    for number, (mode, exclude) in enumerate(
        (
            (None, (SAME_CAMERA,)),
            ("components", ()),
            ("neighbours", (Rule(("sequence",)),)),
        )
    ):
        rng = np.random.default_rng(number)
        benchmark = builders.benchmark(rng, size, mode=mode, exclude=exclude)  # type: ignore[arg-type]
        rows = rng.integers(-3, 4, (benchmark.test_rows.size, 5)) + 0.25  # many ties
        half, single = rows.astype(np.float16), (rows * rng.choice([1, 1 / 3], (len(rows), 1))).astype(np.float32)
        made.append((benchmark, builders.submission(rng, benchmark, half, distance="cosine")))
        made.append((benchmark, builders.submission(rng, benchmark, single, distance="euclidean")))
    benchmark, submission = made[-1]
    made.append((benchmark, with_matrix(np.random.default_rng(9), benchmark, submission)))
    return made


def outcome(benchmark: Benchmark, submission: Submission, engine: Engine) -> tuple[object, ...]:
    """All that is reported of a submission."""
    scored = score(benchmark, submission, n_resamples=70, engine=engine)
    document = score_document(scored)
    document.pop("engine")
    return document, asdict(drill_down(benchmark, submission, scored))


@pytest.fixture(scope="module")
def expected() -> list[tuple[Benchmark, Submission, str]]:
    """The cases, and what the plain engine reports of each of them in one block."""
    return [(*case, repr(outcome(*case, plain.count_ranks))) for case in cases()]


@pytest.mark.parametrize("engine", engines())
def test_no_block_size_changes_a_score(
    engine: Engine, expected: list[tuple[Benchmark, Submission, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The compiled engines see lists to exclude, not modes: for them, both distances and types are enough.
    chosen = expected if engine is plain.count_ranks else (expected[0], expected[3])
    for number, (benchmark, submission, true) in enumerate(chosen):
        with monkeypatch.context() as patch:
            shrink(patch, np.random.default_rng(number))
            assert repr(outcome(benchmark, submission, engine)) == true


def test_no_block_size_changes_a_comparison(
    expected: list[tuple[Benchmark, Submission, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark, one, _ = expected[2]
    other = builders.submission(np.random.default_rng(5), benchmark)

    def compared() -> str:
        counted = [tallied(benchmark, submission) for submission in (one, other)]
        return repr(asdict(compare(benchmark, counted, n_resamples=70, n_swaps=70)))

    true = compared()
    shrink(monkeypatch, np.random.default_rng(0))
    assert compared() == true


@pytest.mark.parametrize("mode", ["components", "neighbours"])
def test_no_block_size_changes_groups(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = random_images(3, 300)

    def built() -> str:
        report = grouped(images, Rules(threshold=8, within=False, min_quality=None, same_camera=True), mode)
        return repr((report.groups.parameters, report.groups.group.tolist(), np.array(report.groups.pairs).tolist()))

    with np.printoptions(threshold=sys.maxsize):
        true = built()
        for seed in range(3):
            with monkeypatch.context() as patch:
                shrink(patch, np.random.default_rng(seed))
                assert built() == true


def test_no_block_size_changes_the_pairs_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.unique(balanced_hashes(400, 1))

    def found(finder: Callable[..., Any]) -> list[tuple[int, int, int]]:
        return sorted(row for block in finder(hashes, 9) for row in zip(*(c.tolist() for c in block), strict=True))

    true = found(pairs.near_pairs)
    shrink(monkeypatch, np.random.default_rng(0))
    monkeypatch.setattr(pairs, "FEW", 0)
    assert found(pairs.near_pairs) == true


def test_all_block_constants_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant with such a name is a block size: add it to `BLOCKS`."""
    words = ("BLOCK", "CHUNK", "PANEL", "PIECE", "AT_ONCE", "STEP", "CANDIDATES", "_VALUES", "_ROWS")
    names = {name for module in modules() for name in vars(module) if name.isupper() and any(w in name for w in words)}
    others = {
        "N_VALUES",
        "CHUNK",
        "PROBE_ROWS",
        "COUNT_BLOCK",
        "LEAST_ROWS",
        "MOST_ROWS",
    }  # of processes, machines, or none
    assert names - BLOCKS - others == set()
    if HAS_TORCH:
        assert shrink(monkeypatch, np.random.default_rng(0)) == BLOCKS
