"""Scores one submission for EvalAI, both on EvalAI's hosted workers and on the organiser's remote worker.

The result has the form that EvalAI expects: a row for the split, error bars if every column has one, the score file at
the level of disclosure for the participant, and the full score file for the organiser. Every failure raises one
exception whose text names all problems. A hosted worker calls this code in its own process, so that nothing here may
end the process.
"""

import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from piq_bench.errors import BadInput
from piq_bench.export.host import Failed, Scored, Settings, score_upload
from piq_bench.read.npz import ZIP_ERRORS
from piq_bench.write.files import PIECE_BYTES

REFERENCE_SUFFIXES = (".toml", ".csv", ".json", ".parquet")
MAX_REFERENCE_BYTES = 16 << 30


class EvaluationError(Exception):
    """Why a submission has no score; its author reads the text."""


def evaluate(
    reference: Path, upload: Path, split: str, settings: Settings, *, tell: Callable[[str], None] = print
) -> dict[str, Any]:
    """Score a submission for EvalAI.

    Args:
        reference: the data set with labels: a folder, or a zip of its files.
        upload: file that the participant uploaded.
        split: codename of the split.
        settings: settings of the bundle.
        tell: called with each note for the participant, who sees what a hosted worker prints.

    Returns:
        A result that can be written as JSON, with finite numbers only.

    Raises:
        EvaluationError: if the submission cannot be scored; its text names all problems.
    """
    try:
        with tempfile.TemporaryDirectory() as place:
            scored = score_upload(_unpacked(reference, Path(place)), upload, settings)
            for note in scored.notes:
                tell(f"note: {note}")
            return result_of(scored, split)
    except (BadInput, Failed) as refusal:
        raise EvaluationError(str(refusal)) from None
    except MemoryError:
        raise EvaluationError("the evaluator ran out of memory: a smaller embedding dimension needs less") from None
    except SystemExit as leaving:  # not a subclass of Exception: it would end the worker for all challenges
        raise EvaluationError(f"the evaluator stopped with exit code {leaving.code}; tell the organiser") from None


def result_of(scored: Scored, split: str) -> dict[str, Any]:
    """The result in the form that EvalAI reads."""
    found: dict[str, Any] = {
        "result": [{split: dict(scored.row)}],
        "submission_result": scored.document,
        "submission_metadata": json.dumps(scored.full_document, allow_nan=False),  # EvalAI writes text into a file
    }
    if scored.half_widths is not None:  # for all columns or none: a gap would break EvalAI's leaderboard
        found["error"] = [{split: {f"error_{key}": width for key, width in scored.half_widths.items()}}]
    return found


def remote_result(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a result in the form that a remote worker sends."""
    return [
        {"split": split, "show_to_participant": True, "accuracies": row}
        for entry in found["result"]
        for split, row in entry.items()
    ]


def _unpacked(reference: Path, place: Path) -> Path:
    """Unpack the organiser's zip, which may hold plain file names only; a folder is returned as it is."""
    if reference.is_dir():
        return reference
    n_bytes = 0
    try:
        with zipfile.ZipFile(reference) as archive:
            for member in archive.infolist():
                if "/" in member.filename or Path(member.filename).suffix not in REFERENCE_SUFFIXES:
                    raise Failed(
                        "the reference data is not a zip of a data set's files: the organiser must export it again"
                    )
                with archive.open(member) as source, (place / member.filename).open("xb") as stream:
                    while piece := source.read(PIECE_BYTES):
                        n_bytes += len(piece)
                        if n_bytes > MAX_REFERENCE_BYTES:
                            raise Failed("the reference data is too large")
                        stream.write(piece)
    except ZIP_ERRORS:
        raise Failed("the reference data cannot be read: the organiser must export it again") from None
    return place
