"""Workflows: privileged jobs never run untrusted code, and no untrusted text becomes part of a script."""

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

yaml = pytest.importorskip("yaml")
WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.yml"))
ZIZMOR = shutil.which("zizmor", path=str(Path(sys.executable).parent)) or shutil.which("zizmor")
PRIVILEGED_WORKFLOWS = {"comment.yml"}
PRIVILEGED = {"pull_request_target", "workflow_run", "issue_comment"}
OWN = (  # numbers, hashes and inputs that a maintainer wrote: no untrusted text
    r"github\.event\.pull_request\.(number|base\.sha|head\.sha)|github\.event\.workflow_run\.(id|head_sha)"
    r"|github\.(token|repository)|runner\.temp|matrix\.\w+|inputs\.\w+( \|\| '\.')?"
)


def loaded(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def named(name: str) -> Path:
    return next(path for path in WORKFLOWS if path.name == name)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_safe(path: Path) -> None:
    workflow = loaded(path)
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "allow-unsafe" not in text  # an option of actions/checkout that accepts untrusted code
    for expression in re.findall(r"\$\{\{(.*?)\}\}", text):
        assert re.fullmatch(OWN, expression.strip())
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])  # a tag can move
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
                assert "head" not in str(step["with"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_comment_workflow_is_privileged_and_checks_out_the_default_branch(path: Path) -> None:
    workflow = loaded(path)
    triggers = set(workflow[True])  # YAML 1.1 takes `on` for a boolean
    if path.name not in PRIVILEGED_WORKFLOWS:
        assert not PRIVILEGED & triggers
        assert workflow["permissions"] == {"contents": "read"}
        assert not [job for job in workflow["jobs"].values() if "permissions" in job]
        return
    assert triggers == {"workflow_run"}
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    assert job["permissions"] == {"actions": "read", "contents": "read", "pull-requests": "write"}
    for step in job["steps"]:
        assert "git fetch" not in step.get("run", "")
        if step.get("uses", "").startswith("actions/checkout"):
            assert set(step["with"]) == {"persist-credentials"}
        if step.get("uses", "").startswith("actions/download-artifact"):
            assert step["with"]["path"].startswith("${{ runner.temp }}")  # outside the checked-out tools


def test_grading_takes_its_tools_from_the_base_branch_and_has_no_network() -> None:
    steps = loaded(named("grade.yml"))["jobs"]["grade"]["steps"]
    assert steps[0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    script = next(step["run"] for step in steps if step.get("name") == "Grade")
    for part in ("unshare --net", "--no-new-privs", "ulimit", "::stop-commands::"):
        assert part in script
    assert "checkout" not in "".join(step.get("run", "") for step in steps)


def test_the_comment_follows_grading() -> None:
    assert loaded(named("comment.yml"))[True]["workflow_run"]["workflows"] == [loaded(named("grade.yml"))["name"]]


UNSAFE = """\
name: Unsafe
on: pull_request_target
permissions: write-all
jobs:
  grade:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: echo "${{ github.event.pull_request.title }}"
"""


def run(*command: object) -> tuple[int, str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="no check-jsonschema here")
def test_workflows_match_the_schema_of_github(tmp_path: Path) -> None:
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows")
    code, output = run(*check, *WORKFLOWS)
    assert code == 0, output
    (tmp_path / "wrong.yml").write_text(UNSAFE.replace("runs-on", "run-on"), encoding="utf-8")
    code, output = run(*check, tmp_path / "wrong.yml")
    assert code == 1
    assert "runs-on" in output


@pytest.mark.skipif(ZIZMOR is None, reason="no zizmor here")
def test_an_audit_finds_dangers_in_an_unsafe_workflow_and_none_in_ours(tmp_path: Path) -> None:
    audit = (ZIZMOR, "--offline", "--no-progress", "--no-config")
    code, output = run(*audit, *WORKFLOWS)
    assert code == 0, output
    (tmp_path / "unsafe.yml").write_text(UNSAFE, encoding="utf-8")
    code, output = run(*audit, tmp_path / "unsafe.yml")
    assert code != 0
    for name in ("dangerous-triggers", "template-injection", "unpinned-uses"):
        assert name in output


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_scripts_of_workflows_are_clean(path: Path, tmp_path: Path) -> None:
    """Scripts are checked as GitHub runs them: by bash, stopping at the first failing command."""
    scripts = [step["run"] for job in loaded(path)["jobs"].values() for step in job["steps"] if "run" in step]
    for script in scripts:
        (tmp_path / "script").write_text(f"#!/bin/bash\nset -e -o pipefail\n{script}", encoding="utf-8")
        code, output = run("bash", "-n", tmp_path / "script")
        assert code == 0, output
        if shutil.which("shellcheck") is not None:
            code, output = run("shellcheck", tmp_path / "script")
            assert code == 0, output


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="no actionlint here")
def test_actionlint_finds_no_problems() -> None:
    code, output = run("actionlint", *WORKFLOWS)
    assert code == 0, output


def test_graders_install_only_what_is_locked_and_ci_runs_on_every_python_and_system() -> None:
    script = "".join(step.get("run", "") for step in loaded(named("grade.yml"))["jobs"]["grade"]["steps"])
    installs = [line for line in script.splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)
    jobs = loaded(named("ci.yml"))["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {system.split("-")[0] for system in jobs["systems"]["strategy"]["matrix"]["system"]} == {"macos", "windows"}
    assert {one["resolution"] for one in jobs["versions"]["strategy"]["matrix"]["include"]} == {
        "lowest-direct",
        "highest",
    }
    assert any("tests/fuzz --seconds 60" in step.get("run", "") for step in jobs["fuzz"]["steps"])


def test_once_a_week_the_fuzzer_and_the_properties_run_long() -> None:
    workflow = loaded(named("weekly.yml"))
    assert "cron" in workflow[True]["schedule"][0]
    scripts = {name: "".join(step.get("run", "") for step in job["steps"]) for name, job in workflow["jobs"].items()}
    seconds = re.search(r"python tests/fuzz --seconds (\d+)", scripts["fuzz"])
    assert seconds is not None
    assert 600 <= int(seconds[1]) < 60 * workflow["jobs"]["fuzz"]["timeout-minutes"] - 300
    assert "python tests/fuzz --guided" in scripts["guided"]
    assert "--hypothesis-profile thorough -m hypothesis" in scripts["examples"]
    assert settings.get_profile("thorough").max_examples >= 20 * settings.get_profile("patient").max_examples
