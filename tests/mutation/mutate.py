"""Changes one token of the package at a time and reports which changes no test notices.

    python tests/mutation/mutate.py --seed 0 --n 60            # a sample of all rooms in mutation.toml
    python tests/mutation/mutate.py --room metrics --n 1000    # every token of a room, if it has no more
    python tests/mutation/mutate.py --only 1f0c3a2b            # one mutant again, by its id

Cosmic Ray makes the mutants (`pip install '.[test,mutation]'`), in a copy of the project: this one is never changed.
Annotations, docstrings and imports are left alone, since no test could notice. README.md lists the survivors.
"""

import argparse
import ast
import difflib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SWAPS = {"all": "any", "any": "all", "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
NOT_COPIED = (".git", ".mypy_cache", ".ruff_cache", ".hypothesis", ".pytest_cache")
Place = tuple[int, int]
"""Line from 1, and column from 0."""


@dataclass(frozen=True)
class Mutant:
    """One token to change: what an operator of Cosmic Ray does at one of its places in a file.

    Attributes:
        room: the room of mutation.toml to which the file belongs.
        path: the file, relative to the project.
        source: its text.
        operator: the operator.
        occurrence: number of the place among all places of the operator in the file.
        start: where the token begins.
    """

    room: str
    path: str
    source: str
    operator: Any
    occurrence: int
    start: Place

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that name the mutant as long as its file stays the same."""
        name = f"{self.path} {type(self.operator).__name__} {self.occurrence}\n{self.source}"
        return hashlib.sha256(name.encode()).hexdigest()[:8]

    def text(self) -> str:
        """The changed file."""
        from cosmic_ray.mutating import mutate_code

        return str(mutate_code(self.source, self.operator, self.occurrence))

    def change(self) -> str:
        """The lines taken away and added."""
        lines = difflib.unified_diff(self.source.splitlines(), self.text().splitlines(), lineterm="", n=0)
        return "\n".join(f"    {line}" for line in lines if line[:3] not in ("---", "+++"))


def main() -> None:
    """Sample mutants, test each of them, and print the survivors and a score by room; Ctrl-C ends it with the score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--room", action="append", help="a room of mutation.toml; all if not given")
    parser.add_argument("--n", type=int, default=60, help="number of mutants, the same for each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="id of a mutant")
    asked = parser.parse_args()
    settings = tomllib.loads(Path(__file__).with_name("mutation.toml").read_text(encoding="utf-8"))
    rooms = settings["rooms"]
    chosen = {name: rooms[name] for name in asked.room or rooms}
    outcomes: Counter[tuple[str, bool]] = Counter()
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="piq-mutation-") as scratch:
        copy = Path(scratch) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        for mutant in sample(chosen, asked.n, asked.seed, asked.only):
            survived = not notices(copy, mutant, rooms[mutant.room]["tests"], settings["timeout"])
            outcomes[mutant.room, survived] += 1
            print(f"{mutant.id} {'SURVIVED' if survived else 'killed'} {mutant.path}", flush=True)
            if survived:
                print(mutant.change(), flush=True)
    for room in chosen:
        n_killed, n_survived = outcomes[room, False], outcomes[room, True]
        if n_killed + n_survived:
            print(f"{room:10} {n_killed} of {n_killed + n_survived} killed")


def sample(
    rooms: Mapping[str, Mapping[str, Any]], n: int, seed: int, only: Sequence[str] | None = None
) -> list[Mutant]:
    """Tokens drawn evenly from the rooms with one mutant of each, or the mutants with the given ids."""
    drawn: list[Mutant] = []
    for number, (room, settings) in enumerate(rooms.items()):
        mutants = list(mutants_of(room, settings))
        if only:
            drawn += [mutant for mutant in mutants if mutant.id in only]
            continue
        of_token: dict[tuple[str, Place], list[Mutant]] = {}
        for mutant in mutants:
            of_token.setdefault((mutant.path, mutant.start), []).append(mutant)
        rng = random.Random(f"{seed} {room}")
        share = n // len(rooms) + (number < n % len(rooms))
        drawn += [rng.choice(own) for own in rng.sample(list(of_token.values()), min(share, len(of_token)))]
    return drawn


def mutants_of(room: str, settings: Mapping[str, Any]) -> Iterator[Mutant]:
    """All mutants of a room."""
    for folder in settings["source"]:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.name not in settings.get("without", ()):
                yield from _mutants_of_file(room, path)


def notices(copy: Path, mutant: Mutant, tests: Sequence[str], timeout: float) -> bool:
    """Whether a test fails in a copy of the project with this mutant, or does not end."""
    target = copy / mutant.path
    original = target.read_text(encoding="utf-8")
    stem = target.stem
    own = sorted({place for test in tests for place in copy.glob(f"{test}/test_{stem}*.py")})
    files = [*(str(place.relative_to(copy)) for place in own), *tests]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider"]
    command += ["--hypothesis-seed=0", mutant.path, *files]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        target.write_text(mutant.text(), encoding="utf-8")
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return True
    finally:
        target.write_text(original, encoding="utf-8")
    if done.returncode not in (0, 1, 2, 3):
        raise RuntimeError(done.stdout.decode() + done.stderr.decode())
    return done.returncode != 0


def _mutants_of_file(room: str, path: Path) -> Iterator[Mutant]:
    import parso.python.tree  # noqa: F401  (Cosmic Ray expects it to be loaded)
    from cosmic_ray.ast import ast_nodes, get_ast

    source = path.read_text(encoding="utf-8")
    silent = list(_silent_spans(source))
    nodes = list(ast_nodes(get_ast(source)))
    for operator in _operators():
        places = [place for node in nodes for place in operator.mutation_positions(node)]
        for occurrence, (start, stop) in enumerate(places):
            if not any(first <= start and stop <= last for first, last in silent):
                yield Mutant(room, path.relative_to(ROOT).as_posix(), source, operator, occurrence, start)


@cache
def _operators() -> list[Any]:
    """Cosmic Ray's operators that change a value or a branch, and one that swaps functions such as all and any."""
    import parso.python.tree
    from cosmic_ray.operators.operator import Operator
    from cosmic_ray.operators.provider import OperatorProvider

    class Swap(Operator):  # type: ignore[misc, unused-ignore]
        """Swaps the names in SWAPS."""

        def mutation_positions(self, node: Any) -> Iterator[tuple[Place, Place]]:  # noqa: ANN401
            if isinstance(node, parso.python.tree.Name) and node.value in SWAPS:
                yield node.start_pos, node.end_pos

        def mutate(self, node: Any, index: int) -> Any:  # noqa: ANN401
            return parso.python.tree.Name(SWAPS[node.value], node.start_pos, node.prefix)

        @classmethod
        def examples(cls) -> tuple[()]:
            return ()

    provider = OperatorProvider()
    words = ("Number", "Comparison", "BinaryOperator", "Unary", "True", "False", "AndWithOr", "OrWithAnd", "AddNot",
             "Break", "ZeroIteration")  # fmt: skip
    names = sorted(name for name in provider if any(word in name for word in words))
    return [*(provider[name]() for name in names), Swap()]


def _silent_spans(source: str) -> Iterator[tuple[Place, Place]]:
    """Annotations, docstrings, imports and declarations of types: what changes nothing when it runs."""
    for node in ast.walk(ast.parse(source)):
        silent: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            silent = [node.returns, *(one.annotation for one in ast.walk(node.args) if isinstance(one, ast.arg))]
        elif isinstance(node, ast.AnnAssign):
            silent = [node.annotation]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            silent = [node]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            only_types = all(isinstance(name, ast.Name) and name.id.isidentifier() for name in node.targets)
            is_alias = only_types and isinstance(node.targets[0], ast.Name) and _is_camel(node.targets[0].id)
            silent = [node.value] if is_alias else []
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            silent = [node]
        for part in silent:
            if (
                isinstance(part, ast.expr | ast.stmt)
                and part.end_lineno is not None
                and part.end_col_offset is not None
            ):
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _is_camel(name: str) -> bool:
    return name[:1].isupper() and not name.isupper()


if __name__ == "__main__":
    main()
