"""Locked requirements: every file by its hash, from no named registry, and what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "piq_bench" / "export" / "requirements.txt"
BUILD_LOCK = ROOT / ".ci" / "build-requirements.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ENTRY = re.compile(r"(?P<pin>[^#\s][^\\]*?)(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def pins(path: Path) -> list[Requirement]:
    """The locked packages; every line that is no comment belongs to one, with at least one hash."""
    text = "".join(line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[0] != "#")
    assert ENTRY.sub("", text) == ""
    return [Requirement(found["pin"]) for found in ENTRY.finditer(text)]


def locked(path: Path, python: str) -> dict[str, str]:
    """The version of each package for a version of Python on Linux."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, str] = {}
    for pin in pins(path):
        if pin.marker is None or pin.marker.evaluate(here):
            (exact,) = pin.specifier
            assert exact.operator == "=="
            assert canonicalize_name(pin.name) not in found
            found[canonicalize_name(pin.name)] = exact.version
    return found


def wanted(path: Path) -> list[Requirement]:
    """What pyproject.toml asks for directly."""
    project = PYPROJECT["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    return [Requirement(line) for line in (lines if path == LOCK else PYPROJECT["build-system"]["requires"])]


@pytest.mark.parametrize("path", [LOCK, BUILD_LOCK], ids=lambda path: path.name)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_direct_dependency_is_locked_in_a_version_that_is_allowed(path: Path, python: str) -> None:
    found = locked(path, python)
    for requirement in wanted(path):
        assert requirement.specifier.contains(found[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("path", [LOCK, BUILD_LOCK], ids=lambda path: path.name)
def test_a_lock_names_no_registry(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE)  # no option but hashes


def test_the_locked_versions_of_python_are_those_of_the_project() -> None:
    requires = Requirement(f"x{PYPROJECT['project']['requires-python']}").specifier
    assert [minor for minor in range(8, 20) if requires.contains(f"3.{minor}.9")] == [int(p[2:]) for p in PYTHONS]
    classifiers = [line.rpartition(" ")[2] for line in PYPROJECT["project"]["classifiers"] if "Python :: 3." in line]
    assert classifiers == PYTHONS


def test_a_pin_without_a_hash_and_a_wrong_version_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("numpy==2.4.6\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        pins(tmp_path / "a.txt")
    digest = "0" * 64
    (tmp_path / "a.txt").write_text(f"a==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    assert locked(tmp_path / "a.txt", "3.11") == {"a": "1.0"}
