"""Runs the tests of a room on many mutants without starting Python, importing libraries or collecting tests again.

One process loads the libraries, but not the package. For each room it forks a server, which collects the room's tests
once. The server forks a child to run them all as they are and to record which lines each test reaches, then a child per
mutant. A mutant changes the code of one function in memory, so the child puts it into the function as it is and runs
the tests that reach the changed lines, the cheapest first, up to the first that fails or until a minute is over. Where
none reaches them in this process, those run that start processes. A mutant outside functions takes effect only when its
module is imported: a fresh fork collects and runs all tests of the room. The file itself is changed too, for the
processes that tests start.
"""

import importlib
import json
import multiprocessing.process
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from mutation.change import change_in_memory, changed_file
from mutation.forks import BROKEN, end, forked, wait
from mutation.mutants import Mutant

LIBRARIES = (
    "click.testing", "hypothesis.extra.numpy", "imagehash", "jinja2", "numba", "pandas", "PIL.Image", "pyarrow.compute",
    "pyarrow.csv", "pyarrow.parquet", "pydantic", "rich.console", "rich.progress", "scipy.io", "scipy.sparse.csgraph",
    "sklearn.metrics", "threadpoolctl",
)  # fmt: skip
EXAMPLES = 25  # of a property, where its test does not ask for another number
SAME, DIFFERS, DOES_NOT_FIT, TOO_LONG = 0, 1, 3, 4  # what became of a child
WORDS = {SAME: "SURVIVED", TOO_LONG: "NOT NOTICED IN TIME"}  # any other end is "killed"
SECONDS, TIMES = 15, 10  # a test may take some seconds and a multiple of its usual time
LIMIT = 60  # seconds for all tests of a mutant, and twice as many where the package is imported again
STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn")  # events of Python


@dataclass
class Record:
    """What the tests of a room do in the unchanged project.

    Attributes:
        seconds: time of each test that passes, by its name.
        reached: lines that a test reaches, by file and line: names of tests.
        starters: names of tests that start processes, which may reach any line.
        left_out: names of tests that do not pass, or not here.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    starters: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def load_libraries() -> None:
    """Import what the tests import, except the package."""
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)


def outcomes(
    copy: Path, mutants: Sequence[Mutant], settings: Mapping[str, Any], *, all_tests: bool
) -> Iterator[tuple[Mutant, str]]:
    """Each mutant of a room with what the tests that reach it, or all tests of the room, do to it."""
    scratch = copy.parent
    record_path, told = scratch / "record.json", scratch / "outcomes.txt"
    for place in (record_path, told):
        place.unlink(missing_ok=True)
    arguments = _arguments(scratch, settings)
    server = forked(lambda: _serve(copy, mutants, arguments, record_path, told, all_tests), scratch / "server.log")
    by_id = {mutant.id: mutant for mutant in mutants}
    n_read = 0
    ended = False
    try:
        while not ended:
            code_of_server = wait(server, 0.5)
            ended = code_of_server is not None
            lines = told.read_text(encoding="ascii").splitlines() if told.exists() else []
            for line in lines[n_read:]:
                if line.startswith("#"):
                    print(f"{mutants[0].room}: {line[2:]}", flush=True)
                    continue
                name, outcome = line.split()
                yield by_id.pop(name), WORDS.get(int(outcome), "killed")
            n_read = len(lines)
    finally:
        if not ended:
            os.kill(server, signal.SIGTERM)
            wait(server, 5)
        end(server)
    if code_of_server != SAME or not record_path.exists():
        raise RuntimeError((scratch / "server.log").read_text(encoding="utf-8", errors="replace")[-3000:])
    record = Record(**json.loads(record_path.read_text(encoding="utf-8")))
    trusted: set[str] = set()
    failed = scratch / "failed.txt"
    for mutant in by_id.values():

        def attempt(is_changed: bool, order: Sequence[str], mutant: Mutant = mutant) -> int:
            with changed_file(copy, mutant) if is_changed else nullcontext():
                child = forked(lambda: _run_fresh(arguments, record, order, failed), scratch / "fresh.log")
                try:
                    code = wait(child, float("inf") if all_tests else 2 * LIMIT)
                finally:
                    end(child)
            if code == BROKEN:
                raise RuntimeError((scratch / "fresh.log").read_text(encoding="utf-8", errors="replace")[-3000:])
            return TOO_LONG if code is None else code

        code = _outcome(attempt, _by_cost(mutant, record, record.seconds), failed, trusted)
        yield mutant, WORDS.get(code, "killed")


def _outcome(
    attempt: Callable[[bool, Sequence[str]], int], order: Sequence[str], failed: Path, trusted: set[str]
) -> int:
    """The exit status of tests with a change; a test that fails counts only if it passes without the change.

    Args:
        attempt: runs tests in an order, with the change or without it.
        order: names of tests.
        failed: the file to which an attempt writes the name of the test that failed.
        trusted: tests that were seen to pass without a change; more are added.
    """
    while True:
        failed.unlink(missing_ok=True)
        code = attempt(True, order)
        if code != DIFFERS or not failed.exists():
            return code
        name = failed.read_text(encoding="utf-8")
        if name in trusted:
            return code
        if attempt(False, order[: order.index(name) + 1]) == SAME:
            trusted.add(name)
            return code
        order = [other for other in order if other != name]


def _arguments(scratch: Path, settings: Mapping[str, Any]) -> list[str]:
    options = [
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        f"--basetemp={scratch / 'tmp'}",
    ]
    without = [f"--ignore={folder}/{name}" for folder in settings["source"] for name in settings.get("without", ())]
    kept = ["-k", f"not ({' or '.join(settings['slow'])})"] if "slow" in settings else []
    return [*options, *without, *kept, *settings["source"], *settings["tests"]]


class _Plugin:
    """Examples of Hypothesis are few, the same in each run and not made smaller; no test takes for ever."""

    def __init__(self) -> None:
        self.usual: Mapping[str, float] = {}

    def pytest_configure(self) -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile(
            "mutation", deadline=None, database=None, derandomize=True, phases=phases, print_blob=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        hypothesis.settings.load_profile("mutation")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        signal.setitimer(
            signal.ITIMER_REAL, SECONDS + TIMES * self.usual.get(nodeid, 60)
        )  # the signal ends the process


class _Server(_Plugin):
    """Runs the collected tests once as they are, then once per mutant."""

    def __init__(self, work: Callable[["_Server", pytest.Session], None]) -> None:
        super().__init__()
        self.work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted(f"{session.testsfailed} errors while the tests were collected")
        self.work(self, session)
        return True


class _Fresh(_Plugin):
    """Runs tests in the given order, and no others; any mistake while they are collected is a difference."""

    def __init__(self, usual: Mapping[str, float], order: Sequence[str], failed: Path) -> None:
        super().__init__()
        self.usual, self.failed = usual, failed
        self.order = {name: number for number, name in enumerate(order)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self.order), key=lambda item: self.order[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.write_text(report.nodeid, encoding="utf-8")


class _Reports:
    """Whether a test failed or was skipped."""

    def __init__(self) -> None:
        self.failed = self.skipped = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed |= report.failed
        self.skipped |= report.skipped


def _serve(
    copy: Path, mutants: Sequence[Mutant], arguments: list[str], record_path: Path, told: Path, all_tests: bool
) -> int:
    def work(plugin: _Server, session: pytest.Session) -> None:
        begin = time.monotonic()
        child = forked(lambda: _record(copy, session, mutants, record_path))
        if wait(child) != SAME:
            raise RuntimeError("the tests could not be recorded")
        record = Record(**json.loads(record_path.read_text(encoding="utf-8")))
        with told.open("a", encoding="ascii") as lines:
            lines.write(f"# {len(record.seconds)} tests, {len(record.left_out)} left out, "
                        f"recorded in {time.monotonic() - begin:.0f} s\n")  # fmt: skip
        plugin.usual = record.seconds
        items = {item.nodeid: item for item in session.items}
        trusted: set[str] = set()
        failed = told.with_name("failed.txt")
        for mutant in mutants:
            change = change_in_memory(copy, mutant)
            if change is None:
                continue

            def attempt(
                is_changed: bool,
                order: Sequence[str],
                mutant: Mutant = mutant,
                change: Callable[[], bool] = change,
            ) -> int:
                with changed_file(copy, mutant) if is_changed else nullcontext():
                    own = [items[name] for name in order]
                    child = forked(lambda: _try(session, change if is_changed else lambda: True, own, failed))
                    try:
                        code = wait(child, float("inf") if all_tests else LIMIT)
                    finally:
                        end(child)
                if code == BROKEN:
                    raise RuntimeError(f"mutant {mutant.id} could not be tested")
                return TOO_LONG if code is None else code

            order = _by_cost(mutant, record, _reaching(mutant, record))
            if all_tests:
                order += _by_cost(mutant, record, {*record.seconds} - {*order})
            code = _outcome(attempt, order, failed, trusted)
            if code != DOES_NOT_FIT:
                with told.open("a", encoding="ascii") as lines:
                    lines.write(f"{mutant.id} {code}\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return int(pytest.main(arguments, plugins=[_Server(work)]))


def _reaching(mutant: Mutant, record: Record) -> set[str]:
    """Tests that reach the changed lines; if none does here, those that start processes, which may do so."""
    reached = record.reached.get(mutant.path, {})
    return {name for line in mutant.lines() for name in reached.get(str(line), ())} or {*record.starters}


def _by_cost(mutant: Mutant, record: Record, names: Iterable[str]) -> list[str]:
    """Cheap tests first; those that start processes come last, and the module's own come before others as cheap."""
    stem = f"test_{Path(mutant.path).stem}"
    starters = {*record.starters}

    def cost(name: str) -> tuple[bool, float, str]:
        return name in starters, record.seconds[name] / (10 if stem in name else 1), name

    return sorted((name for name in names if name in record.seconds), key=cost)


def _record(copy: Path, session: pytest.Session, mutants: Sequence[Mutant], record_path: Path) -> int:
    import coverage

    files = sorted({mutant.path for mutant in mutants})
    watch = coverage.Coverage(data_file=None, config_file=False, include=[str(copy / path) for path in files])
    record = Record()
    started: list[str] = []
    sys.addaudithook(lambda event, _: started.append(event) if event in STARTS else None)
    start = multiprocessing.process.BaseProcess.start

    def counted_start(process: multiprocessing.process.BaseProcess) -> None:
        started.append("multiprocessing")
        start(process)

    multiprocessing.process.BaseProcess.start = counted_start  # type: ignore[assignment, method-assign]
    watch.start()
    for item in session.items:
        watch.switch_context(item.nodeid)
        started.clear()
        begin = time.monotonic()
        reports = _ran(session, item, None)  # each test makes its own fixtures, so that their lines count for it
        if reports.failed or reports.skipped:
            record.left_out.append(item.nodeid)
        else:
            record.seconds[item.nodeid] = round(time.monotonic() - begin, 4)
            record.starters += [item.nodeid] if started else []
    watch.stop()
    data = watch.get_data()
    for path in files:
        lines = data.contexts_by_lineno(str(copy / path))
        record.reached[path] = {str(line): [name for name in names if name] for line, names in lines.items()}
    record_path.write_text(json.dumps(vars(record)), encoding="utf-8")
    return SAME


def _ran(session: pytest.Session, item: pytest.Item, following: pytest.Item | None) -> _Reports:
    reports = _Reports()
    session.config.pluginmanager.register(reports)
    item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    session.config.pluginmanager.unregister(reports)
    return reports


def _try(session: pytest.Session, change: Callable[[], bool], items: Sequence[pytest.Item], failed: Path) -> int:
    if not change():
        return DOES_NOT_FIT
    for item, following in zip_longest(items, items[1:]):
        try:
            differs = _ran(session, item, following).failed
        except BaseException:  # Ctrl-C in a test of it
            differs = True
        if differs:
            failed.write_text(item.nodeid, encoding="utf-8")
            return DIFFERS
    return SAME


def _run_fresh(arguments: list[str], record: Record, order: Sequence[str], failed: Path) -> int:
    signal.setitimer(signal.ITIMER_REAL, 120)  # a module may take for ever, too
    plugin = _Fresh(record.seconds, order, failed)
    return SAME if pytest.main(["-x", *arguments], plugins=[plugin]) == SAME else DIFFERS
