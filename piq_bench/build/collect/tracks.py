"""Reads the boxes of a tracker: MOTChallenge text, as JDE, ByteTrack and most trackers write it.

A line is `frame,id,left,top,width,height,confidence,...`, with commas or blanks. What differs between programs is where
counting begins. Frames count from 1, but from 0 in some programs, which shows as soon as a line names frame 0. Pixels
count from 1 in MOTChallenge's own files and from 0 in those of JDE and ByteTrack; no file says which.

A file with exactly nine columns is a ground truth of MOT16 or later: column 7 is a flag, 0 for boxes to ignore, and
column 8 a class, of which only 1, a pedestrian, is kept.
"""

import math
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from piq_bench.errors import BadDataset, LimitExceeded, Problem, printable, quoted
from piq_bench.limits import MAX_TABLE_BYTES, MAX_TABLE_ROWS

FORM = "frame,id,left,top,width,height,confidence,-1,-1,-1"
MIN_COLUMNS = 6
TRUTH_COLUMNS = 9
PEDESTRIAN = 1
UNKNOWN_CONFIDENCE = -1.0
MAX_LINE = 1000  # characters; a line has about 60
MAX_NUMBER = 1 << 31
N_LINES_SHOWN = 3  # of each kind of problem


@dataclass(frozen=True)
class Box:
    """One person in one frame.

    Attributes:
        track: the tracker's number of the person.
        left, top, width, height: in pixels; the first pixel spans 0 to 1.
        confidence: the tracker's own; UNKNOWN_CONFIDENCE where it gives none.
    """

    track: int
    left: float
    top: float
    width: float
    height: float
    confidence: float


@dataclass(frozen=True)
class Tracks:
    """The boxes of one video.

    Attributes:
        boxes: by frame, from 0; in each frame by ascending track.
        left_out: by reason, the frames of boxes left out on reading, from 0.
        frames_from: number of the first frame in the file.
    """

    boxes: dict[int, tuple[Box, ...]]
    left_out: dict[str, tuple[int, ...]]
    frames_from: int


def read_tracks(
    path: Path, *, frames_from: int | None = None, pixels_from: int = 0, min_confidence: float = 0.0
) -> Tracks:
    """Reads the boxes of one video.

    Args:
        path: text file of a tracker.
        frames_from: number of the first frame, 0 or 1; None takes 0 if a line names frame 0, else 1.
        pixels_from: coordinate of the first pixel, 0 or 1.
        min_confidence: boxes with a lower confidence are left out; those without one are kept.

    Raises:
        BadDataset: with every kind of problem found, and the first few lines that have it.
        LimitExceeded: if the file is too large.
    """
    faults = _Faults()
    rows: list[tuple[int, Box]] = []
    left_out: dict[str, list[int]] = {}
    lines_of: dict[tuple[int, int], int] = {}
    for number, line in _lines(path):
        values = _numbers(line, number, faults)
        if values is None:
            continue
        frame, track = int(values[0]), int(values[1])
        if (before := lines_of.setdefault((frame, track), number)) != number:
            faults.add("repeated-track", number, f"track {track} is in frame {frame} already, in line {before}")
            continue
        confidence = values[6] if len(values) > MIN_COLUMNS else UNKNOWN_CONFIDENCE
        reason = _reason(values, confidence, min_confidence)
        if reason is not None:
            left_out.setdefault(reason, []).append(frame)
            continue
        left, top = (value - pixels_from for value in values[2:4])
        rows.append((frame, Box(track, left, top, values[4], values[5], confidence)))
    first = min((frame for frame, _ in lines_of), default=1)
    start = frames_from if frames_from is not None else min(first, 1)
    if first < start:
        faults.add("frame-number", lines_of[min(lines_of)], f"frame {first} comes before frame {start}, the first one")
    if not lines_of and not faults.lines:
        faults.add("no-boxes", 1, "the file has no boxes")
    faults.refuse(path)
    boxes: dict[int, list[Box]] = {}
    for frame, box in rows:
        boxes.setdefault(frame - start, []).append(box)
    ordered = {frame: tuple(sorted(boxes[frame], key=lambda box: box.track)) for frame in sorted(boxes)}
    reasons = {reason: tuple(frame - start for frame in left_out[reason]) for reason in sorted(left_out)}
    return Tracks(ordered, reasons, start)


def _reason(values: list[float], confidence: float, min_confidence: float) -> str | None:
    """Why a box is left out; None if it is kept."""
    if len(values) == TRUTH_COLUMNS and (confidence == 0 or values[7] != PEDESTRIAN):
        return "ignored by the ground truth, or no pedestrian"
    if min(values[4:6]) <= 0:
        return "without area"
    if confidence != UNKNOWN_CONFIDENCE and confidence < min_confidence:
        return "of low confidence"
    return None


def _numbers(line: str, number: int, faults: "_Faults") -> list[float] | None:
    """The numbers of one line; None, and a fault, if it has others than a box needs."""
    texts = [text.strip() for text in line.split(",")] if "," in line else line.split()
    if len(texts) > MIN_COLUMNS and texts[-1] == "":  # some write a comma after the last value
        texts.pop()
    if len(texts) > MIN_COLUMNS and not _is_number(texts[2]):
        faults.add("kitti", number, f"column 3 is {quoted(texts[2])}, as in KITTI's format")
        return None
    try:
        values = [float(text) for text in texts]
    except ValueError:
        wrong = next(text for text in texts if not _is_number(text))
        faults.add("no-number", number, f"{quoted(wrong)} is no number")
        return None
    if len(values) < MIN_COLUMNS:
        faults.add("few-columns", number, f"has {len(values)} of at least {MIN_COLUMNS} columns")
    elif not all(math.isfinite(value) and abs(value) < MAX_NUMBER for value in values[:7]):
        faults.add("not-finite", number, f"{quoted(line.strip())} has a value that is not finite or far too large")
    elif not (values[0].is_integer() and values[1].is_integer() and values[0] >= 0):
        faults.add(
            "frame-number", number, f"frame {texts[0]} and track {texts[1]} must be whole numbers, frames from 0"
        )
    elif values[1] < 0:
        faults.add("no-track", number, f"track {texts[1]} means a detection that belongs to no track")
    else:
        return values
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


REMEDIES = {
    "kitti": f"have the tracker write MOTChallenge text: {FORM}",
    "no-number": f"each line is {FORM}",
    "few-columns": f"each line is {FORM}",
    "not-finite": "correct or remove these lines",
    "frame-number": "check the file, or --frames-from",
    "no-track": "run a tracker, such as ByteTrack or JDE, on the detections",
    "repeated-track": "a track has one box in a frame: correct or remove these lines",
    "no-boxes": "run the tracker again",
}


class _Faults:
    """Collects what is wrong with lines, by kind."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self.counts: Counter[str] = Counter()

    def add(self, code: str, number: int, found: str) -> None:
        """Notes one fault of a line."""
        self.counts[code] += 1
        if self.counts[code] <= N_LINES_SHOWN:
            self.lines.setdefault(code, []).append(f"line {number}: {found}")

    def refuse(self, path: Path) -> None:
        """Raises what was noted."""
        problems = []
        for code, lines in self.lines.items():
            rest = self.counts[code] - len(lines)
            found = "; ".join(lines) + (f"; and {rest:,} more" if rest else "")
            problems.append(Problem(code, path.name, found, REMEDIES[code], self.counts[code]))
        if problems:
            raise BadDataset(str(path), problems)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, with their numbers from 1."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            problem = Problem("unreadable-file", path.name, "is not a regular file", "name a text file")
            raise BadDataset(str(path), [problem])
        if status.st_size > MAX_TABLE_BYTES:
            found = f"has {status.st_size:,} bytes"
            raise LimitExceeded(str(path), [Problem("too-large", path.name, found, f"at most {MAX_TABLE_BYTES:,}")])
        with path.open(encoding="utf-8-sig", errors="replace", newline=None) as stream:
            number = 0
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE or "\0" in line or number > MAX_TABLE_ROWS:
                    found = f"line {number} is longer than {MAX_LINE} characters or no text, or there are too many"
                    raise BadDataset(str(path), [Problem("no-text", path.name, found, f"each line is {FORM}")])
                if line.strip() and not line.startswith("#"):
                    yield number, line
    except OSError as error:
        found = printable(error.strerror or error)
        problem = Problem("unreadable-file", path.name, found, "check the path and its permissions")
        raise BadDataset(str(path), [problem]) from None
