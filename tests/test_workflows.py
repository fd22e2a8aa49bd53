"""What runs with rights never touches a stranger's code, and nothing a stranger controls becomes part of a script."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
WORKFLOWS = sorted((Path(__file__).parents[1] / ".github" / "workflows").glob("*.yml"))
PRIVILEGED = {"pull_request_target", "workflow_run", "issue_comment"}
OWN = r"github\.event\.pull_request\.(number|base\.sha|head\.sha)|matrix\.\w+"  # numbers and hashes: no free text


def loaded(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_safe(path: Path) -> None:
    workflow = loaded(path)
    triggers = workflow[True]  # YAML 1.1 takes `on` for a boolean
    assert not PRIVILEGED & set(triggers)
    assert workflow["permissions"] == {"contents": "read"}
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    for expression in re.findall(r"\$\{\{(.*?)\}\}", text):
        assert re.fullmatch(OWN, expression.strip())
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 30
        assert "permissions" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False
                assert "head" not in str(step["with"].get("ref", ""))


def test_grading_takes_its_tools_from_the_base_branch() -> None:
    steps = loaded(next(path for path in WORKFLOWS if path.name == "grade.yml"))["jobs"]["grade"]["steps"]
    assert steps[0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    script = next(step["run"] for step in steps if step.get("name") == "Grade")
    assert "--net" in script
    assert "checkout" not in "".join(step.get("run", "") for step in steps)


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="no actionlint here")
def test_workflows_are_clean() -> None:
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
