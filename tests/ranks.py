"""Runs a program in several processes that meet in `torch.distributed`; its heavy modules are imported once for all."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAUNCHER = """
import importlib, json, os, sys, traceback
folder, n, imports, program, path, arguments = json.loads(sys.argv[1])
sys.path[:0] = path
for name in imports:
    importlib.import_module(name)

def run(rank):
    for number in (1, 2):
        os.dup2(os.open(f"{folder}/{rank}-{number}", os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["-c", str(rank), *arguments]
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

children = []
for rank in range(n):
    children.append(os.fork())
    if not children[-1]:
        run(rank)
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]))
"""


@dataclass(frozen=True)
class Ended:
    """What a process left: exit code, standard output, standard error."""

    code: int
    stdout: str
    stderr: str


def run_ranks(folder: Path, n: int, program: str, *arguments: str, imports: Sequence[str] = ()) -> list[Ended]:
    """Run a program in n processes; `sys.argv` holds the number of the process and the arguments.

    Args:
        folder: an existing folder for what the processes print.
        n: number of processes.
        program: Python code.
        arguments: the program's arguments.
        imports: modules to import before the processes fork; DistributedDataParallel imports torch._dynamo.
    """
    path = [str(ROOT), *filter(None, sys.path)]
    task = json.dumps([str(folder), n, ["torch", *imports], program, path, arguments])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # threads that wait for each other would share the cores
    command = [sys.executable, "-c", LAUNCHER, task]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, timeout=120, check=True)
    texts = [[(folder / f"{rank}-{number}").read_text(encoding="utf-8") for number in (1, 2)] for rank in range(n)]
    return [Ended(code, *text) for code, text in zip(json.loads(done.stdout), texts, strict=True)]
