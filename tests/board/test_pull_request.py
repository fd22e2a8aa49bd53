"""Entries that arrive on a branch are graded, merged and ranked; any other change is refused with its reason."""

import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import board_builders
import pytest
from click.testing import CliRunner, Result

from piq_bench.board.pull_request import arrived_entry
from piq_bench.cli import load_command
from piq_bench.errors import BadSubmission, BadUsage
from piq_bench.read.dataset import read_benchmark

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
WHO = {
    **{f"GIT_{role}_{part}": "someone" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def git(place: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(place), *arguments], capture_output=True, text=True, check=True, env=os.environ | WHO
    )
    return done.stdout.strip()


def commit(place: Path, message: str) -> str:
    git(place, "add", "-A", "-f")
    git(place, "commit", "-q", "-m", message)
    return git(place, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a benchmark and one graded entry; the branch to work on is checked out."""
    place = tmp_path / "repository"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    benchmark = board_builders.dataset(place / "tiny")
    first = board_builders.entry(place / "submissions" / "first", benchmark, noise=0.5)
    (place / "tool.py").write_text("print()\n", encoding="utf-8")
    assert call("grade", first, "--dataset", place / "tiny", "--bootstrap", 10, "--write").exit_code == 0
    commit(place, "start")
    git(place, "checkout", "-q", "-b", "arriving")
    return place


def call(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(load_command(command), [str(argument) for argument in arguments])


def arriving(place: Path, name: str = "second", **options: object) -> Path:
    return board_builders.entry(
        place / "submissions" / name,
        read_benchmark(place / "tiny"),
        **{"seed": 1, **options},  # type: ignore[arg-type]
    )


def test_an_entry_arrives_is_graded_merged_and_ranked(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jinja2")
    arriving(repository, noise=0.4)
    head = commit(repository, "an entry")
    git(repository, "checkout", "-q", "main")
    (repository / "tool.py").write_text("print('newer')\n", encoding="utf-8")
    commit(repository, "main moves on")  # not a change of the branch
    assert not (repository / "submissions" / "second").exists()

    monkeypatch.chdir(repository)
    done = call("grade", "--base", "main", "--head", head, "--dataset", "tiny", "--out", tmp_path / "result.json")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["entry"] == "second"
    assert not (repository / "submissions" / "second").exists()

    git(repository, "merge", "-q", "--no-edit", "arriving")
    assert call("grade", "submissions/second", "--dataset", "tiny", "--write").exit_code == 0
    assert call("board", "submissions", "--dataset", "tiny").exit_code == 0
    text = (repository / "submissions" / "leaderboard.md").read_text(encoding="utf-8")
    assert "[second](second/)" in text
    assert "[first](first/)" in text


def two(place: Path) -> None:
    arriving(place)
    arriving(place, "third", seed=2)


def edited_tool(place: Path) -> None:
    arriving(place)
    (place / "tool.py").write_text("import os\n", encoding="utf-8")


def edited_workflow(place: Path) -> None:
    arriving(place)
    (place / ".github" / "workflows").mkdir(parents=True)
    (place / ".github" / "workflows" / "mine.yml").write_text("on: push\n", encoding="utf-8")


def link(place: Path) -> None:
    (arriving(place) / "README.md").symlink_to("/etc/passwd")


def executable(place: Path) -> None:
    path = arriving(place) / "README.md"
    path.write_text("run me", encoding="utf-8")
    path.chmod(0o755)


def submodule(place: Path) -> None:
    nested = arriving(place) / "x"
    nested.mkdir()
    git(nested, "init", "-q")
    git(nested, "commit", "-q", "--allow-empty", "-m", "nested")


def deep(place: Path) -> None:
    folder = arriving(place) / "more"
    folder.mkdir()
    (folder / "README.md").write_text("", encoding="utf-8")


def strange_name(place: Path) -> None:
    (arriving(place) / "a\u202eb\n.md").write_text("", encoding="utf-8")


def only_capitals(place: Path) -> None:
    folder = arriving(place)
    (folder / "README.md").write_text("", encoding="utf-8")
    (folder / "readme.md").write_text("", encoding="utf-8")


def device(place: Path) -> None:
    (arriving(place) / "aux.md").write_text("", encoding="utf-8")


def device_entry(place: Path) -> None:
    arriving(place, "nul")


def last_dot(place: Path) -> None:
    (arriving(place) / "README.md.").write_text("", encoding="utf-8")


def hidden(place: Path) -> None:
    (arriving(place) / ".gitattributes").write_text("* filter=x\n", encoding="utf-8")


def litter(place: Path) -> None:
    (arriving(place) / ".DS_Store").write_text("", encoding="utf-8")


def many(place: Path) -> None:
    folder = arriving(place)
    for number in range(500):
        (folder / f"{number}.md").write_text("", encoding="utf-8")


def instead_of_all(place: Path) -> None:
    shutil.rmtree(place / "submissions")
    (place / "submissions").symlink_to("/etc")


def capitals(place: Path) -> None:
    arriving(place, "First")


def result(place: Path) -> None:
    (arriving(place) / "result.json").write_text("{}", encoding="utf-8")


def other_entry(place: Path) -> None:
    arriving(place)
    (place / "submissions" / "first" / "metadata.toml").write_text("", encoding="utf-8")


def more_for_another(place: Path) -> None:
    (place / "submissions" / "first" / "README.md").write_text("mine", encoding="utf-8")


def oversized(place: Path) -> None:
    (arriving(place) / "README.md").write_bytes(b"x" * ((2 << 20) + 1))


def pointer(place: Path) -> None:
    (arriving(place) / "submission.npz").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")


def nothing(place: Path) -> None:
    (place / "notes.txt").write_text("", encoding="utf-8")


@pytest.mark.parametrize(
    ("change_branch", "message"),
    [
        (two, "touches 2 entries: second, third"),
        (edited_tool, "changes a file"),
        (edited_workflow, "is not an allowed path"),
        (link, "is a link"),
        (executable, "is executable"),
        (submodule, "is a submodule"),
        (deep, "is not an allowed path"),
        (strange_name, r"a\u202eb\n.md"),
        (only_capitals, "differs from another path only by case"),
        (capitals, "is not an allowed path"),
        (device, "is not an allowed path"),
        (device_entry, "is not an allowed path"),
        (last_dot, "is not an allowed path"),
        (hidden, "is not an allowed path"),
        (litter, "remove it from the branch: a tool left it behind"),
        (many, "adds 502 files"),
        (instead_of_all, "is a link"),
        (result, "may only be written by the grader"),
        (other_entry, "changes a file"),
        (more_for_another, "exists already"),
        (oversized, "has 2,097,153 bytes"),
        (pointer, "is a Git LFS pointer, not the file"),
        (nothing, "adds no entry"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_branch_that_does_anything_else_is_refused(
    change_branch: Callable[[Path], None], message: str, repository: Path, tmp_path: Path
) -> None:
    change_branch(repository)
    head = commit(repository, "more than an entry")
    (tmp_path / "out").mkdir()
    with pytest.raises(BadSubmission) as refused:
        arrived_entry(repository, "main", head, tmp_path / "out")
    assert message in str(refused.value)


def raw_commit(place: Path, entries: list[tuple[str, str]]) -> str:
    """A commit whose folder of the new entry is a tree of git with any modes and names, as no work tree could have."""
    blob = git(place, "hash-object", "-w", "tool.py")
    raw = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(blob) for mode, name in entries)
    tree = subprocess.run(
        ["git", "-C", str(place), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        input=raw,
        capture_output=True,
        check=True,
    ).stdout.decode()
    above = git(place, "ls-tree", "HEAD:submissions") + f"\n040000 tree {tree.strip()}\tsecond"
    submissions = subprocess.run(
        ["git", "-C", str(place), "mktree", "--missing"], input=above, capture_output=True, check=True, text=True
    ).stdout.strip()
    rest = [line for line in git(place, "ls-tree", "HEAD").splitlines() if not line.endswith("\tsubmissions")]
    top = subprocess.run(
        ["git", "-C", str(place), "mktree"],
        input="\n".join([*rest, f"040000 tree {submissions}\tsubmissions"]),
        capture_output=True,
        check=True,
        text=True,
    ).stdout.strip()
    return git(place, "commit-tree", top, "-p", "HEAD", "-m", "odd")


@pytest.mark.parametrize(
    "entries",
    [
        [("120000", "README.md")],
        [("160000", "README.md")],
        [("100755", "README.md")],
        [("140000", "README.md")],
        [("0", "README.md")],
        [("777777", "README.md")],
        [("100644", "../../../out.md")],
        [("100644", "..")],
        [("100644", ".git")],
        [("100644", "a/README.md")],
        [("100644", "")],
        [("100644", "README.md"), ("100644", "README.md")],
    ],
    ids=lambda entries: " ".join(f"{mode} {name}" for mode, name in entries),
)
def test_trees_with_odd_modes_and_names_are_refused(
    entries: list[tuple[str, str]], repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    head = raw_commit(repository, entries)
    with pytest.raises((BadSubmission, BadUsage)):
        arrived_entry(repository, "main", head, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("mode", ["100664", "100600", "0100644"])
def test_other_spellings_of_a_plain_file_become_a_plain_file(mode: str, repository: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    entry = arrived_entry(repository, "main", raw_commit(repository, [(mode, "README.md")]), tmp_path / "out")
    (path,) = (one for one in entry.rglob("*"))
    assert path.read_text(encoding="utf-8") == "print()\n"
    assert path.stat().st_mode & 0o111 == 0


def test_a_branch_of_thousands_of_files_gets_a_short_message(repository: Path, tmp_path: Path) -> None:
    for number in range(3000):
        (repository / f"{number}.txt").write_text("", encoding="utf-8")
    head = commit(repository, "many files")
    with pytest.raises(BadSubmission) as refused:
        arrived_entry(repository, "main", head, tmp_path)
    assert "refused, 3002 problems" in str(refused.value)
    assert len(str(refused.value)) < 30_000


def test_a_branch_without_a_merge_base_is_refused(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "--orphan", "other")
    head = commit(repository, "from nothing")
    with pytest.raises(BadUsage, match="merge-base"):
        arrived_entry(repository, "main", head, tmp_path)


def test_claims_and_copies_are_checked_as_in_a_folder(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    score = json.loads((repository / "submissions" / "first" / "result.json").read_text(encoding="utf-8"))["score"]
    off = math.nextafter(score["piq"], 0.0)
    arriving(repository, seed=0, noise=0.5, claimed=f"[claimed]\npiq = {off!r}\n")
    head = commit(repository, "a copy that claims too little")
    done = call("grade", "--base", "main", "--head", head, "--dataset", "tiny", "--out", tmp_path / "result.json")
    assert done.exit_code == 5
    assert "has the predictions of first" in done.stderr
    assert f"claimed {off!r}" in done.stderr
    assert not (tmp_path / "result.json").exists()


def test_unknown_commits_and_conflicting_options_are_refused(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("none", "--output=/tmp/x", "main; rm -rf /"):
        with pytest.raises(BadUsage, match="git does not know"):
            arrived_entry(repository, "main", name, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert call("grade", "--base", "main", "--head", "main").exit_code == 2  # no repository
    assert call("grade").exit_code == 2
    assert call("grade", "x", "--head", "main").exit_code == 2
    assert "the entry has no folder here" in call("grade", "--base", "a", "--head", "b", "--write").stderr
