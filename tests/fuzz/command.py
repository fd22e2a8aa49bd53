"""Feeds readers changed files for some time, and prints executions and findings.

The files follow from a seed. With --guided, coverage chooses them instead (by atheris: libFuzzer for Python). The
folder --kept then keeps bytes that reached new code, from which a later run goes on, and the bytes of each finding.
"""

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from fuzz.guided import BytesRandom, work_guided
from fuzz.readers import ALL_READERS, Files
from fuzz.worker import Finding, judged, made, work

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
    parser.add_argument("--guided", action="store_true", help="let coverage choose the inputs; each reader in its turn")
    parser.add_argument("--kept", type=Path, default=Path("fuzz-kept"), help="folder of --guided")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--number", type=int, help="write this input of the one READER to the folder --out and read it")
    again.add_argument("--bytes", type=Path, help="the same with the input that the bytes of a finding make")
    parser.add_argument("--out", type=Path, default=Path("fuzz-input"), help="folder for an input")
    chosen = parser.parse_args(arguments)
    names = chosen.readers or list(ALL_READERS)
    if unknown := set(names) - ALL_READERS.keys():
        parser.error(f"unknown: {', '.join(unknown)}")
    if chosen.number is not None:
        return _read_again(names[0], made(names[0], chosen.seed, chosen.number), chosen.out)
    if chosen.bytes is not None:
        return _read_again(names[0], ALL_READERS[names[0]].make(BytesRandom(chosen.bytes.read_bytes())), chosen.out)
    if chosen.guided and find_spec("atheris") is None:
        parser.exit(2, "--guided takes atheris, which is not installed: pip install atheris (Linux has wheels)\n")
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell lets commands in the background ignore the first
        signal.signal(number, signal.default_int_handler)
    source = chosen.kept if chosen.guided else chosen.seed
    executions, findings = fuzz(names, source, chosen.seconds)
    for name in names:
        print(f"{name:20} {executions[name]:>9,} executions")
    print(f"{'all':20} {sum(executions.values()):>9,} executions, {len(findings)} findings")
    kinds = {(found.reader, found.what): found for found in reversed(findings)}
    for (name, what), found in kinds.items():
        n = sum((each.reader, each.what) == (name, what) for each in findings)
        is_numbered = isinstance(found.made_from, int)
        origin = f"--seed {chosen.seed} --number {found.made_from}" if is_numbered else f"--bytes '{found.made_from}'"
        print(f"\n{n} times: {name}: {what}\n  again: python tests/fuzz '{name}' {origin}\n{found.detail}")
    return 1 if findings else 0


def _read_again(name: str, files: Files, out: Path) -> int:
    """Write an input to a folder and read it; 1 if that does not end as it should."""
    out.mkdir()
    for file, content in files.items():
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        (out / file).write_bytes(content)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        found = list(judged(ALL_READERS[name], files, Path(place)))
    print("\n".join(f"{name}: {what}\n{detail}" for what, detail in found) or f"{name}: nothing found")
    return 1 if found else 0


def fuzz(names: Sequence[str], source: int | Path, seconds: float) -> tuple[Counter[str], list[Finding]]:
    """Executions by reader, and findings. After a crash, a new process goes on with the next input; Ctrl-C ends all.

    Args:
        names: of readers.
        source: what inputs are made from: a seed, or the folder that coverage guides to, by reader.
        seconds: for all readers.
    """
    executions: Counter[str] = Counter(dict.fromkeys(names, 0))
    findings: list[Finding] = []
    folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None)
    with folder as place, suppress(KeyboardInterrupt):
        _run_all(names, source, time.monotonic() + seconds, Path(place), executions, findings)
    return executions, findings


def _run_all(
    names: Sequence[str],
    source: int | Path,
    until: float,
    place: Path,
    executions: Counter[str],
    findings: list[Finding],
) -> None:
    """Run inputs until a time, and count executions and findings as they come."""
    spawn, is_done, tells_at = get_context("spawn"), False, time.monotonic() + PROGRESS
    while not is_done and (left := until - time.monotonic()) > 0:
        receiver, sender = spawn.Pipe(duplex=False)
        target = work_guided if isinstance(source, Path) else work
        process = spawn.Process(target=target, args=(sender, names, source, dict(executions), left, place))
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
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid or 0, signal.SIGKILL)  # and its copies
            process.join()
