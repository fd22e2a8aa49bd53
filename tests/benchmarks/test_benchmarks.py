"""The benchmark program: it runs, its evaluators agree, and one that is wrong is named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import retrieval
from benchmarks.alone import Limits, Outcome, measure
from benchmarks.evaluators import CPU, OURS, Data, Evaluator, Found
from benchmarks.peers import EXACT, PEERS
from benchmarks.people import Recipe, Size

RECIPE = Recipe(Size(60, 400, 32), noise=3.0)
PROGRAM = Path(retrieval.__file__)
OURS_ON_CPU = [one for one in OURS if not one.on_gpu]


def test_the_program_measures_and_prints_a_table(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(PROGRAM),
        "--size",
        "tiny",
        "--map",
        "0.5",
        "--rows",
        "piq-bench, cpu",
        "--repeats",
        "2",
    ]
    done = subprocess.run([*command, "--check", "--json", str(tmp_path / "out.json")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| piq-bench, cpu |" in done.stdout
    (table,) = json.loads((tmp_path / "out.json").read_text())["tables"]
    ours = next(row for row in table["rows"] if row["name"] == "piq-bench, cpu")
    assert len(ours["seconds"]) == len(ours["floor_seconds"]) == 2
    assert abs(ours["found"]["map"] - 0.5) <= 0.02 * 0.5


@pytest.mark.parametrize("evaluator", [*OURS_ON_CPU, *PEERS], ids=lambda one: one.name)
def test_exact_evaluators_find_the_same_and_the_others_run(evaluator: Evaluator) -> None:
    data = Data.of(RECIPE)
    expected = OURS_ON_CPU[-1].prepare()(data)
    try:
        evaluate = evaluator.prepare()
    except ImportError as error:
        pytest.skip(f"not installed: {error.name}")
    found = evaluate(data).map
    if evaluator.computes == EXACT:
        wanted = expected.map if evaluator.excludes else expected.map_with_duplicates
        assert found == pytest.approx(wanted, abs=retrieval.SAME)
    else:
        assert found is None


def test_an_evaluator_that_finds_something_else_is_named() -> None:
    ours = Outcome(CPU, (1.0,), (1.0,), found=Found(0.5, 0.6))
    other = Evaluator("other", EXACT, lambda: lambda data: Found(), excludes=True)
    for value, n_lines in ((0.5, 0), (0.6, 1), (None, 0)):
        outcome = Outcome("other", (1.0,), (1.0,), found=Found(value))
        table = retrieval.Table(RECIPE, 0.5, (OURS[0], other), (ours, outcome))
        lines = retrieval.disagreements(table)
        assert len(lines) == n_lines
        assert all("other finds mAP 0.600000 where ours is 0.500000" in line for line in lines)


def test_a_row_that_takes_too_much_memory_says_so() -> None:
    # Room for libraries and threads, which fail in ways of their own where there is none, but not for the embeddings.
    recipe = Recipe(Size(60, 400, 1 << 26), noise=3.0)
    limits = Limits(repeats=1, seconds=60.0, memory_bytes=8 << 30)
    outcome = measure(OURS_ON_CPU[0], recipe, limits, block=256)
    assert outcome.failure == "out of memory"
    assert not outcome.seconds
