"""Runs a program in several processes that meet in `torch.distributed`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAUNCHER = """
import json, os, sys, traceback
program, path, arguments, outputs, modules = json.loads(sys.argv[1])
sys.path[:0] = path
from importlib import import_module
for module in ("torch.distributed", *modules):  # once for all processes
    import_module(module)
threads = "/proc/self/task"
assert not os.path.exists(threads) or len(os.listdir(threads)) == 1, "threads do not survive a fork"
running = []
for rank, (out, err) in enumerate(outputs):
    child = os.fork()
    if child:
        running.append(child)
        continue
    for number, name in ((1, out), (2, err)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
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
print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in running]))
"""


@dataclass(frozen=True)
class Ended:
    """What a process left: exit code, standard output, standard error."""

    code: int
    stdout: str
    stderr: str


def run_ranks(folder: Path, n: int, program: str, *arguments: str, modules: Sequence[str] = ()) -> list[Ended]:
    """Run a program in n processes; `sys.argv` holds the number of the process and the arguments.

    They are forks of a process that has only imported modules: this one may have threads, which no fork survives.

    Args:
        folder: an existing folder for what the processes print.
        n: number of processes.
        program: Python code.
        arguments: the program's arguments.
        modules: what the program imports besides torch, so that it is imported once for all processes.
    """
    path = [str(ROOT), *filter(None, sys.path)]
    # A pool of threads would not survive the fork either, and several pools would share the cores.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    outputs = [[str(folder / f"{rank}-{number}") for number in (1, 2)] for rank in range(n)]
    task = json.dumps([program, path, arguments, outputs, modules])
    command = [sys.executable, "-c", LAUNCHER, task]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    ) as parent:
        try:
            codes = json.loads(parent.communicate(timeout=120)[0])
        except subprocess.TimeoutExpired:
            os.killpg(parent.pid, signal.SIGKILL)
            raise
    return [
        Ended(code, *(Path(name).read_text(encoding="utf-8") for name in names))
        for code, names in zip(codes, outputs, strict=True)
    ]
