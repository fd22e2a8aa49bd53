import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from folders import shared_data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from piq_bench.baseline.colour_shape import answer, nearest_mean
from piq_bench.cli import load_command
from piq_bench.errors import BadDataset
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.records import Task
from piq_bench.scoring.score import score

ENTRY = Path(__file__).resolve().parents[2] / "submissions" / "colour-shape" / "submission.npz"

BENCHMARK = """\
schema = "piq-bench/benchmark/1"
name = "stripes"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.lines]
aspect = "shape"
labels = ["upright", "level"]
[tasks.mark]
aspect = "shape"
labels = ["top", "bottom"]
multi_label = true
[tasks.never]
aspect = "shape"
labels = ["a", "b"]
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Pictures with upright or level stripes, some with a chequered end; one colour per person."""
    folder = tmp_path / "stripes"
    (folder / "images").mkdir(parents=True)
    (folder / "benchmark.toml").write_text(BENCHMARK, encoding="utf-8")
    lines = ["image,split,identity,lines,mark,never"]
    for number in range(32):
        person, level, mark = number % 8, number // 2 % 2, number // 8 % 4
        split = "train" if person < 4 else "query" if number % 16 < 8 else "gallery"
        pixels = np.tile(np.repeat([0, 200], 4), (64, 8))
        pixels = pixels.T.copy() if level else pixels.copy()
        noise = np.random.default_rng(number).integers(0, 2, (16, 64)) * 255
        if mark & 1:
            pixels[:16] = noise
        if mark & 2:
            pixels[-16:] = noise
        colour = np.stack([pixels // (1 + person), pixels, pixels // 2], axis=2).astype(np.uint8)
        Image.fromarray(colour).save(folder / "images" / f"{number:02}.png")
        marks = "|".join(name for bit, name in ((1, "top"), (2, "bottom")) if mark & bit) or "-"
        lines.append(f"{number:02}.png,{split},p{person},{('upright', 'level')[level]},{marks},")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_tasks_with_training_labels_are_answered_and_others_left_out(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "entry.npz"
    result = CliRunner().invoke(load_command("baseline"), [str(dataset), "--out", str(out), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "'never'" in result.stderr and "--partial" in result.stdout
    benchmark = read_benchmark(dataset)
    scored = score(benchmark, read_submission(out, benchmark, partial=True), n_resamples=0)
    assert scored.f1["lines"] == 1.0
    assert (scored.f1["mark"] or 0) > 0.9
    assert scored.reid is not None
    assert (scored.reid.values["macro_map"] or 0) > (scored.reid.chance["macro_map"] or 1)


def test_the_number_of_processes_does_not_matter(dataset: Path) -> None:
    benchmark = read_benchmark(dataset)
    one, two = answer(benchmark, workers=1), answer(benchmark, workers=2)
    assert one.embedding is not None and two.embedding is not None
    assert one.embedding.tobytes() == two.embedding.tobytes()
    for task, values in one.predictions.items():
        assert values.tolist() == two.predictions[task].tolist()


def test_labels_of_test_images_are_not_used(dataset: Path) -> None:
    plain = answer(read_benchmark(dataset), workers=1)
    text = (dataset / "annotations.csv").read_text(encoding="utf-8").splitlines()
    swap = {"upright": "level", "level": "upright"}
    other = [text[0]]
    for line in text[1:]:
        cells = line.split(",")
        cells[3] = cells[3] if cells[1] == "train" else swap[cells[3]]
        other.append(",".join(cells))
    (dataset / "annotations.csv").write_text("\n".join(other) + "\n", encoding="utf-8")
    again = answer(read_benchmark(dataset), workers=1)
    assert {k: v.tolist() for k, v in plain.predictions.items()} == {
        k: v.tolist() for k, v in again.predictions.items()
    }


def test_every_unreadable_picture_is_listed(dataset: Path, tmp_path: Path) -> None:
    (dataset / "images" / "03.png").unlink()
    (dataset / "images" / "05.png").write_bytes(b"")
    (dataset / "images" / "07.png").write_bytes((dataset / "images" / "08.png").read_bytes()[:60])
    out = tmp_path / "entry.npz"
    result = CliRunner().invoke(load_command("baseline"), [str(dataset), "--out", str(out), "--workers", "1"])
    assert result.exit_code == 4
    for name in ("03.png", "05.png", "07.png"):
        assert name in result.stderr
    assert "Traceback" not in result.output and not out.exists()


def test_a_data_set_without_pictures_is_refused() -> None:
    with pytest.raises(BadDataset, match="no image files"):
        answer(read_benchmark(None))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_nearest_mean_agrees_with_exact_fractions(seed: int, multi_label: bool) -> None:
    rng = np.random.default_rng(seed)
    train, test = rng.integers(0, 256, (9, 4)), rng.integers(0, 256, (6, 4))
    task = Task("t", "a", labels=("x", "y", "z"), multi_label=multi_label)
    label = rng.integers(0, 2, (9, 3)) if multi_label else rng.integers(0, 3, 9)

    def distance(one: list[int], members: list[list[int]]) -> Fraction | float:
        if not members:
            return float("inf")
        mean = [Fraction(sum(column), len(members)) for column in zip(*members, strict=True)]
        return sum(((a - b) ** 2 for a, b in zip(one, mean, strict=True)), Fraction(0))

    expected: list[object] = []
    rows = train.tolist()
    for one in test.tolist():
        if multi_label:
            has = [[r for r, k in zip(rows, label[:, i], strict=True) if k] for i in range(3)]
            lacks = [[r for r, k in zip(rows, label[:, i], strict=True) if not k] for i in range(3)]
            expected.append([distance(one, a) < distance(one, b) for a, b in zip(has, lacks, strict=True)])
        else:
            members = [[r for r, k in zip(rows, label, strict=True) if k == i] for i in range(3)]
            distances = [distance(one, m) for m in members]
            expected.append(distances.index(min(distances)))
    assert nearest_mean(task, label, train, test).tolist() == expected


def test_the_entry_in_submissions_is_valid_and_beats_chance() -> None:
    benchmark = read_benchmark(None)
    result = score(benchmark, read_submission(ENTRY, benchmark), n_resamples=200)
    assert result.reid is not None and result.intervals is not None
    low = result.intervals.reid["macro_map"]
    assert low is not None and low[0] > 5 * (result.reid.chance["macro_map"] or 1)
    above = [task for task, value in result.f1.items() if (value or 0) > (result.chance_f1[task] or 1)]
    assert len(above) >= 6


@pytest.mark.parametrize(("name", "step"), [("cmu_faces", 1), ("pets09_s2l1", 8)])
def test_real_pictures_of_any_size_and_vocabulary(name: str, step: int, tmp_path: Path) -> None:
    """Every picture of a small data set, and some of a large one."""
    source = shared_data(name)
    header, *rows = (source / "annotations.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "annotations.csv").write_text(header + "".join(rows[::step]), encoding="utf-8")
    shutil.copy(source / "benchmark.toml", tmp_path)
    for image in (row.partition(",")[0] for row in rows[::step]):
        (tmp_path / "images" / image).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / "images" / image, tmp_path / "images" / image)
    benchmark = read_benchmark(tmp_path)
    answers = answer(benchmark)
    assert answers.excluded == ()
    assert set(answers.predictions) == {task.name for task in benchmark.classification_tasks}
