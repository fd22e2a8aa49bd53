"""What is read for scoring is what was checked: a file that changes in between is refused, never scored."""

from collections.abc import Callable
from pathlib import Path

import builders
import numpy as np
import pytest

from piq_bench.errors import EXIT_BAD_SUBMISSION, BadSubmission
from piq_bench.read import submission as submission_module
from piq_bench.read.submission import read_submission
from piq_bench.records import Benchmark, FloatArray
from piq_bench.retrieve import cpu, plain
from piq_bench.retrieve.contract import Engine
from piq_bench.scoring.score import score
from piq_bench.write.submission import write_distances, write_submission

Change = Callable[[FloatArray], object]
CHANGES: dict[str, Change] = {
    "zeros": lambda values: values.fill(0.0),
    "NaN": lambda values: values.fill(np.nan),
    "other values": lambda values: np.add(values, 1.0, out=values),
    "two rows swapped": lambda values: values.__setitem__([3, 4], values[[4, 3]]),
    "signs of two values": lambda values: np.negative(values[5, :2], out=values[5, :2]),
}
ENGINES: dict[str, Engine] = {"plain": plain.count_ranks, "compiled": cpu.count_ranks}


@pytest.fixture
def benchmark() -> Benchmark:
    return builders.benchmark(np.random.default_rng(1), builders.Size(n_query=20, n_gallery=60))


def overwritten(path: Path, change: Change) -> None:
    """Change the values of a .npy file in place, so that who has opened it sees the new ones."""
    values = np.load(path, mmap_mode="r+")
    change(values)
    values.flush()


def embedded(folder: Path, benchmark: Benchmark) -> Path:
    images = benchmark.images[benchmark.test_rows]
    rows = np.random.default_rng(2).standard_normal((images.size, 6)).astype(np.float32)
    write_submission(folder / "entry", images=images, embedding=rows, meta={"name": "entry"})
    return folder / "entry"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("change", CHANGES)
def test_an_embedding_that_changes_after_its_check_is_refused(
    change: str, engine: str, benchmark: Benchmark, tmp_path: Path
) -> None:
    entry = embedded(tmp_path, benchmark)
    submission = read_submission(entry, benchmark, partial=True)
    overwritten(entry / "embedding.npy", CHANGES[change])
    with pytest.raises(BadSubmission, match="changed while it was read") as refusal:
        score(benchmark, submission, engine=ENGINES[engine], n_resamples=0)
    assert refusal.value.exit_code == EXIT_BAD_SUBMISSION
    assert "embedding.npy" in str(refusal.value)


def test_a_matrix_that_changes_after_its_check_is_refused(benchmark: Benchmark, tmp_path: Path) -> None:
    test = benchmark.test_rows
    query, gallery = (benchmark.images[test[benchmark.split[test] == split]] for split in (1, 2))
    distance = np.random.default_rng(2).random((query.size, gallery.size), dtype=np.float32)
    write_distances(tmp_path / "entry", query=query, gallery=gallery, distance=distance, meta={"name": "entry"})
    submission = read_submission(tmp_path / "entry", benchmark, partial=True)
    overwritten(tmp_path / "entry/distance.npy", CHANGES["NaN"])
    with pytest.raises(BadSubmission, match="changed while it was read"):
        score(benchmark, submission, n_resamples=0)


def test_a_file_put_in_the_place_of_the_checked_one_is_not_read(benchmark: Benchmark, tmp_path: Path) -> None:
    entry = embedded(tmp_path, benchmark)
    submission = read_submission(entry, benchmark, partial=True)
    before = score(benchmark, submission, n_resamples=0)
    np.save(tmp_path / "other.npy", np.zeros((benchmark.test_rows.size, 6), dtype=np.float32))
    (tmp_path / "other.npy").replace(entry / "embedding.npy")
    after = score(benchmark, submission, n_resamples=0)
    assert before.reid is not None
    assert after.reid is not None
    assert before.reid.values == after.reid.values


@pytest.mark.parametrize("name", ["entry", "entry.npz"])
def test_the_stated_digest_is_that_of_the_checked_bytes(
    name: str, benchmark: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody replaces the file when it has been checked and before its digest is taken."""
    images = benchmark.images[benchmark.test_rows]
    embedding = np.random.default_rng(2).standard_normal((images.size, 6)).astype(np.float32)
    path = tmp_path / name
    write_submission(path, images=images, embedding=embedding, meta={"name": "entry"})
    digest = submission_module._file_digest

    def replaced(path: Path) -> tuple[str, int]:
        file = path if path.is_file() else path / "embedding.npy"
        (tmp_path / "other").write_bytes(file.read_bytes())
        (tmp_path / "other").replace(file)
        return digest(path)

    monkeypatch.setattr(submission_module, "_file_digest", replaced)
    with pytest.raises(BadSubmission, match="changed while it was read"):
        read_submission(path, benchmark, partial=True)
