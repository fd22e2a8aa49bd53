"""Times our re-id evaluation, the bare matrix product and, on request, other evaluators.

    python tests/benchmarks/retrieval.py [--size small|middle|full|all] [--map 0.07 0.3 0.9] [--peers] [--check] ...
    python tests/benchmarks/retrieval.py --growth [--size middle]

Prints one Markdown table per size and mAP, and a table of time against size with --growth. Install peers by
`pip install '.[bench]'`. `--check` fails if an evaluator that computes the same quantity finds another mAP.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from textwrap import fill

import numpy as np
from threadpoolctl import threadpool_info

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere, not installed

from benchmarks.alone import FLOOR, FLOOR_ON_GPU, Limits, Outcome, measure, measure_product
from benchmarks.evaluators import CPU, OURS, PRODUCTS, Evaluator
from benchmarks.peers import PEERS
from benchmarks.people import People, Recipe, Size, calibrated

from piq_bench.retrieve.engines import choose

SIZES = {
    "tiny": Size(60, 400, 32),  # for the test of this program
    "small": Size(1_000, 10_000),
    "middle": Size(3_368, 15_913),
    "full": Size(12_361, 86_006),
}
SAME = 1e-4  # tolerance of mAP: float32 similarities may swap neighbours
GIB = 2**30
WIDTH = 80  # characters per line


@dataclass(frozen=True)
class Table:
    """What was measured on one data set.

    Attributes:
        recipe: recipe of the data.
        target: requested mAP.
        evaluators: evaluator of each outcome, in the order of the rows; None for a bare product.
        outcomes: measurements of each row.
    """

    recipe: Recipe
    target: float
    evaluators: tuple[Evaluator | None, ...]
    outcomes: tuple[Outcome, ...]


def main() -> None:
    """Parse options, measure, print."""
    given = _options()
    limits = Limits(given.repeats, given.time_limit, int(given.memory_limit * GIB))
    print(machine(), "", sep="\n", flush=True)
    sizes = [size for name, size in SIZES.items() if given.size == name or (given.size == "all" and name != "tiny")]
    if given.dimension:
        sizes = [replace(size, dimension=given.dimension) for size in sizes]
    chosen = [one for one in (*OURS, *(PEERS if given.peers else ())) if _wanted(one.name, given.rows)]
    products = [name for name in PRODUCTS if name == FLOOR or _has_torch(name)]
    found: dict[str, object] = {"machine": machine(), "tables": [], "growth": []}
    tables = []
    for size in sizes:
        for target in given.map:
            if given.growth:
                rows = growth(size, target, limits, half=given.half)
                print(growth_as_markdown(rows), "", sep="\n", flush=True)
                found["growth"] = [{"size": asdict(at), **asdict(outcome)} for at, outcome in rows]
                continue
            table = compare(_recipe(size, target, half=given.half), target, chosen, products, limits)
            print(as_markdown(table), "", sep="\n", flush=True)
            tables.append(table)
    found["tables"] = [_as_object(table) for table in tables]
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    wrong = [line for table in tables for line in disagreements(table)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if given.check and wrong:
        sys.exit(1)


def compare(
    recipe: Recipe, target: float, chosen: Sequence[Evaluator], products: Sequence[str], limits: Limits
) -> Table:
    """Measure the bare products, then every evaluator, each in a process of its own."""
    outcomes = [_shown(measure_product(name, recipe, limits)) for name in products]
    block = {outcome.name: outcome.block for outcome in outcomes if outcome.block}
    for evaluator in chosen:
        floor = FLOOR_ON_GPU if evaluator.on_gpu else FLOOR
        outcomes.append(_shown(measure(evaluator, recipe, limits, block.get(floor, block[FLOOR]))))
    floors = {outcome.name: outcome.seconds for outcome in outcomes}[FLOOR]
    outcomes[: len(products)] = [replace(one, floor_seconds=floors) for one in outcomes[: len(products)]]
    return Table(recipe, target, (*(None for _ in products), *chosen), tuple(outcomes))


def growth(size: Size, target: float, limits: Limits, *, half: bool) -> list[tuple[Size, Outcome]]:
    """Measure our engine at `size`, and with 1/2 and 1/4 of its queries, gallery or dimension, at the same mAP."""
    (engine,) = (one for one in OURS if one.name == CPU)
    rows = []
    for at in (size, *(_part(size, what, share) for what in vars(size) for share in (2, 4))):
        rows.append((at, _shown(measure(engine, _recipe(at, target, half=half), limits, block=512))))
    return rows


def disagreements(table: Table) -> list[str]:
    """A line for each evaluator that computes the same quantity as ours but finds another value."""
    ours = next((one.found for one in table.outcomes if one.name == CPU and one.seconds), None)
    lines = []
    for evaluator, outcome in zip(table.evaluators, table.outcomes, strict=True):
        if ours is None or evaluator is None or evaluator.computes != "exact" or outcome.found.map is None:
            continue
        expected = ours.map if evaluator.excludes else ours.map_with_duplicates
        if expected is None or abs(outcome.found.map - expected) > SAME:
            lines.append(f"{evaluator.name} finds mAP {outcome.found.map:.6f} where ours is {expected:.6f}")
    return lines


def as_markdown(table: Table) -> str:
    """A table with one row per outcome, and remarks below."""
    kind = "float16" if table.recipe.half else "float32"
    title = f"{table.recipe.size} {kind}, mAP {table.target:g}"
    lines = [f"| {title} | s | floor s | x floor | GiB | mAP | AP |", "|---|--:|--:|--:|--:|--:|---|"]
    remarks = []
    for evaluator, outcome in zip(table.evaluators, table.outcomes, strict=True):
        what = f"block {outcome.block}" if evaluator is None else evaluator.computes
        mark = "" if evaluator is None or evaluator.excludes or outcome.found.map is None else " *"
        if outcome.failure is None and outcome.ratio is not None:
            cells = [f"{median(outcome.seconds):.3g}", f"{median(outcome.floor_seconds):.3g}", f"{outcome.ratio:.2f}"]
            cells += [f"{outcome.peak_bytes / GIB:.2f}", _rate(outcome.found.map) + mark, what]
        else:
            cells = ["", "", "", "", "", outcome.failure or "no time"]
        lines.append(f"| {outcome.name} | {' | '.join(cells)} |")
        if evaluator is not None and evaluator.remark:
            remarks.append(f"* {evaluator.name}: {evaluator.remark}")
    with_duplicates = next((one.found.map_with_duplicates for one in table.outcomes if one.name == CPU), None)
    if with_duplicates is not None:
        remarks.insert(0, f"* near-duplicates left in: exact evaluators should find {_rate(with_duplicates)}")
    lines += ["", "s: median; floor s: of the bare product in the same process; GiB: host memory above the embeddings"]
    return "\n".join([*lines, *(fill(remark, WIDTH, subsequent_indent="  ") for remark in remarks)])


def growth_as_markdown(rows: Sequence[tuple[Size, Outcome]]) -> str:
    """A table with one row per size, and the exponents of a power law fitted to the times."""
    lines = ["| queries | gallery | D | s | floor s | x floor |", "|--:|--:|--:|--:|--:|--:|"]
    for size, outcome in rows:
        what = f"| {size.n_queries:,} | {size.n_gallery:,} | {size.dimension:,} |"
        if outcome.failure or outcome.ratio is None:
            lines.append(f"{what} {outcome.failure} | | |")
        else:
            times = f"{median(outcome.seconds):.3g} | {median(outcome.floor_seconds):.3g}"
            lines.append(f"{what} {times} | {outcome.ratio:.2f} |")
    exponents = [
        f"{label}^{_exponent(rows, what):.2f} ({_exponent(rows, what, of_floor=True):.2f})"
        for what, label in (("n_queries", "Q"), ("n_gallery", "G"), ("dimension", "D"))
    ]
    return "\n".join([*lines, "", f"time grows like {', '.join(exponents)}; in brackets: the bare product"])


def machine() -> str:
    """The machine and the software versions, in one or two lines."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    libraries = [f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}" for pool in blas]
    threads = max((int(pool["num_threads"]) for pool in blas), default=1)
    parts = [
        _processor(),
        f"{cores} cores",
        f"python {platform.python_version()}",
        f"numpy {np.__version__}",
        f"BLAS {', '.join(libraries) or 'unknown'} ({threads} threads)",
        *(f"{name} {_version(name)}" for name in ("numba", "torch", "faiss-cpu", "faiss-gpu") if _version(name)),
    ]
    return fill("; ".join(" ".join(part.split()) for part in parts), WIDTH)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*SIZES, "all"], default="small", metavar="small|middle|full|all")
    parser.add_argument("--dimension", type=int, help="values per embedding instead of 512")
    parser.add_argument("--map", type=float, nargs="+", default=[0.3], help="mAP of the data to make")
    parser.add_argument("--half", action="store_true", help="float16 embeddings instead of float32")
    parser.add_argument("--peers", action="store_true", help="measure other evaluators too")
    parser.add_argument("--rows", nargs="+", help="only evaluators whose name contains one of these")
    parser.add_argument(
        "--repeats", type=int, default=3, help="evaluations of a row at most; the table shows their median"
    )
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for all evaluations of a row")
    parser.add_argument("--memory-limit", type=float, default=19.0, help="GiB of address space for a row")
    parser.add_argument("--growth", action="store_true", help="measure time against queries, gallery and dimension")
    parser.add_argument("--check", action="store_true", help="exit 1 if exact evaluators disagree")
    parser.add_argument("--json", type=Path, help="write measurements to this file")
    return parser.parse_args()


def _recipe(size: Size, target: float, *, half: bool) -> Recipe:
    print(f"{size}, mAP {target:g}: looking for the noise", file=sys.stderr, flush=True)
    engine, _ = choose("cpu", size.n_queries * size.n_gallery)
    return Recipe(size, calibrated(People.of(size), target, engine), half)


def _shown(outcome: Outcome) -> Outcome:
    """Print an outcome on stderr and return it."""
    if outcome.failure or outcome.ratio is None:
        text = outcome.failure or "nothing"
    else:
        text = f"{median(outcome.seconds):.3f} s, x {outcome.ratio:.3f}, {outcome.peak_bytes / GIB:.2f} GiB"
    print(f"  {outcome.name}: {text}", file=sys.stderr, flush=True)
    return outcome


def _as_object(table: Table) -> dict[str, object]:
    rows = [{**asdict(one), "ratio": one.ratio} for one in table.outcomes]
    return {**asdict(table.recipe), "target": table.target, "rows": rows}


def _part(size: Size, what: str, share: int) -> Size:
    return Size(**{**vars(size), what: vars(size)[what] // share})


def _exponent(rows: Iterable[tuple[Size, Outcome]], what: str, *, of_floor: bool = False) -> float:
    """Slope of log time over log size, over the sizes that differ from the first in `what` alone."""
    done = [(size, one.floor_seconds if of_floor else one.seconds) for size, one in rows if one.ratio is not None]
    along = [row for row in done if all(vars(row[0])[k] == v for k, v in vars(done[0][0]).items() if k != what)]
    if len(along) < 2:
        return float("nan")
    return float(np.polyfit([np.log(vars(at)[what]) for at, _ in along], [np.log(median(s)) for _, s in along], 1)[0])


def _wanted(name: str, rows: Sequence[str] | None) -> bool:
    return rows is None or any(row in name for row in rows)


def _has_torch(name: str) -> bool:
    """Whether a bare product can be tried: all but numpy's need torch, and one needs an NVIDIA driver."""
    if find_spec("torch") is None:
        return False
    return name != FLOOR_ON_GPU or Path("/dev/nvidiactl").exists()


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return f"{name} ({next((flag for flag in ('avx512f', 'avx2') if flag in flags), 'no avx2')})"


if __name__ == "__main__":
    main()
