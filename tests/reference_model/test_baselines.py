"""The script of the baseline submissions, in small: from an empty folder to entries that score, and on after a stop."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from piq_bench.board.entries import read_entry
from piq_bench.board.grade import grade
from piq_bench.demo.build import DEFAULT_IMAGES, DEFAULT_SEED
from piq_bench.demo.film import shoot
from piq_bench.demo.sizes import MIN_IMAGES, sizes_for
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.records import NOT_ANNOTATED

torch = pytest.importorskip("torch")
baselines = pytest.importorskip("reference_model.baselines")
checkpoints = pytest.importorskip("reference_model.checkpoint")
config = pytest.importorskip("reference_model.config")
others = pytest.importorskip("reference_model.pretraining")
program = pytest.importorskip("reference_model.__main__")
CPU = torch.device("cpu")


def test_rows_become_entries_that_start_from_people_whom_the_benchmark_does_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(baselines.SCHEDULE, n_epochs=1)
    monkeypatch.setattr(baselines, "SCHEDULE", short)
    stages = [others.Stage((64, 32), short), others.Stage((32, 32), short, heads=True, split=True, erase=0.0)]
    monkeypatch.setattr(others, "STAGES", stages)
    monkeypatch.setattr(baselines, "SIZE", (32, 32))
    for module in (baselines, others):
        monkeypatch.setattr(module, "small", config.tiny)
    sizes = {"n_others": 2 * MIN_IMAGES, "n_images": MIN_IMAGES, "workers": 1}
    lines: list[str] = []
    scores = baselines.make_baselines(tmp_path, ["fss", "sim-mtl"], device=CPU, tell=lines.append, **sizes)
    assert list(scores) == ["fss", "sim-mtl"]
    assert (
        sum(line.startswith("tiny: training on other people, stage ") for line in lines) == 2
    )  # each once, for both rows
    benchmark, people, heads = (
        read_benchmark(tmp_path / "work" / name) for name in ("benchmark", "others", "others-heads")
    )
    assert len(people.images) > len(benchmark.images)
    assert heads.images.tolist() == people.images.tolist()
    for task, label in heads.labels.items():
        assert (label == NOT_ANNOTATED).all() == (task in others.NOT_IN_A_HEAD)
    start = checkpoints.load(tmp_path / "work" / "others-tiny-2")
    for row in scores:
        entry = tmp_path / f"reference-{row}"
        names = ["README.md", "config.json", "log.csv", "metadata.toml", "submission.npz"]
        assert sorted(path.name for path in entry.iterdir()) == names
        assert len((entry / "log.csv").read_text(encoding="utf-8").splitlines()) == 2
        assert config.read(entry / "config.json").preset == row
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
    baselines.make_baselines(tmp_path, ["fss"], device=CPU, tell=lines.append, **sizes)  # nothing is left to do
    assert (tmp_path / "reference-fss" / "submission.npz").read_bytes() == before
    assert not any(line.startswith("epoch") for line in lines)


def test_nobody_in_the_benchmark_is_among_those_whom_the_backbone_learns_from() -> None:
    own, other = (
        {frame.track.person.looks for frame in shoot(seed, sizes_for(n_images))}
        for seed, n_images in ((DEFAULT_SEED, DEFAULT_IMAGES), (others.SEED, others.N_IMAGES))
    )
    assert (len(own), len(other)) == (378, 2950)
    assert not own & other


def test_a_row_without_all_tasks_is_no_baseline(tmp_path: Path) -> None:
    refused = CliRunner().invoke(program.main, ["baselines", str(tmp_path), "--preset", "reid-only"])
    assert refused.exit_code == 2
    assert "'reid-only' makes no whole submission" in refused.stderr
