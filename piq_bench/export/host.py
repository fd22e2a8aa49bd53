"""What runs on a host: reference data and what a participant handed over, to numbers and reports, or to a refusal.

Both adapters, of Codabench and EvalAI, come down to `score_upload`. The submission is read by the same reader as
everywhere, PIQ is computed by the same `score`, and whatever leaves goes through the level of disclosure: numbers,
reports, and the texts of refusals as well.
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
from piq_bench.records import GALLERY, QUERY, Benchmark, Score, Submission
from piq_bench.report.disclosure import DISCLOSURES, disclosed, disclosed_document, redacted_problems
from piq_bench.report.json import digest_of, score_document
from piq_bench.retrieve.engines import choose
from piq_bench.scoring.score import score

SCHEMA = "piq-bench/host/1"
SETTINGS = "settings.json"
LOW, HIGH = "piq_low", "piq_high"


@dataclass(frozen=True)
class Settings:
    """What an organiser decided when a bundle was made.

    Attributes:
        disclosure: a level of `report.disclosure`.
        n_resamples: of the intervals; 0 for none.
        columns: keys that the host's configuration names; others it would drop without a word.
    """

    disclosure: str
    n_resamples: int
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Scored:
    """What a host may be told.

    Attributes:
        row: numbers by key, in per cent.
        half_widths: of their intervals, by the same keys; None where there are none.
        piq_interval: low and high end, in per cent.
        document: the score file at the level of disclosure.
        full_document: the whole score file, for the organiser's eyes only.
        digest: the line that two parties compare.
        notes: for the participant: how the upload should have been packed.
        page: makes the report, at the level of disclosure.
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
    """A failure that a participant may read about; its text holds nothing of labels."""


def score_upload(reference: Path, upload: Path, settings: Settings) -> Scored:
    """Score what a participant handed over.

    Args:
        reference: the data set with labels.
        upload: .npz, or a zip or folder with exactly one.
        settings: of the bundle.

    Raises:
        BadSubmission: with every problem found.
        BadDataset: if the reference data is broken, in words that tell nothing of it below "full".
        LimitExceeded: if the submission asks for more memory than is allowed.
        Failed: for a mistake of ours, in words that tell nothing of the data below "full".
    """
    with _mum(settings.disclosure), redacted_problems(settings.disclosure), tempfile.TemporaryDirectory() as place:
        benchmark = read_benchmark(reference)
        columns = columns_of(benchmark)
        if tuple(column.key for column in columns) != settings.columns:
            raise Failed("the reference data has other tasks than the leaderboard: the organiser must export anew")
        found = find_submission(upload, Path(place))
        try:
            submission = read_submission(found.path, benchmark)
        except BadInput as refusal:
            raise type(refusal)(found.name, refusal.problems) from None  # by its own name, not by that of a copy
        n_queries, n_gallery = (int((benchmark.split == split).sum()) for split in (QUERY, GALLERY))
        count, engine_name = choose("auto", n_queries * n_gallery)
        result = score(benchmark, submission, n_resamples=settings.n_resamples, engine=count, engine_name=engine_name)
        ends = result.intervals.piq if result.intervals is not None else None
        document = score_document(result)
        told = disclosed_document(document, settings.disclosure)
        if settings.disclosure != "full":
            told["disclosure"] = settings.disclosure
        return Scored(
            row=row_of(result, columns),
            half_widths=half_widths(result, columns),
            piq_interval=None if ends is None else (PER_CENT * ends[0], PER_CENT * ends[1]),
            document=told,
            full_document=document,
            digest=digest_of(result),
            notes=found.notes,
            page=lambda: _page(benchmark, submission, result, settings.disclosure),
        )


def read_settings(path: Path) -> Settings:
    """Read what a bundle was made with.

    Raises:
        Failed: if it is not there, or of another version of this program.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings = Settings(content["disclosure"], content["resamples"], tuple(content["columns"]))
        if content["schema"] != SCHEMA or settings.disclosure not in DISCLOSURES or settings.n_resamples < 0:
            raise ValueError("unknown values")
    except (OSError, ValueError, KeyError, TypeError):
        raise Failed(f"{path.name} of the bundle cannot be read: the organiser must export anew") from None
    return settings


def settings_json(settings: Settings) -> str:
    """The text of the file."""
    content = {
        "schema": SCHEMA,
        "disclosure": settings.disclosure,
        "resamples": settings.n_resamples,
        "columns": list(settings.columns),
    }
    return json.dumps(content, indent=2) + "\n"


def _page(benchmark: Benchmark, submission: Submission, result: Score, level: str) -> str:
    with _mum(level):
        from piq_bench.report.score_html import score_html
        from piq_bench.scoring.drilldown import drill_down

        closer = drill_down(benchmark, submission, result, disclosure=level)
        return score_html(disclosed(result, level), benchmark, digest=digest_of(result), drilldown=closer)


@contextmanager
def _mum(level: str) -> Iterator[None]:
    """A mistake of ours may quote what it failed on; below `full` only its kind is told, never its text."""
    try:
        yield
    except (BadInput, Failed, MemoryError):
        raise
    except Exception as error:
        if level == "full":
            raise
        text = f"the evaluator failed ({type(error).__name__}): this is no fault of the submission; tell the organiser"
        raise Failed(text) from None
