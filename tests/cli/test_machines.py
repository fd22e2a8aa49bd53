"""Commands where something is closed, full, read-only or named twice: a sentence and the right exit code."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import board_builders
import pytest
from click.testing import CliRunner

from piq_bench.board import ledger
from piq_bench.cli import Command, end_quietly, load_command, piq
from piq_bench.read.dataset import read_benchmark
from piq_bench.write import files

PIQ = "from piq_bench.cli import piq; piq.main(prog_name='piq')"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("machines")
    benchmark = board_builders.dataset(folder / "tiny")
    board_builders.entry(folder / "entries" / "good", benchmark, noise=0.3)
    return folder


def call(place: Path, *words: object) -> tuple[int, str]:
    done = CliRunner().invoke(piq, [*map(str, words), "--dataset", str(place / "tiny")])
    assert "Traceback" not in done.output and not isinstance(done.exception, OSError)
    return done.exit_code, done.stderr


def shell(place: Path, redirections: str, words: str = "check entries/good/submission.npz --dataset tiny") -> int:
    """The exit code of a command whose streams a shell has redirected; its messages go to the file "messages"."""
    script = f'"{sys.executable}" -c "{PIQ}" {words} {redirections}'
    environment = {key: value for key, value in os.environ.items() if key != "HOME"}
    return subprocess.run(["bash", "-c", script], cwd=place, env=environment, check=False).returncode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("redirections", "code", "words"),
    [
        (">/dev/full 2>messages", 6, "No space left on device"),
        (">&- 2>messages", 2, "standard output: refused"),
        (">printed 2>/dev/full", 0, ""),
        (">printed 2>&-", 0, ""),
        ("2>messages | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_streams_that_take_nothing(place: Path, redirections: str, code: int, words: str) -> None:
    (place / "messages").write_text("", encoding="utf-8")
    assert shell(place, redirections) == code
    messages = (place / "messages").read_text(encoding="utf-8")
    assert words in messages and "Traceback" not in messages and "Exception" not in messages
    if ">printed" in redirections:
        assert "valid" in (place / "printed").read_text(encoding="utf-8")


@pytest.mark.parametrize("redirections", ["2>&-", "2>/dev/full"])
def test_a_refusal_that_cannot_be_told_keeps_its_code_and_stays_off_standard_output(
    place: Path, redirections: str
) -> None:
    assert shell(place, f">printed {redirections}", "check nowhere.npz --dataset tiny") == 3
    assert not (place / "printed").read_text(encoding="utf-8")


def interrupted(program: str) -> tuple[int, str]:
    """The exit code and the messages of a Python program in which `interrupt()` is Ctrl-C."""
    beginning = "import signal, sys\ninterrupt = lambda: signal.raise_signal(signal.SIGINT)\n"
    done = subprocess.run(
        [sys.executable, "-c", beginning + program, "selftest"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("module", ["click", "click.types", "piq_bench.report.selftest", "numpy", "numba"])
def test_an_interrupt_while_a_module_is_imported_shows_no_traceback(module: str) -> None:
    hook = f"sys.addaudithook(lambda event, of: interrupt() if event == 'import' and of[0] == {module!r} else None)"
    code, messages = interrupted(f"{hook}\nfrom piq_bench.cli import piq\npiq()")
    assert (code, messages) in {(130, "interrupted\n"), (-signal.SIGINT, "interrupted\n")}


def test_an_interrupt_that_numpy_makes_another_error_of_shows_no_traceback() -> None:
    program = """
import numpy as np
import piq_bench.cli
two = np.zeros(2, dtype="i4,i4")
np._core._internal._promote_fields = lambda *types: interrupt()
two == two
"""
    assert interrupted(program) == (130, "interrupted\n")


def test_an_interrupt_that_python_wrapped_into_another_error_shows_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrapped = RuntimeError("Error calling __set_name__")
    wrapped.__cause__ = KeyboardInterrupt()
    with pytest.raises(SystemExit) as end:
        end_quietly(RuntimeError, wrapped, None)
    end_quietly(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\ninterrupted\n"
    end_quietly(RuntimeError, RuntimeError("ours"), None)
    assert "RuntimeError: ours" in capsys.readouterr().err


def test_an_interrupt_while_arguments_are_parsed_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Command, "parse_args", interrupted)
    with pytest.raises(SystemExit) as of_command:
        piq.main(["score", "a.npz"])
    with pytest.raises(SystemExit) as of_itself:
        load_command("score").main(["a.npz"])
    monkeypatch.setattr(type(piq), "parse_args", interrupted)
    with pytest.raises(SystemExit) as of_group:
        piq.main(["score", "a.npz"])
    assert [end.value.code for end in (of_command, of_itself, of_group)] == [130] * 3
    assert capsys.readouterr().err == "interrupted\n" * 3


def test_nothing_is_imported_before_an_interrupt_is_answered() -> None:
    """Ctrl-C during an import before that shows a traceback."""
    root = str(Path(__file__).parents[2])
    program = f"import sys; sys.path.insert(0, {root!r}); old = set(sys.modules)\nimport piq_bench\n"
    program += "print(*set(sys.modules) - old)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["piq_bench"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_idle_threads_of_numpy_sleep() -> None:
    program = """\
import os, time
from piq_bench.cli import piq
import numpy
numpy.ones((512, 512)) @ numpy.ones((512, 512))
time.sleep(0.3)
for task in set(os.listdir("/proc/self/task")) - {str(os.getpid())}:
    times = open(f"/proc/self/task/{task}/stat").read().rpartition(")")[2].split()
    print((int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "OMP"))}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert all(float(seconds) < 0.05 for seconds in done.stdout.split())


def test_an_output_is_neither_an_input_nor_another_output(place: Path) -> None:
    entry = place / "entries" / "good" / "submission.npz"
    before = entry.read_bytes()
    clashes = [
        ("score", entry, "--json", entry),
        ("score", entry, "--json", place / "a", "--html", place / "tiny" / ".." / "a"),
        ("score", entry, "--json", place / "tiny" / "annotations.csv"),
        ("convert", entry, "--out", entry),
        ("grade", entry.parent, "--out", place / "a", "--ledger", place / "a"),
    ]
    for words in clashes:
        code, message = call(place, *words)
        assert code == 2
        assert "[same-file]" in message or "[input-file]" in message
    assert entry.read_bytes() == before
    assert not (place / "a").exists()
    code, _ = call(place, "score", entry, "--bootstrap", 0, "--json", os.devnull, "--html", os.devnull)
    assert code == 0 and not Path(os.devnull).is_file()


def test_a_name_that_is_too_long_is_refused_before_any_work(place: Path) -> None:
    code, message = call(place, "score", "nowhere", "--json", place / ("x" * 300))
    assert code == 2 and "File name too long" in message


def test_a_full_disk_spends_no_budget(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    entry = tmp_path / "entries" / "good"
    board_builders.entry(entry, read_benchmark(place / "tiny"), noise=0.3)
    book = entry.parent / ledger.FILE
    words = ("grade", entry, "--write", "--bootstrap", 9, "--budget", 1)
    locked = files._locked

    def full(path: Path, **options: bool) -> object:
        if path.name == "result.json":
            raise OSError(28, "No space left on device")
        return locked(path, **options)

    with monkeypatch.context() as disk:
        disk.setattr(files, "_locked", full)
        code, message = call(place, *words)
    assert code == 6 and "No space left" in message
    assert not book.exists() and not (entry / "result.json").exists()
    assert call(place, *words)[0] == 0
    line, result = book.read_bytes(), (entry / "result.json").read_bytes()
    (entry / "result.json").unlink()  # as if the power had failed between the ledger and the result
    assert call(place, *words)[0] == 0
    assert book.read_bytes() == line and (entry / "result.json").read_bytes() == result
    assert call(place, *words)[0] == 6  # a finished grading is not repeated


def test_a_link_in_place_of_a_result_is_not_followed(place: Path, tmp_path: Path) -> None:
    entry = tmp_path / "entries" / "good"
    board_builders.entry(entry, read_benchmark(place / "tiny"), noise=0.3)
    (tmp_path / "precious").write_text("text", encoding="utf-8")
    (entry / "result.json").symlink_to(tmp_path / "precious")
    code, _ = call(place, "grade", entry, "--write", "--bootstrap", 0)
    assert code in (2, 3)
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "text"
