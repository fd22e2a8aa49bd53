"""Whatever a stranger writes into a file, no command sends a control character to the terminal or to a page.

An attack text stands in every place of every file that a command reads. The command may refuse the file or go on;
what it prints holds only characters that a terminal shows, and line ends.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import board_builders
import folders
import numpy as np
import pytest
from click.testing import CliRunner

from piq_bench.cli import load_command
from piq_bench.read.dataset import read_benchmark

ATTACK = "x\x1b]0;taken\x07\x1b[2J\x9b31m\u202e\r\u2028y"  # title, clear screen, C1 colour, right to left, line ends
MILD = "x\u202ey"  # what a format allows that refuses controls
Change = Callable[[Path, str], object]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark, an entry with its result, and a list of features."""
    place = tmp_path_factory.mktemp("model")
    benchmark = board_builders.dataset(place / "tiny")
    board_builders.entry(place / "all" / "first", benchmark, noise=0.3)
    board_builders.entry(place / "all" / "second", benchmark, noise=0.9, seed=1)
    for name in ("first", "second"):
        assert ran(place, "grade", f"all/{name}", *DATA, "--bootstrap", "9", "--write")[0] == 0
    assert ran(place, "score", NPZ, *DATA, "--bootstrap", "0", "--json", "score.json")[0] == 0
    images = read_benchmark(place / "tiny").images
    np.save(place / "features.npy", np.eye(len(images), 8, dtype=np.float32) + 1)
    (place / "names.txt").write_text("\n".join(images) + "\n", encoding="utf-8")
    folders.write_market(place / "market", {"query": ["0001_c1s1_000100_00.jpg"], "bounding_box_test": MARKET})
    return place


DATA = ("--dataset", "tiny")
NPZ = "all/first/submission.npz"
MARKET = ["0001_c2s1_000101_01.jpg", "0002_c1s1_000201_01.jpg"]


def ran(place: Path, name: str, *arguments: str) -> tuple[int, str]:
    """Exit code and all output of a command, with paths below `place`."""
    words = [str(place / word) if "/" in word or (place / word).exists() else word for word in arguments]
    words = [str(place / word) if word.endswith((".json", ".npz", ".txt", ".npy")) else word for word in words]
    done = CliRunner().invoke(load_command(name), words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout + done.stderr


def replaced(path: str, old: str, new: str) -> Change:
    def change(place: Path, text: str) -> None:
        file = place / path
        content = file.read_text(encoding="utf-8")
        assert old in content
        file.write_text(content.replace(old, new.replace("ATTACK", text)), encoding="utf-8", newline="")

    return change


def toml(path: str, old: str, new: str) -> Change:
    def change(place: Path, text: str) -> None:
        escaped = json.dumps(text)[1:-1]
        replaced(path, old, new.replace("ATTACK", escaped))(place, "")

    return change


def submitted(**parts: object) -> Change:
    def change(place: Path, text: str) -> None:
        benchmark = read_benchmark(place / "tiny")
        images, n = benchmark.images.astype(str), benchmark.images.size
        arrays: dict[str, object] = {"image": images, "embedding": np.ones((n, 2), np.float32)}
        arrays |= {"gender": np.array(["female"] * n), "meta": {"name": "x", "benchmark": "tiny"}}
        for name, value in parts.items():
            if name == "meta":
                arrays["meta"] = {"name": "x", "benchmark": "tiny", **{str(value): text}}
            elif name == "key":
                arrays["meta"] = {"name": "x", "benchmark": "tiny", text: 1}
            elif name == "extra":
                arrays[text] = np.zeros(n)
            else:
                arrays[name] = np.array([text, *np.asarray(arrays[name])[1:]])
        arrays["meta"] = np.array(json.dumps(arrays["meta"]))
        np.savez(place / NPZ, **arrays)  # type: ignore[arg-type]

    return change


def renamed(old: str, new: str) -> Change:
    return lambda place, text: (place / old).rename(place / new.replace("ATTACK", text.replace("/", "")))


def edited(path: str, *keys: str) -> Change:
    def change(place: Path, text: str) -> None:
        file = place / path
        lines = file.read_text(encoding="utf-8").splitlines() if path.endswith("jsonl") else [file.read_text("utf-8")]
        tree = json.loads(lines[0])
        box = tree
        for key in keys[:-1]:
            box = box[key]
        box[text if keys[-1] == "NEW" else keys[-1]] = text
        lines[0] = json.dumps(tree)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return change


def referred(place: Path, text: str) -> None:
    (place / NPZ).unlink()
    address = f"https://{json.dumps(text)[1:-1]}/a.npz"
    board_builders.refer(place / "all/first", sha256="0" * 64, n_bytes=1, url=address)


TOML, TABLE, META = "tiny/benchmark.toml", "tiny/annotations.csv", "all/first/metadata.toml"
SCORED = [["score", NPZ, *DATA, "--bootstrap", "0", "--format", name] for name in ("table", "markdown", "latex")]
CHECKED = [["check", NPZ, *DATA], ["score", NPZ, *DATA, "--bootstrap", "0", "--partial"]]
READ = [["stats", "tiny", "--no-images"], *SCORED, ["template", *DATA, "--out", "t.npz"]]
BOARD = [["board", "all", *DATA], ["grade", "all/first", *DATA, "--bootstrap", "9", "--ledger", "all/ledger.jsonl"]]
CONVERT = [["convert", "features.npy", "--names", "names.txt", *DATA, "--out", "c.npz"]]
PLACES: dict[str, tuple[Change, list[list[str]]]] = {
    "name of a benchmark": (toml(TOML, 'name = "tiny"', 'name = "ATTACK"'), READ),
    "version": (toml(TOML, 'version = "1"', 'version = "ATTACK"'), READ),
    "licence": (toml(TOML, 'licence = "none"', 'licence = "ATTACK"'), READ),
    "unknown key": (toml(TOML, "licence =", '"ATTACK" ='), READ),
    "label": (toml(TOML, '"female"', '"ATTACK"'), READ),
    "task": (toml(TOML, "[tasks.gender]", '[tasks."ATTACK"]'), READ),
    "aspect": (toml(TOML, '"appearance"', '"ATTACK"'), READ),
    "bad TOML": (replaced(TOML, 'name = "tiny"', "name = ATTACK"), READ),
    "image": (replaced(TABLE, "p1/1.jpg", "ATTACK.jpg"), [*READ, *CHECKED]),
    "identity": (replaced(TABLE, "p01", "ATTACK"), READ),
    "cell": (replaced(TABLE, "p01,male", "p01,ATTACK"), READ),
    "column": (replaced(TABLE, "identity,gender", "identity,gender,ATTACK"), READ),
    "split": (replaced(TABLE, "query,p01", "ATTACK,p01"), READ),
    "groups": (
        lambda place, text: (place / "tiny/groups.csv").write_text(
            f"image,group\n{text},{text}\np1/1.jpg,{text}\n", encoding="utf-8", newline=""
        ),
        READ,
    ),
    "header of groups": (
        lambda place, text: (place / "tiny/groups.csv").write_text(
            f"# piq-bench {json.dumps({text: text})}\nimage,group\n", encoding="utf-8", newline=""
        ),
        READ,
    ),
    "name of a submission": (submitted(meta="name"), [*SCORED, *CHECKED]),
    "distance": (submitted(meta="distance"), [*SCORED, *CHECKED]),
    "benchmark of a submission": (submitted(meta="benchmark"), [*SCORED, *CHECKED]),
    "key of meta": (submitted(key=1), [*SCORED, *CHECKED]),
    "array": (submitted(extra=1), [*SCORED, *CHECKED]),
    "submitted image": (submitted(image=1), [*SCORED, *CHECKED]),
    "submitted label": (submitted(gender=1), [*SCORED, *CHECKED]),
    "name of an entry": (toml(META, 'name = "first"', 'name = "ATTACK"'), BOARD),
    "team": (toml(META, 'team = "Team"', 'team = "ATTACK"'), BOARD),
    "summary": (toml(META, 'summary = "Noise."', 'summary = "ATTACK"'), BOARD),
    "key of metadata": (toml(META, "[method]", '"ATTACK" = 1\n[method]'), BOARD),
    "address": (toml(META, "[method]", 'code = "https://ATTACK"\n[method]'), BOARD),
    "claim": (lambda place, text: toml(META, "[method]", '[claimed.f1]\n"ATTACK" = 1.0\n[method]')(place, text), BOARD),
    "reference": (referred, BOARD),
    "result": (edited("all/first/result.json", "entry"), BOARD),
    "key of a result": (edited("all/first/result.json", "NEW"), BOARD),
    "benchmark of a result": (edited("all/first/result.json", "score", "benchmark", "version"), BOARD),
    "aspect of a result": (edited("all/first/result.json", "score", "aspects", "NEW"), BOARD),
    "ledger": (edited("all/ledger.jsonl", "entry"), BOARD),
    "key of a ledger": (edited("all/ledger.jsonl", "NEW"), BOARD),
    "folder of an entry": (renamed("all/first", "all/ATTACK"), [["board", "all", *DATA]]),
    "score file": (
        edited("score.json", "benchmark", "name"),
        [["compare", NPZ, "score.json", *DATA], ["export", "hf-eval", "score.json", "--out", "h.json"]],
    ),
    "name in a score file": (
        edited("score.json", "submission", "name"),
        [["score", NPZ, *DATA, "--bootstrap", "0", "--html", "h.html", "--reference", "score.json"]],
    ),
    "list of names": (replaced("names.txt", "p1/1.jpg", "ATTACK.jpg"), CONVERT),
    "features": (renamed("features.npy", "ATTACK.npz"), [["convert", "market", *DATA, "--out", "c.npz"]]),
    "picture": (
        renamed(f"market/query/{'0001_c1s1_000100_00.jpg'}", "market/query/ATTACK.jpg"),
        [["stats", "market"], ["import", "auto", "market", "--out", "imported"], ["groups", "market"]],
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_no_control_character_of_a_stranger_is_printed(
    name: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, commands = PLACES[name]
    for number, text in enumerate((ATTACK, MILD)):
        place = tmp_path / str(number)
        shutil.copytree(model, place)
        monkeypatch.chdir(place)
        change(place, text)
        for command in commands:
            _, output = ran(place, *command)
            assert output
            assert [character for character in output if not character.isprintable() and character != "\n"] == []
        for page in [*place.rglob("*.md"), *place.rglob("*.html"), *place.rglob("*.tex"), *place.rglob("board.csv")]:
            shown = page.read_text(encoding="utf-8")
            assert [character for character in shown if not character.isprintable() and character not in "\n\t"] == []
