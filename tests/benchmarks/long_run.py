"""Scores many submissions in one process and says whether memory, open files and temporary files stay flat. Linux.

    python tests/benchmarks/long_run.py [--submissions 500]

Every submission is another one, of a synthetic data set with pictures. In turns they are arrays in memory, .npz and
.parquet files, folders, distance matrices, and entries that are graded with a ledger; files are scored by the commands
themselves, with a JSON file and an HTML page. Flat means: beyond the first 100, memory grows by less than SLOPE a
submission, and nothing else is more than it was.
"""

import argparse
import gc
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere, not installed
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from board_builders import METADATA

import piq_bench
from piq_bench.cli import piq
from piq_bench.records import CLASSIFICATION, GALLERY, QUERY, Benchmark
from piq_bench.write.submission import write_distances, write_submission

N_IMAGES = 120  # of the data set
DIMENSION = 32
RESAMPLES = 100
WARM_UP = 100  # submissions until every kind has filled its caches
EVERY = 50  # submissions between two lines of the table
SLOPE = 4096  # bytes of memory a submission; its embedding alone takes four times as many

OUTPUT = io.StringIO()  # of all commands: click keeps every stream that it has written to

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class State:
    """What this process holds.

    Attributes:
        memory: resident bytes.
        objects: Python objects that the garbage collector tracks.
        files: open files.
        threads: its threads.
        children: processes that it started and that are not waited for.
        temporary: files and folders in the folder for temporary files, and hidden ones beside outputs.
    """

    memory: int
    objects: int
    files: int
    threads: int
    children: int
    temporary: int


def state(place: Path) -> State:
    """The state of this process now, after a collection of garbage."""
    gc.collect()
    tasks = list(Path("/proc/self/task").iterdir())
    return State(
        memory=int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        objects=len(gc.get_objects()),
        files=len(list(Path("/proc/self/fd").iterdir())),
        threads=len(tasks),
        children=sum(len((task / "children").read_text(encoding="ascii").split()) for task in tasks),
        temporary=len(list((place / "temporary").rglob("*"))) + len(list((place / "work").rglob(".*"))),
    )


def asked(benchmark: Benchmark) -> np.ndarray:
    """The ids of the images that a submission answers for."""
    ids: np.ndarray = np.asarray(benchmark.images)[np.isin(benchmark.split, (QUERY, GALLERY))]
    return ids


def predictions(benchmark: Benchmark, seed: int) -> Arrays:
    """Random scores for every label of every task, by task."""
    rng = np.random.default_rng(seed)
    n_images = asked(benchmark).size
    tasks = [task for task in benchmark.tasks if task.kind == CLASSIFICATION]
    return {task.name: rng.random((n_images, len(task.labels)), dtype=np.float32) for task in tasks}


def embedding(benchmark: Benchmark, seed: int) -> np.ndarray:
    """A random feature of each image, shape (n_images, DIMENSION)."""
    return np.random.default_rng(seed).standard_normal((asked(benchmark).size, DIMENSION), dtype=np.float32)


def write(path: Path, benchmark: Benchmark, seed: int) -> None:
    """Write a random submission."""
    write_submission(
        path,
        images=asked(benchmark),
        embedding=embedding(benchmark, seed),
        predictions=predictions(benchmark, seed),
        meta={"name": f"number {seed}"},
    )


def command(*words: object) -> None:
    """Run a command of piq in this process, without its output."""
    OUTPUT.seek(0)
    OUTPUT.truncate()
    try:
        with redirect_stdout(OUTPUT), redirect_stderr(OUTPUT):
            piq.main([str(word) for word in words], prog_name="piq", standalone_mode=False)
    except SystemExit as end:
        raise RuntimeError(f"piq {words[0]} ended with {end.code}: {OUTPUT.getvalue()}") from None


def in_memory(benchmark: Benchmark, data: Path, work: Path, seed: int) -> None:
    """Score arrays, and look at the result in every way that a notebook does."""
    columns = {"image": asked(benchmark), **predictions(benchmark, seed)}
    found = piq_bench.score(columns, benchmark, embedding=embedding(benchmark, seed), n_resamples=RESAMPLES)
    for look in (found.to_dict, found.summary, found.attributes, found.labels, found._repr_html_, found.__str__):
        look()


def of_file(suffix: str) -> Callable[[Benchmark, Path, Path, int], None]:
    """Score a file, or a folder without a suffix, by the command; with a JSON file and an HTML page."""

    def score(benchmark: Benchmark, data: Path, work: Path, seed: int) -> None:
        path = work / f"submission{suffix}"
        write(path, benchmark, seed)
        command(*score_words(path, data), "--json", work / "score.json", "--html", work / "score.html")

    return score


def of_matrix(benchmark: Benchmark, data: Path, work: Path, seed: int) -> None:
    """Score a distance matrix without other tasks."""
    ids = np.asarray(benchmark.images)
    query, gallery = (ids[benchmark.split == split] for split in (QUERY, GALLERY))
    distance = np.random.default_rng(seed).random((query.size, gallery.size), dtype=np.float32)
    write_distances(work / "submission.npz", query=query, gallery=gallery, distance=distance)
    command(*score_words(work / "submission.npz", data), "--partial", "--json", work / "score.json")


def graded(benchmark: Benchmark, data: Path, work: Path, seed: int) -> None:
    """Grade an entry beside another one, with its result and a ledger, then write the leaderboard."""
    for name, number in (("mine", 2 * seed), ("other", 2 * seed + 1)):
        folder = work / "entries" / name
        folder.mkdir(parents=True)
        write(folder / "submission.npz", benchmark, number)
        (folder / "metadata.toml").write_text(METADATA.format(name=name, external="false"), encoding="utf-8")
    for name in ("mine", "other"):
        command("grade", work / "entries" / name, "--dataset", data, "--bootstrap", RESAMPLES, "--write")
    command("board", work / "entries", "--dataset", data)


def score_words(path: Path, data: Path) -> Sequence[object]:
    """The words of a command that scores a file."""
    return ("score", path, "--dataset", data, "--bootstrap", RESAMPLES)


KINDS: dict[str, Callable[[Benchmark, Path, Path, int], None]] = {
    "arrays": in_memory,
    ".npz": of_file(".npz"),
    ".parquet": of_file(".parquet"),
    "folder": of_file(""),
    "matrix": of_matrix,
    "entry": graded,
}


def growth(states: Sequence[State]) -> dict[str, float]:
    """How much each quantity grows a submission, by a straight line through its states."""
    numbers = np.array([astuple(one) for one in states], dtype=np.float64)  # (n_states, n_quantities)
    slopes = np.polyfit(np.arange(len(states)), numbers, 1)[0]
    return dict(zip([field.name for field in fields(State)], slopes.tolist(), strict=True))


def faults(states: Sequence[State]) -> list[str]:
    """What is not flat over these states; they begin when every kind has been scored several times."""
    slope = growth(states)["memory"]
    found = [f"memory grows by {slope:,.0f} bytes a submission"] if slope > SLOPE else []
    for name in ("files", "threads", "children", "temporary"):
        before, after = max(getattr(one, name) for one in states[: len(KINDS)]), getattr(states[-1], name)
        if after > before:
            found.append(f"{name}: {before} after the first submissions, {after} at the end")
    return found


def run(n_submissions: int, place: Path) -> list[State]:
    """Score submissions and print a line of the table after every few; the states after each."""
    data, work = place / "data", place / "work"
    (place / "temporary").mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(place / "temporary")
    command("demo", data, "--images", N_IMAGES, "--workers", 1)
    benchmark = piq_bench.read_benchmark(data)
    print("| submissions | seconds | memory, MB | Python objects | open files | threads | children | temporary files |")
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    states: list[State] = []
    began = time.monotonic()
    for number in range(n_submissions):
        work.mkdir()
        kind = list(KINDS)[number % len(KINDS)]
        KINDS[kind](benchmark, data, work, number)
        states.append(state(place))
        shutil.rmtree(work)
        if (number + 1) % EVERY == 0 or number + 1 == n_submissions:
            memory, objects, *others = astuple(states[-1])
            row = [number + 1, f"{time.monotonic() - began:.0f}", f"{memory / 1e6:.1f}", f"{objects:,}", *others]
            print(f"| {' | '.join(map(str, row))} |", flush=True)
    return states


def main() -> None:
    """Run, and exit with 1 if something grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        states = run(options.submissions, Path(place))
    after = states[min(WARM_UP, len(states) // 2) :]
    slopes = growth(after)
    print(
        f"\nMemory after the first {len(states) - len(after)}: {slopes['memory']:+,.0f} bytes a submission, "
        f"Python objects: {slopes['objects']:+.2f}."
    )
    found = faults(after)
    print("\n".join(found) or "Flat.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
