"""Scores a participant's upload on a challenge host and returns the numbers and reports that the host may show.

The programs for Codabench and EvalAI both call `score_upload`. It uses the same reader and the same `score` as all
other commands. Everything that it returns respects the level of disclosure: numbers, reports and the texts of refusals.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piq_bench.errors import BadInput
from piq_bench.export.columns import PER_CENT, columns_of, half_widths, row_of
from piq_bench.read.dataset import read_benchmark
from piq_bench.read.submission import read_submission
from piq_bench.read.upload import find_submission
from piq_bench.records import Benchmark, Submission
from piq_bench.report.disclosure import DISCLOSURES, disclosed, disclosed_document, redacted_problems
from piq_bench.report.json import digest_of, score_document
from piq_bench.retrieve.engines import choose, work_of
from piq_bench.scoring.records import Score
from piq_bench.scoring.score import require_numbers, score

SCHEMA = "piq-bench/host/1"
SETTINGS = "settings.json"
LOW, HIGH = "piq_low", "piq_high"


@dataclass(frozen=True)
class Settings:
    """The organiser's choices, made when the bundle was written.

    Attributes:
        disclosure: how much results reveal: a level of `report.disclosure`.
        n_resamples: number of bootstrap resamples for the intervals; 0 for no intervals.
        columns: keys of the leaderboard's columns; a host silently drops numbers under other keys.
    """

    disclosure: str
    n_resamples: int
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scored:
    """A scored upload, for the host.

    Attributes:
        row: numbers by key of the column, in per cent.
        half_widths: half the width of each number's interval, by the same keys; None without intervals.
        piq_interval: low and high end of PIQ's interval, in per cent; None without intervals.
        document: the score file at the level of disclosure.
        full_document: the full score file, which only the organiser may see.
        digest: digest of the full score file, by which two results can be compared.
        notes: notes for the participant on how to pack the upload.
        page: makes the HTML report at the level of disclosure.
    """

    row: Mapping[str, float]
    half_widths: Mapping[str, float] | None
    piq_interval: tuple[float, float] | None
    document: Mapping[str, Any]
    full_document: Mapping[str, Any]
    digest: str
    notes: tuple[str, ...]
    page: Callable[[], str]


class Failed(Exception):
    """A failure whose text participants may read: it reveals nothing about labels."""


def score_upload(reference: Path, upload: Path, settings: Settings) -> Scored:
    """Score the upload of a participant.

    Args:
        reference: the data set with labels.
        upload: a .npz file, or a zip or folder with exactly one .npz file.
        settings: settings of the bundle.

    Raises:
        BadSubmission: with every problem found.
        BadDataset: if the reference data is broken; below the level "full", the text reveals nothing about it.
        LimitExceeded: if the submission needs more memory than is allowed.
        Failed: if the evaluator has a bug; below the level "full", the text reveals nothing about the data.
    """
    with (
        _masked_failures(settings.disclosure),
        redacted_problems(settings.disclosure),
        tempfile.TemporaryDirectory() as place,
    ):
        benchmark = read_benchmark(reference)
        columns = columns_of(benchmark)
        if tuple(column.key for column in columns) != settings.columns:
            raise Failed("the reference data and the leaderboard have different tasks: the organiser must export again")
        found = find_submission(upload, Path(place))
        try:
            notes = list(found.notes)
            submission = read_submission(found.path, benchmark, tell=notes.append)
        except BadInput as refusal:
            raise type(refusal)(found.name, refusal.problems) from None  # the participant's name of the file
        count, engine_name = choose("auto", work_of(benchmark, submission))
        result = score(benchmark, submission, n_resamples=settings.n_resamples, engine=count, engine_name=engine_name)
        ends = result.intervals.piq if result.intervals is not None else None
        require_numbers(result)
        document = score_document(result)
        disclosed_score = disclosed_document(document, settings.disclosure)
        if settings.disclosure != "full":
            disclosed_score["disclosure"] = settings.disclosure
        return Scored(
            row=row_of(result, columns),
            half_widths=half_widths(result, columns),
            piq_interval=None if ends is None else (PER_CENT * ends[0], PER_CENT * ends[1]),
            document=disclosed_score,
            full_document=document,
            digest=digest_of(result),
            notes=tuple(notes),
            page=lambda: _page(benchmark, submission, result, settings.disclosure),
        )


def read_settings(path: Path) -> Settings:
    """Read the settings of a bundle.

    Raises:
        Failed: if the file is missing, or was written by another version of this program.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = Settings(content["disclosure"], content["resamples"], tuple(content["columns"]))
        if content["schema"] != SCHEMA or settings.disclosure not in DISCLOSURES or settings.n_resamples < 0:
            raise ValueError("unknown values")
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(f"{path.name} of the bundle cannot be read: the organiser must export it again") from None
    return settings


def settings_json(settings: Settings) -> str:
    """The content of the settings file."""
    content = {
        "schema": SCHEMA,
        "disclosure": settings.disclosure,
        "resamples": settings.n_resamples,
        "columns": list(settings.columns),
    }
    return json.dumps(content, indent=2) + "\n"


def _page(benchmark: Benchmark, submission: Submission, result: Score, level: str) -> str:
    with _masked_failures(level):
        from piq_bench.report.score_html import score_html
        from piq_bench.scoring.drilldown import drill_down

        closer = drill_down(benchmark, submission, result, disclosure=level)
        return score_html(disclosed(result, level), benchmark, digest=digest_of(result), drilldown=closer)


@contextmanager
def _masked_failures(level: str) -> Iterator[None]:
    """Replace an unexpected exception by one that names only its type, since its text may quote a label.

    At the level "full" the exception is raised as it is.
    """
    try:
        yield
    except (BadInput, Failed, MemoryError):
        raise
    except Exception as error:
        if level == "full":
            raise
        text = f"the evaluator failed ({type(error).__name__}): the submission is not at fault; tell the organiser"
        raise Failed(text) from None
