"""`piq compare` as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark
from piq_bench.write.submission import write_submission

BENCHMARK = """\
schema = "piq-bench/benchmark/1"
name = "{name}"
version = "1"
licence = "none"
[tasks.reid]
aspect = "reid"
kind = "retrieval"
[tasks.gender]
aspect = "appearance"
labels = ["female", "male"]
"""
QUICK = ("--bootstrap", 50, "--swaps", 500)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(load_command("compare"), [str(a) for a in arguments])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "tiny", "tiny")


def write_dataset(folder: Path, name: str, n_shots: int = 4) -> Path:
    """Twelve people, some images each."""
    folder.mkdir()
    (folder / "benchmark.toml").write_text(BENCHMARK.format(name=name), encoding="utf-8")
    lines = ["image,split,identity,gender"]
    for person in range(12):
        for shot in range(n_shots):
            split = "query" if shot == 0 else "gallery"
            lines.append(f"p{person}/{shot}.jpg,{split},p{person:02},{('female', 'male')[person % 2]}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def entry(path: Path, dataset: Path, *, noise: float, name: str = "") -> Path:
    """Write correct answers, blurred by noise."""
    benchmark = read_benchmark(dataset)
    rng = np.random.default_rng(0)
    identity = benchmark.identity
    embedding = np.eye(12)[identity] + noise * rng.standard_normal((identity.size, 12))
    gender = np.where(rng.random(identity.size) < noise / 4, 1, 0) ^ (identity % 2)
    write_submission(
        path,
        images=benchmark.images,
        embedding=embedding.astype(np.float32),
        predictions={"gender": gender},
        meta={"name": name or path.stem, "benchmark": benchmark.name},
    )
    return path


def test_two_submissions_become_a_table_of_80_columns_and_a_file(tmp_path: Path, dataset: Path) -> None:
    good, bad = (entry(tmp_path / f"{name}.npz", dataset, noise=noise) for name, noise in (("good", 0.1), ("bad", 2)))
    done = run(bad, good, "--dataset", dataset, "--json", tmp_path / "out.json", *QUICK)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stdout.startswith("first   bad\nsecond  good\n")
    assert "average precision by person: " in done.stdout
    assert "…" not in done.stdout
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert document["schema"] == "piq-bench/comparison/1"
    assert [system["name"] for system in document["systems"]] == ["bad", "good"]
    (pair,) = document["pairs"]
    piq = pair["differences"][0]
    assert piq["metric"] == "piq"
    assert piq["difference"] == piq["second"] - piq["first"] > 0
    assert piq["significant"] is (piq["p_adjusted"] < 0.05) is True
    assert sum(pair["identities"].values()) == 12


@pytest.mark.parametrize("layout", ["table", "json", "markdown", "latex"])
def test_a_hostile_name_stays_text(layout: str, tmp_path: Path, dataset: Path) -> None:
    name = "<script>|$\\evil{}" + "x" * 180
    one = entry(tmp_path / "one.npz", dataset, noise=1, name=name)
    done = run(one, one, "--dataset", dataset, "--format", layout, *QUICK)
    assert done.exit_code == 0, done.output
    if layout == "json":
        assert json.loads(done.stdout)["systems"][0]["name"].startswith("<script>")
        return
    assert max(map(len, done.stdout.splitlines())) <= (80 if layout == "table" else 1000)
    if layout == "markdown":
        assert "\\<script\\>\\|" in done.stdout
    if layout == "latex":
        assert r"\$\textbackslash{}evil\{\}" in done.stdout


def test_the_page_shows_every_pair_loads_nothing_and_escapes_names(tmp_path: Path, dataset: Path) -> None:
    pytest.importorskip("jinja2")
    names = ("one", "<script>alert(1)</script>", "two & three")
    paths = [
        entry(tmp_path / f"{place}.npz", dataset, noise=place, name=name) for place, name in enumerate(names, start=1)
    ]
    done = run(*paths, "--dataset", dataset, "--html", tmp_path / "page.html", *QUICK)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 3
    assert "<h2><bdi>&lt;script&gt;alert(1)&lt;/script&gt;</bdi> against <bdi>one</bdi></h2>" in page
    assert "two &amp; three" in page
    assert not any(word in page for word in ("<script", "http://", "https://", "src=", "nan"))
    again = run(*paths, "--dataset", dataset, "--html", tmp_path / "again.html", *QUICK)
    assert again.stdout == done.stdout
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page


def test_the_order_of_rows_does_not_matter_and_the_seed_does(tmp_path: Path, dataset: Path) -> None:
    one, other = (entry(tmp_path / f"{name}.npz", dataset, noise=noise) for name, noise in (("one", 1), ("other", 2)))
    with np.load(other) as archive:
        arrays = {name: archive[name] for name in archive.files}
    order = np.random.default_rng(1).permutation(arrays["image"].size)
    np.savez(tmp_path / "mixed.npz", **{k: v if v.ndim == 0 else v[order] for k, v in arrays.items()})
    options = ("--dataset", dataset, "--format", "json", *QUICK)
    first, mixed, reseeded = (
        run(one, path, *options, "--seed", seed).stdout
        for path, seed in ((other, 0), (tmp_path / "mixed.npz", 0), (other, 1))
    )
    assert first == mixed
    assert json.loads(first)["pairs"] != json.loads(reseeded)["pairs"]


def test_worse_than_the_first_is_exit_code_5(tmp_path: Path, dataset: Path) -> None:
    good, bad = (entry(tmp_path / f"{name}.npz", dataset, noise=noise) for name, noise in (("good", 0.1), ("bad", 2)))
    worse = run(good, bad, "--dataset", dataset, "--fail-if-worse", *QUICK)
    assert worse.exit_code == 5
    assert "bad: piq" in worse.stderr
    assert "PIQ" in worse.stdout
    assert run(bad, good, "--dataset", dataset, "--fail-if-worse", *QUICK).exit_code == 0
    assert run(good, good, "--dataset", dataset, "--fail-if-worse", *QUICK).exit_code == 0


def test_incomparable_inputs_are_refused_all_at_once(tmp_path: Path, dataset: Path) -> None:
    one = entry(tmp_path / "one.npz", dataset, noise=1)
    other = write_dataset(tmp_path / "other", "other", n_shots=5)
    results = []
    for place, folder in ((dataset, tmp_path / "own.json"), (other, tmp_path / "strange.json")):
        path = entry(tmp_path / f"{folder.stem}.npz", place, noise=1)
        scored = CliRunner().invoke(load_command("score"), [str(path), "--dataset", str(place), "--json", str(folder)])
        assert scored.exit_code == 0, scored.output
        results.append(folder)
    no_sequence = run(one, "--dataset", dataset, "--exclude", "sequence", *QUICK)
    assert no_sequence.exit_code == 2
    assert "no column 'sequence'" in no_sequence.stderr

    refused = run(one, *results, "--dataset", dataset, *QUICK)
    assert refused.exit_code == 2
    assert "refused, 2 problems" in refused.stderr
    assert "is a score file" in refused.stderr
    assert "results of different benchmarks cannot be compared" in refused.stderr

    own, strange = (json.loads(path.read_text(encoding="utf-8"))["benchmark"]["fingerprint"] for path in results)
    assert f"is a result of benchmark {strange[:12]}, not of {own[:12]}" in refused.stderr
    by_other_rules = run(one, *results, "--dataset", dataset, "--ap", "market1501", *QUICK)
    assert by_other_rules.exit_code == 2
    assert "refused, 3 problems" in by_other_rules.stderr
    assert "own.json      has ap 'non-interpolated' instead of 'market1501'" in by_other_rules.stderr

    assert run(one, "--dataset", dataset).exit_code == 2
    for text in (
        "[1]",
        "{}",
        '{"benchmark": {"fingerprint": 1}, "protocol": {"grouping": {"x": 1}}}',
        "{",
        "[" * 10_000,
    ):
        (tmp_path / "broken.json").write_text(text, encoding="utf-8")
        broken = run(one, tmp_path / "broken.json", tmp_path / "none.json", "--dataset", dataset)
        assert broken.exit_code == 2
        assert "refused, 2 problems" in broken.stderr
    stranger = entry(tmp_path / "stranger.npz", other, noise=1)
    assert run(one, stranger, "--dataset", dataset).exit_code == 3
    assert run(one, tmp_path / "none.npz", "--dataset", dataset).exit_code == 3
