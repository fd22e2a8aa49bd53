"""Data flows one way, and imports with it: a module imports from its own room and from rooms before it, no others."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "piq_bench"
STAGES = [
    {"records", "errors"},
    {"metrics", "write"},
    {"images"},
    {"group"},
    {"read"},
    {"retrieve"},
    {"describe", "scoring"},
    {"report"},
    {"board", "export", "demo", "baseline"},
    {"api"},
    {"collector"},
    {"", "cli"},  # "" is piq_bench itself, which only lists names
]
STAGE = {room: stage for stage, rooms in enumerate(STAGES) for room in rooms}
Import = tuple[str, str]  # dotted names below piq_bench of the module that imports, and of the imported one


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """Every module by its dotted name below the package, "" for the package itself."""
    named = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {name.removesuffix("__init__").removesuffix("."): path for name, path in named.items()}


def imported(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it, each with the name taken from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imports_of(package: Path = PACKAGE) -> set[Import]:
    """Each import of one module of the package by another."""
    known = modules(package)
    found = set()
    for name, path in known.items():
        for target in imported(path):
            if target == "piq_bench.__version__" or target.partition(".")[0] != "piq_bench":
                continue  # the version is set before anything is imported
            inner = target.partition(".")[2]
            found.add((name, inner if inner in known else inner.rpartition(".")[0]))
    return {(name, target) for name, target in found if name != target}


def against_the_order(imports: set[Import]) -> set[Import]:
    """The imports from a room that is neither the module's own nor before it."""
    rooms = {pair: (pair[0].partition(".")[0], pair[1].partition(".")[0]) for pair in imports}
    return {pair for pair, (own, other) in rooms.items() if own != other and STAGE[own] <= STAGE[other]}


def test_imports_run_one_way() -> None:
    assert against_the_order(imports_of()) == set()


def test_every_room_has_its_place_in_the_order() -> None:
    assert {name.partition(".")[0] for name in modules()} == STAGE.keys()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for name, target in imports_of():
        graph[name].add(target)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(reversed(error.args[1]))}")


def test_one_import_turned_round_is_noticed(tmp_path: Path) -> None:
    for name, path in modules().items():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        assert name in modules(tmp_path)
    metric = tmp_path / "metrics" / "piq.py"
    late = "\n\ndef late() -> None:\n    from piq_bench.scoring import score\n"
    metric.write_text(metric.read_text(encoding="utf-8") + late, encoding="utf-8")
    assert against_the_order(imports_of(tmp_path)) == {("metrics.piq", "scoring.score")}


def test_any_import_turned_round_is_noticed() -> None:
    between_rooms = {pair for pair in imports_of() if pair[0].partition(".")[0] != pair[1].partition(".")[0]}
    assert len(between_rooms) > 100
    turned = {(target, name) for name, target in between_rooms}
    assert against_the_order(turned) == turned


def test_the_package_knows_nothing_of_the_reference_model() -> None:
    assert not [name for name, path in modules().items() if any("reference_model" in t for t in imported(path))]


def test_only_the_gpu_engines_import_torch() -> None:
    users = {name for name, path in modules().items() if any(t.partition(".")[0] == "torch" for t in imported(path))}
    assert users
    assert {name for name in users if not name.startswith("retrieve.gpu")} == set()
