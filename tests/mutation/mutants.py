"""Mutants: a sample of the tokens of the package, each with one change that Cosmic Ray makes.

Annotations, docstrings and imports are left alone, since no test could notice.
"""

import ast
import difflib
import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SWAPS = {"all": "any", "any": "all", "min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"}
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

    def lines(self) -> range:
        """Lines of the statement to which the token belongs; of a block, its head alone."""
        line = self.start[0]
        found = range(line, line + 1)
        smallest = line + 1
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
                own = _span(node)
                if line in own and len(own) <= smallest:
                    found, smallest = own, len(own)
        return found

    def change(self) -> str:
        """The lines taken away and added."""
        lines = difflib.unified_diff(self.source.splitlines(), self.text().splitlines(), lineterm="", n=0)
        return "\n".join(f"    {line}" for line in lines if line[:3] not in ("---", "+++"))


def sample(
    rooms: Mapping[str, Mapping[str, Any]], n: int, seed: int, only: Sequence[str] | None = None
) -> list[Mutant]:
    """Tokens drawn evenly from the rooms with one mutant of each, or the mutants with the given ids."""
    everything = {room: list(mutants_of(room, settings)) for room, settings in rooms.items()}
    if only:
        return [mutant for mutants in everything.values() for mutant in mutants if mutant.id in only]
    tokens: dict[str, dict[tuple[str, Place], list[Mutant]]] = {}
    for room, mutants in everything.items():
        of_token = tokens.setdefault(room, {})
        for mutant in mutants:
            of_token.setdefault((mutant.path, mutant.start), []).append(mutant)
    n_tokens = sum(map(len, tokens.values()))
    drawn: list[Mutant] = []
    for room, of_token in tokens.items():
        rng = random.Random(f"{seed} {room}")
        share = min(-(-n * len(of_token) // n_tokens), len(of_token))
        drawn += [rng.choice(own) for own in rng.sample(list(of_token.values()), share)]
    return drawn


def _span(node: ast.stmt | ast.ExceptHandler | ast.match_case) -> range:
    first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
    body = getattr(node, "body", None)
    if body:
        return range(first, max(first, body[0].lineno - 1) + 1)
    return range(first, (getattr(node, "end_lineno", None) or first) + 1)


def mutants_of(room: str, settings: Mapping[str, Any]) -> Iterator[Mutant]:
    """All mutants of a room."""
    for folder in settings["source"]:
        for path in sorted((ROOT / folder).glob("*.py")):
            if path.name not in settings.get("without", ()):
                yield from _mutants_of_file(room, path)


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
