"""Changes one token of the package at a time and reports which changes no test notices.

    python tests/mutation --seed 0 --n 300                 # a sample of all rooms in mutation.toml
    python tests/mutation --room metrics --n 1000          # every token of a room, if it has no more
    python tests/mutation --only 1f0c3a2b                  # one mutant again, by its id

Cosmic Ray makes the mutants (`pip install '.[test,mutation,coverage]'`), in a copy of the project: this one is never
changed. README.md lists the survivors.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections import Counter
from contextlib import suppress
from pathlib import Path

from mutation.mutants import ROOT, sample
from mutation.warm import load_libraries, outcomes

NOT_COPIED = (".git", ".mypy_cache", ".ruff_cache", ".hypothesis", ".pytest_cache")


def main() -> None:
    """Sample mutants, test each of them, and print the survivors and a score by room, also after Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--room", action="append", help="a room of mutation.toml; all if not given")
    parser.add_argument("--n", type=int, default=60, help="number of mutants, shared among the rooms by their tokens")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="id of a mutant")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = tomllib.loads(Path(__file__).with_name("mutation.toml").read_text(encoding="utf-8"))
    rooms = settings["rooms"]
    drawn = sample({room: rooms[room] for room in asked.room or rooms}, asked.n, asked.seed, asked.only)
    score: Counter[tuple[str, str]] = Counter()
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="piq-mutation-") as scratch:
        copy = Path(scratch, "project")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        sys.path[:] = [str(copy), *(place for place in sys.path if Path(place or ".").resolve() != ROOT)]
        os.environ["PYTHONPATH"] = str(copy)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        os.chdir(copy)
        load_libraries()
        for room in asked.room or rooms:
            own = [mutant for mutant in drawn if mutant.room == room]
            if not own:
                continue
            for mutant, outcome in outcomes(copy, own, rooms[room], all_tests=bool(asked.only)):
                score[room, outcome] += 1
                print(f"{mutant.id} {outcome} {mutant.path}", flush=True)
                if outcome != "killed":
                    print(mutant.change(), flush=True)
    for room in rooms:
        n_tested = sum(n for (of_room, _), n in score.items() if of_room == room)
        if n_tested:
            print(f"{room:10} {score[room, 'killed']} of {n_tested} killed")
