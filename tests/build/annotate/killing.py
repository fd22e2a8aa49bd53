"""Kills the server at random moments while a script clicks, and looks whether every acknowledged click is there.

    python tests/build/annotate/killing.py --kills 20

A click whose answer the server did not live to send may be there or not, but never in part: a click for a track labels
all of it or nothing.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from annotate_builders import make_dataset  # noqa: E402

from piq_bench.build.annotate.ballots import NONE  # noqa: E402
from piq_bench.build.annotate.project import open_project  # noqa: E402

PIQ = "from piq_bench.cli import piq\nif __name__ == '__main__':\n    piq()"
LABELS = ("female", "male", "|?", "|x")


@dataclass
class Report:
    """What the kills left."""

    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    torn: int = 0


def start(dataset: Path) -> tuple["subprocess.Popen[str]", int]:
    """Start a server, and wait until it says its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", PIQ, "annotate", str(dataset), "--port", "0", "--workers", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, int(line.split(":")[2].split("/")[0])


def click_until_killed(port: int, rng: random.Random, said: dict[int, set[str]], report: Report) -> None:
    """Label whole tracks, and note what the server acknowledged: the only value possible afterwards, or two."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
    tracks = [(2, 3), (4, 5)]
    with closing(connection):
        while True:
            rows, value = rng.choice(tracks), rng.choice(LABELS)
            content = {"name": "Ann", "task": "gender", "rows": rows[:1], "value": value, "whole_track": True}
            before = {row: said[row] for row in rows}
            for row in rows:
                said[row] = said[row] | {value}
            try:
                connection.request("POST", "/do/answer", json.dumps(content | {"click": str(rng.random())}), headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return  # it may have been saved, or not
            if answer.status != 200:
                raise AssertionError(f"{answer.status} instead of 200, after {before}")
            for row in rows:
                said[row] = {value}
            report.acknowledged += 1


def kill_many(folder: Path, kills: int, seed: int = 0) -> Report:
    """Kill the server so many times, each time on the data that the last one left."""
    rng, report = random.Random(seed), Report()
    dataset = make_dataset(folder / "data")
    said: dict[int, set[str]] = {row: {""} for row in (2, 3, 4, 5)}
    for _ in range(kills):
        process, port = start(dataset)
        killer = threading.Timer(rng.uniform(0.02, 0.6), lambda process=process: process.send_signal(signal.SIGKILL))
        killer.start()
        click_until_killed(port, rng, said, report)
        killer.join()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        report.kills += 1
        found = answers(dataset)
        report.lost += sum(found[row] not in said[row] for row in said)
        report.torn += sum(found[row] != found[row + 1] for row in (2, 4))
        said = {row: {found[row]} for row in said}
    return report


def answers(dataset: Path) -> dict[int, str]:
    """What the file says that Ann has answered."""
    project = open_project(dataset, writes=False)
    numbers = {name: number for number, name in project.store.annotators().items()}
    given = project.ballots.given["gender"].get(numbers.get("Ann", -9))
    found = {row: project.ballots.text("gender", NONE if given is None else int(given[row])) for row in (2, 3, 4, 5)}
    (sound,) = project.store.base.execute("pragma integrity_check").fetchone()
    project.close()
    assert sound == "ok"
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        print(kill_many(Path(place), parser.parse_args().kills), f"{time.monotonic() - began:.1f} s")
