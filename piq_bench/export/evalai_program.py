"""One evaluation for both ways in which EvalAI asks for it: hosted on its workers, and remote on the organiser's.

The answer is EvalAI's: a row by split, error bars where every column has one, the participant's file at the level of
disclosure, the organiser's file in full. Everything that goes wrong is one exception whose text names all problems.
Its hosted workers run us inside themselves, so that nothing here may end the process.
"""

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from piq_bench.errors import BadInput
from piq_bench.export.host import Failed, Scored, Settings, score_upload
from piq_bench.read.npz import ZIP_ERRORS
from piq_bench.write.files import PIECE_BYTES

REFERENCE_SUFFIXES = (".toml", ".csv", ".parquet")
MAX_REFERENCE_BYTES = 16 << 30


class EvaluationError(Exception):
    """Why a submission has no score, for its author to read."""


def evaluate(reference: Path, upload: Path, split: str, settings: Settings) -> dict[str, Any]:
    """Score a submission for EvalAI.

    Args:
        reference: the data set with labels: a folder, or a zip of its files.
        upload: what the participant handed over.
        split: codename under which the row stands.
        settings: of the bundle.

    Returns:
        Plain values that JSON can hold, numbers finite.

    Raises:
        EvaluationError: with all problems in its text.
    """
    try:
        with tempfile.TemporaryDirectory() as place:
            return answer(score_upload(_unpacked(reference, Path(place)), upload, settings), split)
    except (BadInput, Failed) as refusal:
        raise EvaluationError(str(refusal)) from None
    except MemoryError:
        raise EvaluationError("the evaluator ran out of memory: a smaller embedding dimension needs less") from None
    except SystemExit as leaving:  # no Exception: it would end the worker, for every challenge
        raise EvaluationError(f"the evaluator stopped with exit code {leaving.code}; tell the organiser") from None


def answer(scored: Scored, split: str) -> dict[str, Any]:
    """The form that EvalAI reads."""
    found: dict[str, Any] = {
        "result": [{split: dict(scored.row)}],
        "submission_result": scored.document,
        "submission_metadata": scored.full_document,
    }
    if scored.half_widths is not None:  # for every column, or for none: one gap breaks EvalAI's board
        found["error"] = [{split: {f"error_{key}": width for key, width in scored.half_widths.items()}}]
    return found


def remote_result(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same rows as a remote evaluation hands them in."""
    return [
        {"split": split, "show_to_participant": True, "accuracies": row}
        for entry in found["result"]
        for split, row in entry.items()
    ]


def _unpacked(reference: Path, place: Path) -> Path:
    """The organiser's own zip as a folder; plain names only, all the same."""
    if reference.is_dir():
        return reference
    n_bytes = 0
    try:
        with zipfile.ZipFile(reference) as archive:
            for member in archive.infolist():
                if "/" in member.filename or Path(member.filename).suffix not in REFERENCE_SUFFIXES:
                    raise Failed("the reference data is no zip of a data set's files: the organiser must export anew")
                with archive.open(member) as source, (place / member.filename).open("xb") as stream:
                    while piece := source.read(PIECE_BYTES):
                        n_bytes += len(piece)
                        if n_bytes > MAX_REFERENCE_BYTES:
                            raise Failed("the reference data is too large")
                        stream.write(piece)
    except ZIP_ERRORS:
        raise Failed("the reference data cannot be read: the organiser must export anew") from None
    return place
