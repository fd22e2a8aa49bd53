"""Lets coverage guide the fuzzer: bytes of libFuzzer stand in for chance, and those that reach new code are kept.

The readers are those of the fuzzer without guidance, and so are the changes of valid files: what they draw follows
from the bytes. Code in C counts no coverage. This module imports neither the product nor the readers before it can
watch their import, which puts counters into them.
"""

import faulthandler
import io
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from ctypes import c_ulonglong
from hashlib import sha256
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from fuzz.readers import Reader

COUNTED = ["piq_bench", "tomllib"]
NOT_COUNTED = ["piq_bench.retrieve.kernel"]  # numba compiles it
MOST_BYTES = 2048  # which make an input
MOST_DETAIL = 4000  # characters of what a process said before it ended
CHANCE_BITS = 16
BYTES = "bytes"  # the file with those of the input that is being read
SAID = "said"


class BytesRandom(Random):
    """A generator that draws what some bytes say; once they are used up, it goes on from a fixed seed.

    >>> draw = BytesRandom(b"abc")
    >>> draw.randbytes(2), draw.getrandbits(8), draw.random() == BytesRandom(b"").random()
    (b'ab', 99, True)
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(0)
        self._content, self._place = content, 0

    def random(self) -> float:
        return self.getrandbits(CHANCE_BITS) / (1 << CHANCE_BITS)

    def getrandbits(self, k: int, /) -> int:
        end = self._place + (k + 7) // 8
        if end > len(self._content):
            self._place = len(self._content)
            return super().getrandbits(k)
        drawn = int.from_bytes(self._content[self._place : end], "little")
        self._place = end
        return drawn & ((1 << k) - 1)


def work_guided(
    results: Connection, names: Sequence[str], kept: Path, first: Mapping[str, int], seconds: float, place: Path
) -> None:
    """Run inputs of each reader for its share of the time, and send what `worker.work` sends.

    Args:
        results: gets the name and number of each input before it is read, then a finding if it is one.
        names: of readers.
        kept: folder with a folder for each reader: bytes that reached new code, and bytes of findings. A later run
            goes on from the former.
        first: number of the next input of each reader.
        seconds: for all readers.
        place: folder for inputs.
    """
    import atheris

    os.setpgrp()  # all copies of this process end with it
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = str(place)
    with atheris.instrument_imports(include=COUNTED, exclude=NOT_COUNTED):
        with redirect_stderr(io.StringIO()):  # to which atheris writes the name of each module
            from fuzz.worker import import_for

            import_for(names)
        from fuzz.readers import ALL_READERS

        until = time.monotonic() + seconds
        for i, name in enumerate(names):
            ends = time.monotonic() + (until - time.monotonic()) / (len(names) - i)
            _run_reader(results, ALL_READERS[name], name, kept / name, first[name], ends, place)
    results.send(None)


def _run_reader(
    results: Connection, reader: "Reader", name: str, kept: Path, number: int, ends: float, place: Path
) -> None:
    """Run inputs of one reader in a copy of this process, as libFuzzer ends its process; after a crash, in the next."""
    from fuzz.worker import Finding

    count = RawValue(c_ulonglong, number)
    while count.value == number or time.monotonic() < ends:
        child = os.fork()
        if child == 0:
            _guide(results, reader, name, kept, count, max(1, round(ends - time.monotonic())), place)
        _, status = os.waitpid(child, 0)
        if status == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        if code > 0 or not reader.may_crash:
            said = (place / SAID).read_text(encoding="utf-8", errors="replace")[-MOST_DETAIL:]
            found = _keep(kept, (place / BYTES).read_bytes())
            results.send(Finding(name, found, f"ends the process with {code}", said))
        if count.value == number:  # it ended before its first input, and would again
            return


def _guide(
    results: Connection, reader: "Reader", name: str, kept: Path, count: c_ulonglong, seconds: int, place: Path
) -> NoReturn:
    """Let libFuzzer call one reader for some seconds, and end this process."""
    import atheris
    from fuzz.worker import Finding, judged, raise_hanging

    faulthandler.disable()
    os.dup2(os.open(place / SAID, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), 2)
    os.dup2(2, 1)
    (place / BYTES).write_bytes(b"")

    def read(content: bytes) -> None:
        (place / BYTES).write_bytes(content)
        results.send((name, count.value))
        count.value += 1
        try:
            for what, detail in judged(reader, reader.make(BytesRandom(content)), place):
                results.send(Finding(name, _keep(kept, content), what, detail))
        except BaseException:  # a bug in the fuzzer
            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
            os._exit(1)

    corpus = kept / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = {"max_total_time": seconds, "max_len": MOST_BYTES, "len_control": 0, "timeout": 0, "verbosity": 0}
    options |= {f"handle_{kind}": 0 for kind in ("segv", "bus", "abrt", "ill", "fpe", "int", "term")}
    arguments = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, f"-artifact_prefix={place}/", str(corpus)], read)
    signal.signal(signal.SIGALRM, raise_hanging)
    try:
        atheris.Fuzz()
    finally:
        os.abort()  # it comes back with an exception of C++ that nothing caught, which ends other processes so


def _keep(kept: Path, content: bytes) -> Path:
    """Write the bytes of a finding into their folder."""
    path = kept / "findings" / sha256(content).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
