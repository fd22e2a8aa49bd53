"""Imports run one way: a module imports only from its own subpackage and from subpackages of earlier stages."""

import ast
from collections.abc import Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "piq_bench"
STAGES = [
    {"records", "errors", "documents", "limits"},
    {"metrics", "write"},
    {"images", "cluster"},
    {"group"},
    {"read"},
    {"retrieve"},
    {"describe", "scoring"},
    {"report"},
    {"board", "convert", "export", "demo", "baseline"},
    {"build"},  # no room needs what it makes
    {"api"},
    {"evaluation"},
    {"collector"},
    {"", "cli"},  # "" is piq_bench/__init__.py
]
STAGE = {package: stage for stage, packages in enumerate(STAGES) for package in packages}
Import = tuple[str, str]  # importing and imported module, by dotted name below piq_bench


def modules(package: Path = PACKAGE) -> dict[str, Path]:
    """The path of every module by its dotted name below the package; the package itself is ""."""
    named = {".".join(path.relative_to(package).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {name.removesuffix("__init__").removesuffix("."): path for name, path in named.items()}


def imported(path: Path) -> Sequence[str]:
    """Dotted names of everything that a file imports, inside functions too."""
    return imported_by(path.read_text(encoding="utf-8"))


@cache  # each file is parsed once for all tests
def imported_by(source: str) -> Sequence[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{node.module}: relative imports hide where a name comes from"
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
    return names


def imports_of(package: Path = PACKAGE) -> set[Import]:
    """All imports of one module of the package by another."""
    known = modules(package)
    found = set()
    for name, path in known.items():
        for target in imported(path):
            if target == "piq_bench.__version__" or target.partition(".")[0] != "piq_bench":
                continue  # the version is set before anything is imported
            inner = target.partition(".")[2]
            found.add((name, inner if inner in known else inner.rpartition(".")[0]))
    return {(name, target) for name, target in found if name != target}


def backward_imports(imports: set[Import]) -> set[Import]:
    """The imports from another subpackage that is not of an earlier stage."""
    packages = {pair: (pair[0].partition(".")[0], pair[1].partition(".")[0]) for pair in imports}
    return {pair for pair, (own, other) in packages.items() if own != other and STAGE[own] <= STAGE[other]}


def test_imports_run_one_way() -> None:
    assert backward_imports(imports_of()) == set()


def test_every_subpackage_has_a_stage() -> None:
    assert {name.partition(".")[0] for name in modules()} == STAGE.keys()


def test_no_modules_import_each_other_in_a_cycle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for name, target in imports_of():
        graph[name].add(target)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a cycle of imports: {' -> '.join(reversed(error.args[1]))}")


def test_one_backward_import_is_found(tmp_path: Path) -> None:
    for name, path in modules().items():
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        assert name in modules(tmp_path)
    metric = tmp_path / "metrics" / "piq.py"
    late = "\n\ndef late() -> None:\n    from piq_bench.scoring import score\n"
    metric.write_text(metric.read_text(encoding="utf-8") + late, encoding="utf-8")
    assert backward_imports(imports_of(tmp_path)) == {("metrics.piq", "scoring.score")}


def test_every_reversed_import_is_found() -> None:
    between_packages = {pair for pair in imports_of() if pair[0].partition(".")[0] != pair[1].partition(".")[0]}
    assert len(between_packages) > 100
    reversed_imports = {(target, name) for name, target in between_packages}
    assert backward_imports(reversed_imports) == reversed_imports


def test_the_package_does_not_import_the_reference_model() -> None:
    assert not [name for name, path in modules().items() if any("reference_model" in t for t in imported(path))]


def test_only_the_gpu_engines_and_the_reader_of_torch_files_import_torch() -> None:
    users = {name for name, path in modules().items() if any(t.partition(".")[0] == "torch" for t in imported(path))}
    assert users
    assert {name for name in users if not name.startswith("retrieve.gpu")} == {"convert.unpack_torch"}
