"""Rules of who is a candidate, as data: in benchmark.toml, on the command line, and in a Market-1501 style folder."""

import json
from collections.abc import Iterable
from pathlib import Path

import builders
import numpy as np
import pytest
from click.testing import CliRunner, Result
from folders import COLUMNS, ROWS, TOML, changed, write_folder, write_market

from piq_bench.cli.score import score_command
from piq_bench.errors import BadDataset, BadUsage
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.rules import parse_rules, with_rules
from piq_bench.records import SAME_CAMERA, Rule

REID = TOML[: TOML.index("[tasks.gender]")]


def folder(
    place: Path, retrieval: str, rows: Iterable[tuple[str, ...]] | None = None, more: tuple[str, ...] = ()
) -> Path:
    return write_folder(place, rows or ROWS, (*COLUMNS, *more), toml=f"{TOML}\n[retrieval]\n{retrieval}\n")


def test_rules_junk_and_distractors_are_read(tmp_path: Path) -> None:
    rows = [(*row, "red" if row[0] != "b/02.jpg" else "blue") for row in ROWS]
    toml = 'exclude = [["camera", "identity"], ["identity", "~clothes"]]\njunk = ["p3"]\ndistractors = ["p1"]'
    benchmark = read_benchmark(folder(tmp_path, toml, rows, ("clothes",)))
    assert list(map(str, benchmark.exclude)) == ["identity+camera", "identity+~clothes"]
    assert benchmark.identities == ("p2",)
    assert benchmark.junk.tolist() == [row[2] == "p3" for row in ROWS]
    assert benchmark.distractor.tolist() == [row[2] == "p1" for row in ROWS]
    assert (benchmark.identity >= 0).tolist() == [row[2] == "p2" for row in ROWS]
    assert benchmark.codes("clothes").tolist() == [0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("retrieval", "message"),
    [
        ('exclude = ["camera"]', "is no list of lists"),
        ('exclude = [["camera", 1]]', "rule 1 is no list of texts"),
        ('exclude = [["identity", "kamera"]]', "no column 'kamera'"),
        ('exclude = [["group", "kamera"]]', "no column 'kamera'"),
        ('exclude = [["~camera"]]', "rule 1 names no column that must agree"),
        ('exclude = [["camera", "~camera"]]', "'camera' both to agree and to differ"),
        ('exclude = [["camera", "~group"]]', "asks near-duplicate groups to differ"),
        ('exclude = [[""]]', "holds an empty name"),
        ("junk = [-1]", "is no list of identities in quotes"),
        ('junk = ["p3"]\ndistractors = ["p3"]', "'p3' is declared as both"),
        ('leave_out = [["camera"]]', "is not a known key"),
        (f"exclude = {[['camera']] * 17}", "has 17 rules"),
    ],
)
def test_what_is_no_rule_is_refused(retrieval: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BadDataset) as refusal:
        read_benchmark(folder(tmp_path, retrieval))
    assert message in str(refusal.value)


def test_the_rule_for_groups_waits_until_there_are_some(tmp_path: Path) -> None:
    assert read_benchmark(folder(tmp_path, 'exclude = [["group"], ["sequence"]]', *with_sequence())).exclude == (
        Rule(("sequence",)),
    )


def with_sequence() -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    return [(*row, "s1") for row in ROWS], ("sequence",)


def test_where_images_are_is_data(tmp_path: Path) -> None:
    toml = f'{TOML}\n[images]\nroot = "."\n'
    assert read_benchmark(write_folder(tmp_path / "a", toml=toml)).images_folder == "."
    assert read_benchmark(write_folder(tmp_path / "b")).images_folder == "images"


def test_people_declared_as_nobody_may_be_in_train_and_test(tmp_path: Path) -> None:
    rows = changed(3, identity="p1")
    with pytest.raises(BadDataset, match="'p1' is in train"):
        read_benchmark(write_folder(tmp_path / "a", rows))
    benchmark = read_benchmark(folder(tmp_path / "b", 'distractors = ["p1"]', [tuple(row) for row in rows]))
    assert benchmark.identities == ("p2", "p3")


def test_a_market1501_folder_may_have_other_rules(tmp_path: Path) -> None:
    names = {
        "bounding_box_train": ["0002_c1s1_000451_03.jpg"],
        "query": ["0000_c1s1_000001_00.jpg"],
        "bounding_box_test": ["0000_c2s1_000001_01.jpg", "-1_c1s1_000002_01.jpg"],
    }
    market = write_market(tmp_path / "m", names)
    standard = read_benchmark(market)
    assert standard.exclude == (SAME_CAMERA,)
    assert standard.identities == ("0002",)
    own = '[retrieval]\nexclude = []\njunk = ["-1"]\ndistractors = []\n'
    (market / "benchmark.toml").write_text(f"{REID}\n{own}", encoding="utf-8")
    changed_rules = read_benchmark(market)
    assert changed_rules.exclude == ()
    assert changed_rules.identities == ("0000", "0002")
    assert changed_rules.junk.sum() == 1
    assert not changed_rules.distractor.any()


def test_rules_of_the_command_line() -> None:
    assert parse_rules(["camera+identity", "identity+~clothes"]) == (SAME_CAMERA, Rule(("identity",), ("clothes",)))
    with pytest.raises(BadUsage) as refusal:
        parse_rules(["", "~camera", "identity"])
    assert len(refusal.value.problems) == 2
    with pytest.raises(BadUsage, match="did you mean 'camera'"):
        with_rules(builders.benchmark(np.random.default_rng(0)), parse_rules(["identity+camra"]))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(score_command, [*map(str, arguments), "--bootstrap", "0"])


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Path, Path]:
    """A gallery in which the nearest image of each query is of its own camera, and the next one of somebody else."""
    rows = [
        ("q1.jpg", "query", "p1", "c1"), ("q2.jpg", "query", "p2", "c1"),
        ("g1.jpg", "gallery", "p1", "c1"), ("g2.jpg", "gallery", "p2", "c1"),
        ("g3.jpg", "gallery", "p1", "c2"), ("g4.jpg", "gallery", "p2", "c2"),
    ]  # fmt: skip
    data = write_folder(tmp_path / "data", rows, ("image", "split", "identity", "camera"), toml=REID)
    angle = np.radians([0, 90, 1, 89, 60, 30])
    embedding = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    np.savez(tmp_path / "s.npz", image=np.array([row[0] for row in rows]), embedding=embedding)
    return tmp_path / "s.npz", data


def test_a_rule_of_one_run_is_part_of_protocol_and_digest(scored: tuple[Path, Path]) -> None:
    submission, data = scored
    plain = json.loads(run(submission, "--dataset", data, "--format", "json").stdout)
    ruled = json.loads(run(submission, "--dataset", data, "--format", "json", "--exclude", "identity+camera").stdout)
    assert (plain["protocol"]["exclude"], ruled["protocol"]["exclude"]) == ([], ["identity+camera"])
    assert plain["protocol"]["digest"] != ruled["protocol"]["digest"]
    assert plain["reid"]["map"] == (1 / 1 + 2 / 3) / 2  # q1: g1, then g4, then g3
    assert ruled["reid"]["map"] == 1 / 2  # q1: g4, then g3; g1 is no candidate
    toml = data / "benchmark.toml"
    toml.write_text(toml.read_text(encoding="utf-8") + '[retrieval]\nexclude = [["camera", "identity"]]\n', "utf-8")
    declared = json.loads(run(submission, "--dataset", data, "--format", "json").stdout)
    assert declared["protocol"] == ruled["protocol"]
    assert "same identity and camera" in run(submission, "--dataset", data).stdout


def test_a_rule_about_no_column_is_bad_usage(scored: tuple[Path, Path]) -> None:
    refused = run(scored[0], "--dataset", scored[1], "--exclude", "identity+clothes")
    assert refused.exit_code == 2
    assert "no column 'clothes'" in refused.stderr
