"""Kills commands at random moments and checks what is left.

    python tests/kill/harness.py --kills 50                   # each command 50 times
    python tests/kill/harness.py --kills 20 groups demo       # some of them

After SIGKILL of the command, none of its processes may be alive after 5 seconds, no output may be in part there, and
the same command, run again, must give the same bytes as an undisturbed run and leave no temporary files. A killed
training resumes from its last epoch, and ends with the weights of an undisturbed run. With `--signal INT`, the command
must end with 130 (or finish) and show no traceback of ours.
"""

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIQ = "from piq_bench.cli import piq\nif __name__ == '__main__':\n    piq()"
TIMES = ("seconds", "images_per_second")  # columns of a log of training
PATIENCE = 5  # seconds that the processes of a killed command may live on
LONGEST = 1800  # seconds of an undisturbed run; training takes more than 300 on a busy machine
Tree = dict[str, str]


@dataclass(frozen=True)
class Case:
    """A command to kill.

    Attributes:
        words: its arguments; run in a folder of its own.
        prepare: puts the inputs into that folder.
        outputs: what it writes there; a name that ends in "/" is a folder.
        scratch: names that a killed run may leave, and that the next run uses up.
        is_sound: a further check of the folder after a kill.
        module: the program, in place of piq.
        resumes: whether it writes its outputs again and again, and goes on from them with --resume.
    """

    words: list[str]
    prepare: Callable[[Path], None]
    outputs: list[str]
    scratch: set[str] = field(default_factory=set)
    is_sound: Callable[[Path], bool] = lambda folder: True
    module: str = ""
    resumes: bool = False


@dataclass
class Report:
    """What the kills of one command left: counts of each finding."""

    kills: int = 0
    ended_before: int = 0
    alive: int = 0
    torn: int = 0
    differ: int = 0
    left: int = 0
    tracebacks: int = 0

    @property
    def faults(self) -> int:
        """Number of broken promises."""
        return self.alive + self.torn + self.differ + self.left + self.tracebacks


def start(case: Case, folder: Path) -> "subprocess.Popen[str]":
    """Start a command in a session of its own, so that its processes can be found."""
    program = ["-m", case.module] if case.module else ["-c", PIQ]
    return subprocess.Popen(
        [sys.executable, *program, *case.words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(case: Case, folder: Path) -> float:
    """Run a command undisturbed; the seconds that it took."""
    began = time.monotonic()
    process = start(case, folder)
    _, errors = process.communicate(timeout=LONGEST)
    if process.returncode != 0:
        raise RuntimeError(f"{case.words} ended with {process.returncode}:\n{errors}")
    return time.monotonic() - began


def kill_many(case: Case, place: Path, kills: int, *, number: int = signal.SIGKILL, seed: int = 0) -> Report:
    """Kill a command at random moments and check what is left each time."""
    whole = place / "whole"
    whole.mkdir()
    case.prepare(whole)
    seconds = finish(case, whole)
    expected, report = tree(whole, case.outputs), Report(kills)
    again = place / "again"
    again.mkdir()
    case.prepare(again)
    seconds = min(seconds, finish(case, again))  # the first run found cold caches
    shutil.rmtree(again)
    moments = random.Random(seed)
    for kill in range(kills):
        folder = place / f"kill{kill}"
        folder.mkdir()
        case.prepare(folder)
        before = {path.name for path in folder.iterdir()}
        process, began = start(case, folder), time.monotonic()
        try:
            process.wait(moments.uniform(0, 1.05 * seconds))
            report.ended_before += 1
            seconds = min(seconds, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        if number == signal.SIGKILL:
            report.alive += alive_after(process.pid)
            process.wait()
        _, errors = process.communicate(timeout=60)
        if number == signal.SIGINT:
            is_ours = "Traceback" in errors and str(ROOT) in errors  # Python shows its own while it starts
            is_bad = is_ours or process.returncode not in (0, 130, -signal.SIGINT)
            report.tracebacks += is_bad
            if is_bad:
                print(f"{case.words[0]}, kill {kill}, ended with {process.returncode}:\n{errors}", flush=True)
        found = tree(folder, case.outputs)
        report.torn += (not case.resumes and is_torn(found, expected)) or not case.is_sound(folder)
        if found != expected:
            finish_over(case, folder)
        report.differ += tree(folder, case.outputs) != expected
        names = {output.rstrip("/").split("/")[0] for output in case.outputs} | before
        report.left += any(path.name not in names for path in folder.iterdir()) or any(folder.rglob(".piq-*"))
        shutil.rmtree(folder)
    return report


def finish_over(case: Case, folder: Path) -> float:
    """Run the command again after a kill; a folder that the killed run has finished is removed first, or resumed."""
    if case.resumes:
        return finish(replace(case, words=[*case.words, "--resume"]), folder)
    for output in case.outputs:
        if output.endswith("/"):
            shutil.rmtree(folder / output, ignore_errors=True)
    return finish(case, folder)


def alive_after(session: int) -> bool:
    """Whether a process of a session is still alive after PATIENCE; such processes are ended."""
    deadline = time.monotonic() + PATIENCE
    while members(session) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = members(session)
    for number in found:
        os.kill(number, signal.SIGKILL)
    return bool(found)


def members(session: int) -> list[int]:
    """Living processes of a session, from /proc; the dead ones that nobody has waited for do not count."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own, *_ = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if int(own) == session and state not in "ZX":
            found.append(int(status.parent.name))
    return found


def tree(folder: Path, outputs: list[str]) -> Tree:
    """SHA-256 of every output file that is there, by its path."""
    files = [path for output in outputs for path in ([folder / output, *(folder / output).rglob("*")])]
    return {str(path.relative_to(folder)): digest(path) for path in files if path.is_file()}


def digest(path: Path) -> str:
    """SHA-256 of a file, without the ledger's dates, what hangs on them, and the times of a training run."""
    if path.name == "ledger.jsonl":
        return f"{path.read_text(encoding='utf-8').count(chr(10))} lines"
    if path.suffix == ".pt":
        return weights_digest(path)
    if path.name == "log.csv":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [{name: row[name] for name in row if name not in TIMES} for row in csv.DictReader(stream)]
        return sha256(json.dumps(rows).encode()).hexdigest()
    return sha256(path.read_bytes()).hexdigest()


def weights_digest(path: Path) -> str:
    """SHA-256 of the weights and the optimiser's state in a checkpoint, which also holds times."""
    import torch

    from reference_model.checkpoint import load

    found = load(path)
    stream = io.BytesIO()
    torch.save([found.n_epochs, found.model, found.objective, found.optimiser], stream)
    return sha256(stream.getvalue()).hexdigest()


def is_torn(found: Tree, expected: Tree) -> bool:
    """Whether a file differs from that of an undisturbed run, or a folder is there in part."""
    folders = {name.split("/")[0] for name in found if "/" in name}
    in_part = any(name not in found for name in expected if "/" in name and name.split("/")[0] in folders)
    return in_part or any(expected.get(name) != value for name, value in found.items())


def loads(folder: Path) -> bool:
    """Whether every checkpoint in a folder can be loaded."""
    from reference_model.checkpoint import checkpoint_files, load

    return all(load(path) for path in checkpoint_files(folder / "run"))


def cases(place: Path) -> dict[str, Case]:
    """The commands, with inputs in `place`."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    import board_builders

    benchmark = board_builders.dataset(place / "tiny")
    entries = place / "submissions"
    for number, name in enumerate(("good", "bad")):
        board_builders.entry(entries / name, benchmark, noise=0.3 + number, seed=number)
    pictures = Case(["demo", "out", "--images", "120", "--workers", "2"], lambda folder: None, ["out/"])
    shutil.copytree(entries, place / "graded")
    for name in ("good", "bad"):
        words = ["grade", str(place / "graded" / name), "--dataset", str(place / "tiny"), "--bootstrap", "9", "--write"]
        finish(Case(words, lambda folder: None, []), place)
    finish(pictures, place)
    tiny, data = ["--dataset", str(place / "tiny")], place / "out"

    def with_pictures(folder: Path) -> None:
        shutil.copytree(data, folder / "data", ignore=shutil.ignore_patterns("groups.csv*"))

    def with_entry(folder: Path) -> None:
        shutil.copytree(entries / "good", folder / "entries" / "good")

    def with_graded(folder: Path) -> None:
        shutil.copytree(place / "graded", folder / "entries")

    return {
        "groups": Case(
            ["groups", "data", "--workers", "2"],
            with_pictures,
            ["data/groups.csv"],
            {"groups.csv.hashed"},
            lambda folder: (folder / "data/groups.csv.json").exists() or not (folder / "data/groups.csv").exists(),
        ),
        "demo": pictures,
        "score": Case(
            ["score", str(entries / "good" / "submission.npz"), *tiny, "--json", "a.json", "--html", "b.html"],
            lambda folder: None,
            ["a.json", "b.html"],
        ),
        "grade": Case(
            ["grade", "entries/good", *tiny, "--write", "--bootstrap", "9", "--budget", "1"],
            with_entry,
            ["entries/good/result.json", "entries/ledger.jsonl"],
        ),
        "board": Case(["board", "entries", *tiny], with_graded, ["entries/leaderboard.md", "entries/board/board.csv"]),
        "train": Case(
            [
                "train",
                str(data),
                "--preset",
                "sim-mtl",
                "--tiny",
                "--epochs",
                "3",
                "--out",
                "run",
                "--device",
                "cpu",
                "--workers",
                "1",
            ],
            lambda folder: None,
            ["run/"],
            module="reference_model",
            is_sound=loads,
            resumes=True,
        ),
    }


def main() -> None:
    """Kill the commands that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commands", nargs="*", help="groups, demo, score, grade, board, train; all without this")
    parser.add_argument("--kills", type=int, default=10, help="kills of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", choices=["KILL", "INT"], default="KILL")
    options = parser.parse_args()
    number = signal.Signals[f"SIG{options.signal}"]
    faults = 0
    with tempfile.TemporaryDirectory() as scratch:
        found = cases(Path(scratch))
        for name in options.commands or found:
            place = Path(scratch, f"place-{name}")
            place.mkdir()
            report = kill_many(found[name], place, options.kills, number=number, seed=options.seed)
            faults += report.faults
            print(f"{name:8} {report}", flush=True)
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
