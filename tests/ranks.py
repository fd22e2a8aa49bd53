"""Runs a program in several processes that meet in `torch.distributed`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAUNCHER = """
import json, os, sys, traceback
program, path, arguments = json.loads(sys.argv[1])
sys.path[:0] = path
sys.argv = ["-c", *arguments]
status = 0
try:
    exec(program, {"__name__": "__main__"})
except SystemExit as ended:
    status = int(ended.code or 0)
except BaseException:
    traceback.print_exc()
    status = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(status)  # gloo's threads must not meet an interpreter that shuts down
"""


@dataclass(frozen=True)
class Ended:
    """What a process left: exit code, standard output, standard error."""

    code: int
    stdout: str
    stderr: str


def run_ranks(folder: Path, n: int, program: str, *arguments: str) -> list[Ended]:
    """Run a program in n processes; `sys.argv` holds the number of the process and the arguments.

    The processes are not forks of one that has imported torch: its threads do not survive a fork, and forks hang.

    Args:
        folder: an existing folder for what the processes print.
        n: number of processes.
        program: Python code.
        arguments: the program's arguments.
    """
    path = [str(ROOT), *filter(None, sys.path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # threads that wait for each other would share the cores
    running = []
    for rank in range(n):
        task = json.dumps([program, path, [str(rank), *arguments]])
        with (folder / f"{rank}-1").open("wb") as out, (folder / f"{rank}-2").open("wb") as err:
            running.append(
                subprocess.Popen([sys.executable, "-c", LAUNCHER, task], stdout=out, stderr=err, env=environment)
            )
    try:
        codes = [process.wait(120) for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    texts = [[(folder / f"{rank}-{number}").read_text(encoding="utf-8") for number in (1, 2)] for rank in range(n)]
    return [Ended(code, *text) for code, text in zip(codes, texts, strict=True)]
