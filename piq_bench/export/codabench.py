"""Writes a Codabench competition: one zip to upload, with pages, scoring program, labels and starting kit.

It follows the format of Codabench bundles, in which `competition.yaml` refers to all other files by path. The scoring
program is the evaluator itself and one command; the columns of the leaderboard are those of `columns.columns_of`.
"""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from piq_bench import __version__
from piq_bench.errors import BadUsage, Problem, printable
from piq_bench.export import bundle
from piq_bench.export.bundle import Files, Plan, in_folder
from piq_bench.export.host import HIGH, LOW, SETTINGS, settings_json
from piq_bench.export.logo import logo_png
from piq_bench.export.pages import PAGES, markdown_page, yaml_text

CONFIG = "competition.yaml"
COMMAND = "python3 -m piq_bench.export.codabench_program /app/input /app/output"
# host[:port]/path:tag or host[:port]/path@digest, as container engines accept it
IMAGE = re.compile(r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")
TIME_LIMIT_SECONDS = 3600  # per submission; even a full-size gallery takes seconds, but a host may be busy
ONE_SECOND = timedelta(seconds=1)
TITLES = {
    "overview": "Overview",
    "data": "Data",
    "submission": "Submission",
    "evaluation": "Evaluation",
    "terms": "Terms",
}


def write_codabench(path: Path, plan: Plan, image: str, *, force: bool = False) -> None:
    """Write a bundle.

    Args:
        path: path of the zip file.
        plan: the challenge.
        image: name of the Docker image that the organiser builds from image/Dockerfile of the bundle and pushes.
        force: replace an existing file.

    Raises:
        BadUsage: if the name of the image is invalid, or the file exists.
    """
    if not IMAGE.fullmatch(image) or len(image) > 256:
        remedy = "a name that docker can pull, such as docker.io/lab/piq-scoring:1"
        raise BadUsage("--image", [Problem("bad-image", "--image", f"is {printable(image)!r}", remedy)])
    bundle.write_file(path, bundle.zipped(codabench_files(plan, image)), force=force)


def codabench_files(plan: Plan, image: str) -> Files:
    """All files of a bundle by path."""
    values = bundle.page_values(plan, "Codabench")
    files: Files = {
        CONFIG: yaml_text(competition(plan, image)).encode(),
        "logo.png": logo_png(),
        **{f"pages/{page}.md": markdown_page(f"{page}.md", values).encode() for page in PAGES},
        **in_folder("scoring_program", bundle.evaluator_files()),
        "scoring_program/metadata.yaml": yaml_text({"command": COMMAND}).encode(),
        f"scoring_program/{SETTINGS}": settings_json(plan.settings).encode(),
        "image/Dockerfile": dockerfile().encode(),
        "image/requirements.txt": bundle.requirements().encode(),
        "image/README.md": markdown_page("image.md", {"image": image}).encode(),
    }
    for phase in plan.phases:
        files |= in_folder(f"reference_data/{phase.codename}", bundle.reference_files(phase))
        files |= in_folder(f"starting_kit/{phase.codename}", bundle.kit_files(phase))
    return files


def competition(plan: Plan, image: str) -> dict[str, Any]:
    """The content of competition.yaml."""
    content: dict[str, Any] = {
        "version": 2,
        "title": plan.title,
        "description": f"Scored by piq-bench {__version__}.",
        "image": "logo.png",
        "terms": "pages/terms.md",
        "registration_auto_approve": False,
        "docker_image": image,
        "make_programs_available": False,
        "make_input_data_available": False,
        "enable_detailed_results": True,
        "show_detailed_results_in_submission_panel": True,
        "show_detailed_results_in_leaderboard": True,
    }
    if plan.contact:
        content["contact_email"] = plan.contact
    content["pages"] = [{"title": TITLES[page], "file": f"pages/{page}.md"} for page in PAGES]
    content["tasks"] = [
        {
            "index": index,
            "name": phase.name,
            "description": f"Fingerprint {phase.fingerprint}",
            "scoring_program": "scoring_program",
            "reference_data": f"reference_data/{phase.codename}",
        }
        for index, phase in enumerate(plan.phases)
    ]
    content["phases"] = [
        {
            "index": index,
            "name": phase.name,
            "start": date_text(phase.start),
            "end": date_text(phase.end - ONE_SECOND),  # Codabench refuses a phase that ends when the next one starts
            "tasks": [index],
            "max_submissions_per_day": plan.per_day,
            "max_submissions": plan.in_all,
            "execution_time_limit": TIME_LIMIT_SECONDS,
            "starting_kit": f"starting_kit/{phase.codename}",
            "accepts_only_result_submissions": True,
        }
        for index, phase in enumerate(plan.phases)
    ]
    content["leaderboards"] = [
        {"title": plan.title, "key": "main", "submission_rule": "Force_Best", "columns": board_columns(plan)}
    ]
    return content


def date_text(when: datetime) -> str:
    """A time in UTC as text, which YAML quotes: of a time without quotes, Codabench keeps only the day."""
    return when.isoformat(sep=" ", timespec="seconds")


def board_columns(plan: Plan) -> list[dict[str, Any]]:
    """Columns of the leaderboard: it ranks by PIQ, the others break ties; the ends of PIQ's interval are hidden."""
    columns = [(column.key, column.title, False) for column in plan.columns]
    if plan.settings.n_resamples:
        columns += [(LOW, "PIQ, low end", True), (HIGH, "PIQ, high end", True)]
    return [
        {
            "title": title,
            "key": key,
            "index": index,
            "sorting": "desc",
            "precision": plan.precision,
            "hidden": hidden,
        }
        for index, (key, title, hidden) in enumerate(columns)
    ]


def dockerfile() -> str:
    """The Dockerfile of the scoring image: Python and the libraries that the evaluator in the bundle needs."""
    return (
        "# Build and push this image under the name given as docker_image in competition.yaml; see README.md.\n"
        f"FROM python:{bundle.python_version()}-slim\n"
        "COPY requirements.txt /tmp/requirements.txt\n"
        "RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.txt \\\n"
        "    && rm /tmp/requirements.txt\n"
        "# Python and numba must not write caches beside the program.\n"
        "ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/tmp/numba\n"
        "WORKDIR /app/program\n"
    )
