"""Writes an EvalAI challenge: an archive to upload, and a worker that the organiser runs.

EvalAI's own workers support Python only up to 3.9, so the challenge uses remote evaluation: `remote_evaluation/` takes
submissions from EvalAI's queue and scores them on the organiser's machine, which has the labels. The archive to upload
(`challenge.zip`) holds configuration, pages and a package that hosted workers can call. It holds the labels only if
the organiser asks for that; hosted workers of the organiser's own server then score, and no remote worker.
"""

import json
from importlib import resources
from pathlib import Path
from typing import Any

from piq_bench.export import bundle
from piq_bench.export.bundle import Files, Phase, Plan, in_folder
from piq_bench.export.evalai_worker import PHASES, REFERENCE
from piq_bench.export.host import SETTINGS, settings_json
from piq_bench.export.logo import logo_png
from piq_bench.export.pages import PAGES, html_page, markdown_page, yaml_text

CONFIG = "challenge_config.yaml"  # the only YAML file in the zip: EvalAI refuses two
ARCHIVE = "challenge.zip"
SCRIPT = "evaluation_script.zip"
NO_LABELS = "piq-bench/no-labels/1"  # content of the annotation file if labels stay with the organiser
FILE_TYPES = ".npz, .zip"
PUBLIC = 3  # visibility of a leaderboard: 1 organiser, 2 participants see their own entries, 3 everyone


def write_evalai(path: Path, plan: Plan, *, upload_labels: bool = False, force: bool = False) -> None:
    """Write a bundle.

    Args:
        path: path of the new folder.
        plan: the challenge.
        upload_labels: put the labels into challenge.zip, for the organiser's own EvalAI server with newer workers.
        force: replace a folder that this command wrote.

    Raises:
        BadUsage: if the folder exists.
    """
    bundle.write_folder(path, evalai_files(plan, upload_labels=upload_labels), force=force, mark=ARCHIVE)


def evalai_files(plan: Plan, *, upload_labels: bool) -> Files:
    """All files of a bundle by path."""
    values = bundle.page_values(plan, "EvalAI")
    files: Files = {
        "README.md": markdown_page("evalai.md", values | {"upload_labels": upload_labels}).encode(),
        ARCHIVE: bundle.zipped(challenge_files(plan, upload_labels=upload_labels)),
        **in_folder("remote_evaluation", bundle.evaluator_files()),
        f"remote_evaluation/{SETTINGS}": settings_json(plan.settings).encode(),
        f"remote_evaluation/{PHASES}": (json.dumps(splits(plan), indent=2) + "\n").encode(),
        "remote_evaluation/requirements.txt": bundle.requirements().encode(),
    }
    for phase in plan.phases:
        files |= in_folder(f"remote_evaluation/{REFERENCE}/{phase.codename}", bundle.reference_files(phase))
        files |= in_folder(f"starting_kit/{phase.codename}", bundle.kit_files(phase))
    return files


def challenge_files(plan: Plan, *, upload_labels: bool) -> Files:
    """The files of challenge.zip by path."""
    values = bundle.page_values(plan, "EvalAI")
    pages = {page: html_page(markdown_page(f"{page}.md", values)) for page in PAGES}
    pages["overview"] += pages.pop("data")  # EvalAI has no separate page for data
    files: Files = {
        CONFIG: yaml_text(challenge_config(plan, upload_labels=upload_labels)).encode(),
        "logo.png": logo_png(),
        SCRIPT: bundle.zipped(script_files(plan)),
        **{f"templates/{page}.html": text.encode() for page, text in pages.items()},
    }
    for phase in plan.phases:
        text = markdown_page("phase.md", values | {"phase": phase})
        files[f"templates/{phase.codename}.html"] = html_page(text).encode()
        files[annotation_file(phase)] = bundle.zipped(
            bundle.reference_files(phase) if upload_labels else {"labels.txt": f"{NO_LABELS}\n".encode()}
        )
    return files


def script_files(plan: Plan) -> Files:
    """The package that a hosted worker imports; it must be readable for old versions of Python."""
    return {
        "__init__.py": b'"""Called by EvalAI."""\n\nfrom .main import evaluate\n\n__all__ = ["evaluate"]\n',
        "main.py": (resources.files("piq_bench.export") / "templates" / "hosted_main.txt").read_bytes(),
        SETTINGS: settings_json(plan.settings).encode(),
        PHASES: (json.dumps(splits(plan), indent=2) + "\n").encode(),
    }


def splits(plan: Plan) -> dict[str, str]:
    """The codename of each phase's split, by the codename of the phase."""
    return {phase.codename: f"{phase.codename}_split" for phase in plan.phases}


def annotation_file(phase: Phase) -> str:
    """The path of a phase's annotation file in challenge.zip."""
    return f"annotations/{phase.codename}.zip"


def challenge_config(plan: Plan, *, upload_labels: bool) -> dict[str, Any]:
    """The content of challenge_config.yaml."""
    return {
        "title": plan.title,
        "short_description": f"{plan.title}: {len(plan.columns)} scores, ranked by PIQ.",
        "description": "templates/overview.html",
        "evaluation_details": "templates/evaluation.html",
        "terms_and_conditions": "templates/terms.html",
        "image": "logo.png",
        "submission_guidelines": "templates/submission.html",
        "leaderboard_description": "All scores are in per cent; higher is better. PIQ is the mean over the aspects.",
        "evaluation_script": SCRIPT,
        "remote_evaluation": not upload_labels,  # EvalAI gives such a challenge no workers
        "is_docker_based": False,
        "start_date": plan.phases[0].start,
        "end_date": plan.phases[-1].end,
        "published": False,
        "leaderboard": [{"id": 1, "schema": board_schema(plan)}],
        "challenge_phases": [
            {
                "id": number,
                "name": phase.name,
                "description": f"templates/{phase.codename}.html",
                "leaderboard_public": True,
                "is_public": True,
                "is_active": True,
                "is_submission_public": True,
                "start_date": phase.start,
                "end_date": phase.end,
                "test_annotation_file": annotation_file(phase),
                "codename": phase.codename,
                "max_submissions_per_day": plan.per_day,
                "max_submissions_per_month": plan.in_all,
                "max_submissions": plan.in_all,
                "max_concurrent_submissions_allowed": 3,
                "disable_logs": False,
                "allowed_submission_file_types": FILE_TYPES,
                "is_restricted_to_select_one_submission": False,
                "is_partial_submission_evaluation_enabled": False,
            }
            for number, phase in enumerate(plan.phases, 1)
        ],
        "dataset_splits": [
            {"id": number, "name": phase.name, "codename": splits(plan)[phase.codename]}
            for number, phase in enumerate(plan.phases, 1)
        ],
        "challenge_phase_splits": [
            {
                "challenge_phase_id": number,
                "leaderboard_id": 1,
                "dataset_split_id": number,
                "visibility": PUBLIC,
                "leaderboard_decimal_precision": plan.precision,
                "is_leaderboard_order_descending": True,
                "show_leaderboard_by_latest_submission": False,
            }
            for number in range(1, len(plan.phases) + 1)
        ],
    }


def board_schema(plan: Plan) -> dict[str, Any]:
    """The columns of the leaderboard.

    Every column states its sort direction: with a description alone, EvalAI would sort the leaderboard ascending.
    """
    return {
        "labels": [column.key for column in plan.columns],
        "default_order_by": plan.columns[0].key,
        "metadata": {
            column.key: {"sort_ascending": False, "description": column.description} for column in plan.columns
        },
    }
