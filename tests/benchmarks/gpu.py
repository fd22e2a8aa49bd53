"""Checks and measures everything that needs a GPU, in less than 8 minutes, and prints one Markdown table.

    python tests/benchmarks/gpu.py                       # on the first GPU; without one, it exits with 2
    python tests/benchmarks/gpu.py --device cpu --small  # the same program at tiny sizes on torch's CPU device

Each part runs in a process of its own and has a time limit; a part that fails, or crashes, is a row of the table. The
rows are printed one by one, so that an interrupted run leaves those that are done. Linux and macOS.
"""

import argparse
import io
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere, not installed

from benchmarks.evaluators import Data
from benchmarks.group_hashing import make_images
from benchmarks.people import People, Recipe, Size, calibrated
from engine_builders import EMBEDDINGS, Distance, engine_input, expected, random_half, random_rows
from PIL import Image

from piq_bench.errors import first_few, printable
from piq_bench.group.hashing import hash_images
from piq_bench.records import IntArray
from piq_bench.retrieve import plain
from piq_bench.retrieve.contract import Counts
from piq_bench.scoring.bootstrap import clusters_of
from piq_bench.scoring.reid import score_reid

DISTANCES: tuple[Distance, ...] = ("cosine", "euclidean")
TOTAL_SECONDS = 460.0  # of the whole run
STARTING_SECONDS = 60.0  # of the process of a part; the first one imports torch
ALWAYS_SECONDS = 5.0  # a part that begins late gets at least this long
FULL, TINY = Size(12_361, 86_006), Size(60, 400, 32)
LARGER, LARGER_TINY = (1_000, 10_000, 512), (40, 300, 16)  # queries, gallery, dimension
MAP = 0.3
BLOCK = 2048  # queries per bare product
N_PICTURES, N_PICTURES_TINY = 1_000, 20
LONGEST_REASON = 160
NO_DEVICE = 2  # exit code
FAILED, STARTED = "failed: ", "started"
PRELOADED = ["numpy", "benchmarks.preloaded"]


class Row(NamedTuple):
    """One row of the table: what was done, the result, and what to compare it with."""

    part: str
    result: str
    remark: str = ""


class Where(NamedTuple):
    """A device, by its name in torch, and whether all sizes are tiny."""

    device: str
    small: bool


class Part(NamedTuple):
    """A part of the run."""

    name: str
    seconds: float
    run: Callable[[Where], Iterator[Row]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts and print the table; the exit code is 0, 1 if a part failed, or 2 without a device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="name of a torch device")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the program itself")
    given = parser.parse_args(arguments)
    where = Where(given.device, given.small)
    end = time.monotonic() + TOTAL_SECONDS
    failed = False
    for number, part in enumerate(PARTS):
        for row, is_failure in finished(part, where, max(ALWAYS_SECONDS, round(end - time.monotonic()))):
            if number == 0 and is_failure:
                print(f"{where.device} cannot be used here: {row.result.removeprefix(FAILED)}", file=sys.stderr)
                return NO_DEVICE
            if number == 0:
                print("| part | result | compare with |\n|---|---|---|")
            failed |= is_failure
            print(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |", flush=True)
    return int(failed)


def finished(part: Part, where: Where, most_seconds: float) -> Iterator[tuple[Row, bool]]:
    """Run a part in a process of its own; yield its rows as they come, and a last one if it fails."""
    seconds = min(part.seconds, most_seconds)
    context = get_context("forkserver")  # a process that never used a GPU forks: torch is imported once for all parts
    context.set_forkserver_preload(PRELOADED)
    reader, writer = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        child = context.Process(target=_child, args=(writer, output, part.run, where), daemon=False)
        child.start()
        writer.close()
        end, failure = time.monotonic() + STARTING_SECONDS, None
        try:
            while failure is None:
                if not reader.poll(max(0.0, end - time.monotonic())):
                    failure = f"stopped after {seconds:g} s"
                    break
                message = reader.recv()
                if message is None:
                    break
                if message == STARTED:
                    end = time.monotonic() + seconds
                elif isinstance(message, Row):
                    yield message, False
                else:
                    failure = message
        except (EOFError, OSError):
            child.join(ALWAYS_SECONDS)
            failure = _cause(child.exitcode, output)
        finally:
            with suppress(OSError):
                os.killpg(child.pid or 0, signal.SIGKILL)  # with any process that it has started
            child.kill()
            child.join()
    if failure is not None:
        yield Row(part.name, FAILED + failure[:LONGEST_REASON]), True


def _child(writer: Connection, output: Path, run: Callable[[Where], Iterator[Row]], where: Where) -> None:
    """Send the rows of a part, then None, or why it failed."""
    with suppress(OSError):
        os.setsid()
    with output.open("wb", buffering=0) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    writer.send(STARTED)
    if where.small and (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)  # more of them would wait for each other
    try:
        for row in run(where):
            writer.send(row)
    except Exception as error:  # whatever it is, the other parts go on
        text = (str(error).strip().splitlines() or [""])[0]
        writer.send(f"{type(error).__name__}: {printable(text)}")
    else:
        writer.send(None)


def _cause(exit_code: int | None, output: Path) -> str:
    """How a process ended that did not say why: its signal or exit code, and the last line that it printed."""
    name = signal.Signals(-exit_code).name if exit_code is not None and exit_code < 0 else f"exit code {exit_code}"
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() if output.exists() else []
    return f"{name} {printable(lines[-1])}" if lines else name


def machine(where: Where) -> Iterator[Row]:
    """The device and the versions.

    Raises:
        RuntimeError: if torch cannot compute on the device.
    """
    torch = import_module("torch")
    device = torch.device(where.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} sees no GPU; --device cpu --small tries the program without one")
    torch.zeros(1, device=device).add_(1).item()
    name = where.device
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        name = f"{card.name}, compute capability {card.major}.{card.minor}, {card.total_memory / 2**30:.0f} GiB"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Row("device", name, f"python {platform.python_version()}, torch {torch.__version__}, {cores} cores")


def correctness(where: Where, *, faiss: bool) -> Iterator[Row]:
    """Counts and neighbours of the GPU engine against the definition, and larger ones against the plain engine."""
    gpu = import_module("piq_bench.retrieve.gpu")
    by = "faiss" if faiss else "torch"
    if faiss:
        products = import_module("piq_bench.retrieve.gpu_products")
        module, reason = products.find_faiss()
        if module is None or not where.device.startswith("cuda"):
            yield Row("faiss", f"not used: {reason or 'it needs a GPU'}", "torch computes the similarities instead")
            return
        yield Row("faiss", f"version {module.__version__} works", "probed in a process of its own")
    wrong, n_cases = [], 0
    for make in EMBEDDINGS[::3] if where.small else EMBEDDINGS:
        for distance in DISTANCES:
            for dimension in (3,) if where.small else (1, 3, 64, 512):
                given = engine_input(np.random.default_rng(dimension), make, distance, dimension=dimension)
                n_cases += 1
                if _lists(gpu.count_ranks(*given, devices=[where.device], faiss=faiss)) != expected(given):
                    wrong.append(f"{make.__name__}, {distance}, {dimension}")
    _require_none(wrong, n_cases)
    yield Row(f"counts by {by}", f"{n_cases} of {n_cases} equal", "the definition, pair by pair")

    n_queries, n_gallery, dimension = LARGER_TINY if where.small else LARGER
    for make in (random_rows, random_half):
        for distance in DISTANCES:
            given = engine_input(
                np.random.default_rng(0),
                make,
                distance,
                dimension=dimension,
                n_queries=n_queries,
                n_gallery=n_gallery,
                most_points=60,
            )
            if _lists(gpu.count_ranks(*given, devices=[where.device], faiss=faiss)) != _lists(
                plain.count_ranks(*given)
            ):
                wrong.append(f"{make.__name__}, {distance}")
    _require_none(wrong, 2 * len(DISTANCES))
    what = f"{n_queries:,} x {n_gallery:,} x {dimension}, float32 and float16, both distances"
    yield Row(f"larger counts by {by}", "4 of 4 equal", f"the plain engine, {what}")

    first, true = _neighbours(where, n_queries, n_gallery, dimension, faiss)
    if first != true:
        raise RuntimeError("the neighbours differ from a full sort")
    yield Row(f"neighbours by {by}", f"{len(first):,} lists equal", "a full sort in float64")


def _neighbours(
    where: Where, n_queries: int, n_gallery: int, dimension: int, faiss: bool
) -> tuple[list[list[int]], list[list[int]]]:
    """The 10 nearest by the search on the device, and by a full sort; values of few bits make every sum exact."""
    search = import_module("piq_bench.retrieve.gpu_neighbours").GpuSearch(where.device, faiss=faiss)
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(-8, 9, (n, dimension)).astype(np.float32) for n in (n_queries, n_gallery))
    values, images = search(queries, gallery, 10)
    products = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    true = -np.sort(-products, axis=1)[:, :10]
    at = np.take_along_axis(products, images, axis=1)
    distinct = all(len({*row}) == row.size for row in images)
    return (values if distinct else -values).tolist(), true.tolist() if np.array_equal(at, values) else []


def _lists(counts: Counts) -> tuple[list[int], list[int]]:
    return counts.above.tolist(), counts.tied.tolist()


def _require_none(wrong: Sequence[str], n_cases: int) -> None:
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {n_cases} counts are wrong: {first_few(wrong, len(wrong))}")


def retrieval(where: Where, *, half: bool) -> Iterator[Row]:
    """The whole evaluation of re-id, and the bare product in float32, tf32 and float16, at the paper's size."""
    torch = import_module("torch")
    gpu = import_module("piq_bench.retrieve.gpu")
    size = TINY if where.small else FULL
    engine = partial(gpu.count_ranks, devices=[where.device])
    noise = 3.0 if where.small else calibrated(People.of(size), MAP, engine)
    data = Data.of(Recipe(size, noise, half))
    kind = "float16" if half else "float32"
    device = torch.device(where.device)
    copying, (queries, gallery) = _timed(
        lambda: [torch.from_numpy(values).to(device) for values in (data.queries, data.gallery)], device
    )
    n_bytes = data.queries.nbytes + data.gallery.nbytes
    yield Row("copy to the device", f"{copying:.3g} s", f"{n_bytes / 1e9:.2g} GB, {n_bytes / 1e9 / copying:.2g} GB/s")
    table = torch.empty((BLOCK, size.n_gallery), device=device)
    taken = {}
    for name in ("float32", "tf32", "float16"):
        own = [values.half() if name == "float16" else values for values in (queries, gallery)]
        out = table.half() if name == "float16" else table
        torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")

        def product(own: Sequence[Any] = own, out: Any = out) -> None:  # noqa: ANN401
            for rows in torch.split(own[0], BLOCK):
                torch.mm(rows, own[1].T, out=out[: rows.shape[0]])

        product()
        taken[name] = median(_timed(product, device)[0] for _ in range(3))
        operations = 2 * size.n_queries * size.n_gallery * size.dimension
        yield Row(f"bare product, {name}", f"{taken[name]:.3g} s", f"{operations / taken[name] / 1e12:.3g} TFLOP/s")
    del queries, gallery, own, out, table
    torch.set_float32_matmul_precision("highest")
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)

    counting: list[float] = []

    def timed_engine(*given: Any, **options: Any) -> Counts:  # noqa: ANN401
        counts: Counts
        seconds, counts = _timed(lambda: engine(*given, **options), device)
        counting.append(seconds)
        return counts

    def evaluate() -> float:
        options: dict[str, Any] = {"ap": "non-interpolated", "advance": lambda steps: None}
        _, score, _ = score_reid(data.benchmark, data.submission, clusters_of(data.benchmark), timed_engine, **options)
        return score.values["map"] or 0.0

    runs = [_timed(evaluate, device) for _ in range(2)]
    seconds, found = runs[-1]
    floors = ", ".join(f"{seconds / floor:.2f} x {name}" for name, floor in taken.items())
    memory = f"; {torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB" if device.type == "cuda" else ""
    yield Row(f"evaluation, {size}, {kind}, mAP {found:.3f}", f"{seconds:.3g} s", f"first {runs[0][0]:.3g} s; {floors}")
    yield Row(f"its counting, {kind}", f"{counting[-1]:.3g} s", f"{counting[-1] / copying:.2f} x the copying{memory}")


def hashing(where: Where) -> Iterator[Row]:
    """Pictures are decoded and hashed by the processor; a GPU has no part in it."""
    n_pictures = N_PICTURES_TINY if where.small else N_PICTURES
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_images(folder, n_pictures)
        images = sorted(path.name for path in folder.iterdir())
        cpu = "cpu"
        decoding, _ = _timed(lambda: [_decoded(folder / image) for image in images], cpu)
        alone, one = _timed(lambda: hash_images(images, folder, workers=1), cpu)
        if not one.readable.all():
            raise RuntimeError("pictures could not be hashed")
    of_decoding = f"{alone / decoding:.2f} x decoding ({decoding / n_pictures * 1e6:.0f} us)"
    yield Row("hashing on one core of the host", f"{alone / n_pictures * 1e6:.0f} us a picture", of_decoding)


def _decoded(path: Path) -> IntArray:
    with Image.open(io.BytesIO(path.read_bytes())) as opened:
        return np.asarray(opened)


def model(where: Where, *, backbone: str, compiled: bool) -> Iterator[Row]:
    """Training and inference of the reference model, as `python -m reference_model bench` measures them."""
    torch = import_module("torch")
    if compiled and not where.device.startswith("cuda"):
        yield Row(f"model {backbone}, compiled", "left out", "compiling for a CPU takes longer than it saves")
        return
    config = import_module("reference_model.config")
    configuration = config.PRESETS["fss"]
    if where.small:
        sampling = replace(configuration.sampling, batch_size=8)
        tiny = "tiny" if backbone == "w32" else "tiny-r50"
        configuration = replace(config.tiny(configuration), backbone=tiny, size=(32, 32), sampling=sampling)
    else:
        configuration = replace(configuration, backbone=backbone, compiled=compiled, graphs=compiled)
    bench = import_module("reference_model.bench").bench
    size = {"n_steps": 1, "inference_batch": 8} if where.small else {"n_steps": 20}
    found = bench(configuration, torch.device(where.device), **size)
    how = "compiled" if found["compiled"] else "eager"
    for kind in ("training", "inference"):
        goals = found["expected_on_one_h200"].get(kind, {})
        wanted = ", ".join(f"{level} {value:,}" for level, value in goals.items())
        speed = f"{found[f'{kind}_images_per_second']:,.0f} images/s"
        memory = f"{found['memory_mib']:,} MiB, {found['precision']}"
        yield Row(f"{kind}, {configuration.backbone}, {how}", speed, "; ".join(filter(None, (memory, wanted))))


def _timed(work: Callable[[], Any], device: Any) -> tuple[float, Any]:  # noqa: ANN401
    """The seconds that work takes from an idle device to an idle device, and its result."""
    on_gpu = str(device).startswith("cuda")
    synchronize = import_module("torch").cuda.synchronize if on_gpu else None
    if synchronize is not None:
        synchronize(device)
    start = time.perf_counter()
    result = work()
    if synchronize is not None:
        synchronize(device)
    return time.perf_counter() - start, result


PARTS = (
    Part("device", 45, machine),
    Part("correctness, torch", 60, partial(correctness, faiss=False)),
    Part("correctness, faiss", 60, partial(correctness, faiss=True)),
    Part("retrieval, float32", 60, partial(retrieval, half=False)),
    Part("retrieval, float16", 50, partial(retrieval, half=True)),
    Part("hashing", 20, hashing),
    Part("model w32, eager", 60, partial(model, backbone="w32", compiled=False)),
    Part("model r50, eager", 30, partial(model, backbone="r50", compiled=False)),
    Part("model r50, compiled", 90, partial(model, backbone="r50", compiled=True)),
    Part("model w32, compiled", 180, partial(model, backbone="w32", compiled=True)),
)


if __name__ == "__main__":
    sys.exit(main())
