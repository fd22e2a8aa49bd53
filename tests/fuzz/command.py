"""`python tests/fuzz`: feeds every reader changed files for some time; prints executions and findings at its end."""

import argparse
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from fuzz.readers import ALL_READERS
from fuzz.worker import Finding, made, work

CRASHED = 5.0  # seconds to wait for a process that ended its messages
PROGRESS = 60.0  # seconds between two lines
# Inputs are written there, as removing a folder from a disk takes longer than reading it.
MEMORY = Path("/dev/shm")  # noqa: S108  (it holds a folder with a random name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the fuzzer; 1 if there is a finding, 0 if there is none."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument(
        "readers", nargs="*", metavar="READER", help=f"of {', '.join(ALL_READERS)}; all if none is named"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="time for all readers together")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other inputs")
    parser.add_argument("--number", type=int, help="write this input of the one READER to the folder --out and end")
    parser.add_argument("--out", type=Path, default=Path("fuzz-input"), help="folder for an input")
    chosen = parser.parse_args(arguments)
    names = chosen.readers or list(ALL_READERS)
    if unknown := set(names) - ALL_READERS.keys():
        parser.error(f"unknown: {', '.join(unknown)}")
    if chosen.number is not None:
        chosen.out.mkdir()
        for name, content in made(names[0], chosen.seed, chosen.number).items():
            (chosen.out / name).parent.mkdir(parents=True, exist_ok=True)
            (chosen.out / name).write_bytes(content)
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets commands in the background ignore the first
        signal.signal(number, signal.default_int_handler)
    executions, findings = fuzz(names, chosen.seed, chosen.seconds)
    for name in names:
        print(f"{name:20} {executions[name]:>9,} executions")
    print(f"{'all':20} {sum(executions.values()):>9,} executions, {len(findings)} findings")
    kinds = {(found.reader, found.what): found for found in reversed(findings)}
    for (name, what), found in kinds.items():
        n = sum((each.reader, each.what) == (name, what) for each in findings)
        again = f"python tests/fuzz '{name}' --seed {chosen.seed} --number {found.number}"
        print(f"\n{n} times: {name}: {what}\n  make it: {again}\n{found.detail}")
    return 1 if findings else 0


def fuzz(names: Sequence[str], seed: int, seconds: float) -> tuple[Counter[str], list[Finding]]:
    """Executions by reader, and findings. After a crash, a new process goes on with the next input; Ctrl-C ends all."""
    executions: Counter[str] = Counter(dict.fromkeys(names, 0))
    findings: list[Finding] = []
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None)
    with folder as place, suppress(KeyboardInterrupt):
        _run_all(names, seed, time.monotonic() + seconds, Path(place), executions, findings)
    return executions, findings


def _run_all(
    names: Sequence[str], seed: int, until: float, place: Path, executions: Counter[str], findings: list[Finding]
) -> None:
    """Run inputs until a time, and count executions and findings as they come."""
    spawn, is_done, tells_at = get_context("spawn"), False, time.monotonic() + PROGRESS
    while not is_done and (left := until - time.monotonic()) > 0:
        receiver, sender = spawn.Pipe(duplex=False)
        process = spawn.Process(target=work, args=(sender, names, seed, dict(executions), left, place))
        process.start()
        sender.close()
        last = None
        try:
            while (message := receiver.recv()) is not None:
                if isinstance(message, Finding):
                    findings.append(message)
                else:
                    last = message
                    executions[message[0]] = message[1] + 1
                if time.monotonic() > tells_at:
                    print(f"{sum(executions.values()):,} executions, {len(findings)} findings", flush=True)
                    tells_at += PROGRESS
            is_done = True
        except EOFError:
            process.join(CRASHED)
            reader, number = last or (names[0], 0)
            findings.append(Finding(reader, number, f"ends the process with {process.exitcode}", ""))
        finally:
            if not is_done:
                process.kill()
            process.join()
