import csv
import hashlib
import signal
import stat
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from demo_builders import draw_nothing_but_squares
from PIL import Image

from piq_bench.demo.build import JPEG, build_demo
from piq_bench.demo.film import shoot
from piq_bench.demo.portrait import draw
from piq_bench.demo.sheet import COLUMNS, contact_sheet
from piq_bench.demo.sizes import MIN_IMAGES, sizes_for
from piq_bench.demo.tables import annotations_csv
from piq_bench.errors import BadUsage
from piq_bench.group.hashing import hash_images
from piq_bench.metrics.fingerprint import fingerprint
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.files import new_folder

BUNDLED = Path(str(resources.files("piq_bench") / "data" / "portrait-mini"))


def files_of(root: Path) -> dict[str, str]:
    """Every file's digest."""
    return {
        file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(root.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small benchmark, built in one process."""
    out = tmp_path_factory.mktemp("demo") / "small"
    steps: list[int] = []
    built = build_demo(out, n_images=MIN_IMAGES, seed=3, workers=1, advance=steps.append)
    assert sum(steps) == MIN_IMAGES + MIN_IMAGES * 7 // 15  # all drawn, and the test set hashed
    assert built.fingerprint == fingerprint(read_benchmark(out))
    return out


def test_what_was_built_is_a_data_set(small: Path) -> None:
    benchmark = read_benchmark(small)
    assert len(benchmark.images) == MIN_IMAGES
    assert benchmark.groups is not None
    assert [task.name for task in benchmark.tasks] == [
        "reid", "gender", "age", "physique", "height", "body", "arm", "expression",
    ]  # fmt: skip
    for image in benchmark.images:
        with Image.open(small / "images" / image) as drawn:
            assert (drawn.size, drawn.mode, drawn.format) == ((128, 256), "RGB", "JPEG")
    assert len(files_of(small)) == MIN_IMAGES + 4  # two for the groups


def test_processes_and_repetition_change_no_byte(small: Path, tmp_path: Path) -> None:
    build_demo(tmp_path / "again", n_images=MIN_IMAGES, seed=3, workers=2)
    assert files_of(tmp_path / "again") == files_of(small)


def test_an_empty_folder_is_filled_and_open_to_others_as_any_new_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("new")
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "out" / "file").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_nothing_that_is_there_is_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(BadUsage, match="the folder holds 'mine'") as refusal:
        build_demo(tmp_path, n_images=MIN_IMAGES)
    assert [problem.code for problem in refusal.value.problems] == ["not-empty"]
    with pytest.raises(BadUsage, match="there is a file or a link") as refusal:
        build_demo(tmp_path / "mine", n_images=MIN_IMAGES)
    assert [problem.code for problem in refusal.value.problems] == ["not-a-folder"]
    assert files_of(tmp_path) == {"mine": hashlib.sha256(b"precious").hexdigest()}


def test_a_folder_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="the folder holds 'theirs'"), new_folder(tmp_path / "out") as folder:
        (folder / "ours").write_text("new")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").write_text("precious")
    assert sorted(files_of(tmp_path)) == ["out/theirs"]


@pytest.mark.parametrize(
    ("n_images", "workers", "codes"),
    [(MIN_IMAGES - 1, None, ["bad-size"]), (250_001, None, ["bad-size"]), (0, 0, ["bad-size", "bad-workers"])],
)
def test_sizes_out_of_range_are_refused(tmp_path: Path, n_images: int, workers: int | None, codes: list[str]) -> None:
    with pytest.raises(BadUsage) as refusal:
        build_demo(tmp_path / "out", n_images=n_images, workers=workers)
    assert [problem.code for problem in refusal.value.problems] == codes
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="No such file") as refusal:
        build_demo(tmp_path / "no" / "out", n_images=MIN_IMAGES)
    assert [problem.code for problem in refusal.value.problems] == ["cannot-write"]


def test_an_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    # Where a shell has started these tests in the background, Ctrl-C is ignored, and a child inherits that.
    program = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", program + "from piq_bench.cli import piq; piq()", "demo", str(tmp_path / "out")]
    with subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 30
        while not any(tmp_path.glob(".piq-*/images/*/*.jpg")) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not (tmp_path / "out").exists()  # half of it is never under its name
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in messages
    assert not list(tmp_path.iterdir())


def test_the_bundled_labels_are_those_of_the_defaults() -> None:
    frames = shoot(0, sizes_for(3000))
    assert (BUNDLED / "annotations.csv").read_text(encoding="utf-8") == annotations_csv(frames)
    assert read_benchmark(None).name == "portrait-mini"


def test_the_bundled_hashes_are_those_of_the_images(tmp_path: Path) -> None:
    """An image drawn, encoded and decoded here has the bundled hash."""
    with (BUNDLED / "groups.csv").open(encoding="utf-8", newline="") as stream:
        next(stream)
        stored = {row["image"]: row["phash"] for row in csv.DictReader(stream)}
    chosen = [frame for frame in shoot(0, sizes_for(3000)) if frame.split != "train"][::100]
    for frame in chosen:
        (tmp_path / frame.source).mkdir(exist_ok=True)
        Image.fromarray(draw(0, frame)).save(tmp_path / frame.image, **JPEG)
    hashed = hash_images([frame.image for frame in chosen], tmp_path, workers=1)
    assert [f"{value:016x}" for value in hashed.phash.tolist()] == [stored[frame.image] for frame in chosen]


def test_the_bundle_is_complete_small_and_free_of_images() -> None:
    files = sorted(file.name for file in BUNDLED.iterdir())
    assert files == ["annotations.csv", "benchmark.toml", "groups.csv", "published.toml"]
    assert sum((BUNDLED / name).stat().st_size for name in files) < 500_000


def test_groups_are_near_duplicates_of_one_track_and_a_few_queries_lose_their_last_positive() -> None:
    benchmark = read_benchmark(None)
    assert benchmark.groups is not None
    assert benchmark.sequence is not None
    group = benchmark.groups.group
    tracks = [set(benchmark.sequence[group == number]) for number in np.unique(group[group >= 0])]
    assert sum(len(names) > 1 for names in tracks) <= 0.01 * len(tracks)  # a chance match or two
    assert 0.5 < (group >= 0).sum() / len(benchmark.test_rows) < 0.8
    lost = 0
    gallery = benchmark.split == 2
    for row in np.flatnonzero(benchmark.split == 1):
        near = (group == group[row]) & (group >= 0)
        lost += not (gallery & ~near & (benchmark.identity == benchmark.identity[row])).any()
    assert 1 <= lost <= 10


def test_a_contact_sheet_says_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing_but_squares(monkeypatch)
    sheet, legend = contact_sheet(0, shoot(0, sizes_for(400)))
    assert sheet.size == (COLUMNS * 128, len(legend) * 256)
    assert legend[2] == (
        "body: standing, standing, walking_running, walking_running, sitting, sitting, "
        "bending_squatting, bending_squatting, lying, lying"
    )
    assert np.asarray(sheet)[-256:, :128].std() > 10
