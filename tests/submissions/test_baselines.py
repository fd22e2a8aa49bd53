"""`submissions/baselines.py` at a small size: an empty folder fills with entries that score, and a rerun resumes."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from demo_builders import draw_nothing_but_squares

from piq_bench.board.entries import entries_in, read_entry
from piq_bench.board.grade import grade
from piq_bench.demo.build import DEFAULT_IMAGES, DEFAULT_SEED
from piq_bench.demo.film import shoot
from piq_bench.demo.sizes import MIN_IMAGES, sizes_for
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.records import NOT_ANNOTATED, TRAIN

torch = pytest.importorskip("torch")
baselines = pytest.importorskip("baselines")
checkpoints = pytest.importorskip("reference_model.checkpoint")
config = pytest.importorskip("reference_model.config")
predicting = pytest.importorskip("reference_model.predict")
pretraining = pytest.importorskip("pretraining")
CPU = torch.device("cpu")
SCRIPT = Path(__file__).parents[2] / "submissions" / "baselines.py"
torch.set_num_threads(1)  # processes of pytest share the cores


def test_an_empty_folder_fills_with_entries_that_pass_grading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing_but_squares(monkeypatch)
    short = replace(baselines.SCHEDULE, n_epochs=1)
    monkeypatch.setattr(baselines, "SCHEDULE", short)
    stages = [pretraining.Stage((64, 32), short), pretraining.Stage((32, 32), short, heads=True, split=True, erase=0.0)]
    monkeypatch.setattr(pretraining, "STAGES", stages)
    monkeypatch.setattr(baselines, "SIZE", (32, 32))
    for module in (config, pretraining):
        monkeypatch.setattr(module, "small", config.tiny)
    lines: list[str] = []
    options = {"n_pretraining_images": MIN_IMAGES + 20, "n_images": MIN_IMAGES, "workers": 1, "device": CPU}
    options |= {"progress": predicting.no_progress, "echo": lines.append}
    scores = baselines.make_baselines(tmp_path, ["fss"], **options)
    assert list(scores) == ["fss"]
    n_stages = sum(line.startswith("tiny: training on other people, stage ") for line in lines)
    assert n_stages == 2
    benchmark, people, heads = (
        read_benchmark(tmp_path / "work" / name) for name in ("benchmark", "others", "others-heads")
    )
    assert len(people.images) > len(benchmark.images)
    assert heads.images.tolist() == people.images.tolist()
    for task, label in heads.labels.items():
        assert (label == NOT_ANNOTATED).all() == (task in pretraining.NOT_IN_A_HEAD)
    start = checkpoints.load(tmp_path / "work" / "others-tiny-2")
    for row in scores:
        entry = tmp_path / f"reference-{row}"
        names = ["README.md", "config.json", "log.csv", "metadata.toml", "submission.npz"]
        assert sorted(path.name for path in entry.iterdir()) == names
        assert len((entry / "log.csv").read_text(encoding="utf-8").splitlines()) == 2
        assert config.read(entry / "config.json").preset == row
        recipe = (entry / "README.md").read_text(encoding="utf-8")
        assert f"--images {MIN_IMAGES + 20} --seed 1" in recipe
        assert (
            "   2. 1 epochs on heads at 32 x 32; rate 0.001, a tenth after epoch 5 and after 7; nothing erased;"
            in recipe
        )
        assert f"{(benchmark.split == TRAIN).sum()} training images" in recipe
        for change in ("start` | ImageNet weights | checkpoint.pt", "multi_label` | mean | balanced", "seed"):
            assert (f"| `{change} |" in recipe) == (change != "seed")
        submission = read_submission(entry / "submission.npz", benchmark)
        assert submission.name == row
        graded = grade(benchmark, read_entry(entry))
        assert graded.passed
        assert [claim.name for claim in graded.claims] == ["piq", "digest"]
        state = checkpoints.load(tmp_path / "work" / row)
        assert state.facts["weights"] == "checkpoint.pt"
        assert state.fingerprint != start.fingerprint

    before = (tmp_path / "reference-fss" / "submission.npz").read_bytes()
    lines.clear()
    baselines.make_baselines(tmp_path, ["fss"], **options)  # nothing is left to do
    assert (tmp_path / "reference-fss" / "submission.npz").read_bytes() == before
    assert not any(line.startswith("epoch") for line in lines)  # of no row and of no stage


def test_no_person_of_the_benchmark_is_in_the_pretraining_images() -> None:
    own, other = (
        {frame.track.person.looks for frame in shoot(seed, sizes_for(n_images))}
        for seed, n_images in ((DEFAULT_SEED, DEFAULT_IMAGES), (pretraining.SEED, pretraining.N_IMAGES))
    )
    assert (len(own), len(other)) == (378, 2950)
    assert not own & other


def test_a_row_without_all_tasks_is_no_baseline(tmp_path: Path) -> None:
    refused = CliRunner().invoke(baselines.main, [str(tmp_path), "--preset", "reid-only"])
    assert refused.exit_code == 2
    assert "'reid-only' makes no whole submission" in refused.stderr


def test_the_script_has_help_and_is_no_entry(tmp_path: Path) -> None:
    asked = subprocess.run(
        [sys.executable, SCRIPT, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert "--preset" in asked.stdout
    shutil.copytree(SCRIPT.parent, tmp_path / "submissions", ignore=shutil.ignore_patterns("*.npz"))
    (tmp_path / "submissions" / "__pycache__").mkdir(exist_ok=True)
    names = {path.name for path in entries_in(tmp_path / "submissions")}
    assert "colour-shape" in names
    assert not any("baselines" in name or "cache" in name for name in names)
