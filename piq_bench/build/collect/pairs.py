"""Finds the tracks of each video: by name, as MOTChallenge names one file per sequence, or beside the video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from piq_bench.build.collect.tracks import FORM
from piq_bench.errors import BadUsage, Problem, first_few, printable, quoted
from piq_bench.read.validate import MAX_PATH, path_fault

SUFFIX = ".txt"
HOW_TO_TRACK = (
    "run a multi-object tracker, such as ByteTrack (tools/demo_track.py), JDE or FairMOT (demo.py), BoT-SORT or "
    f"OC-SORT, and have it write one line per box, {FORM}, into {{name}}{SUFFIX}; then name that file by --tracks, or "
    "put it beside the video"
)


@dataclass(frozen=True)
class Source:
    """One video and its boxes.

    Attributes:
        name: of the source in the data set: the video's name without its suffix.
        video: the video.
        tracks: the boxes of a tracker.
    """

    name: str
    video: Path
    tracks: Path


def paired(videos: Sequence[Path], tracks: Sequence[Path]) -> list[Source]:
    """The tracks of each video, in ascending order of names.

    Args:
        videos: files of any kind that FFmpeg reads.
        tracks: text files, or folders of them. The one of a video bears its name; a single file belongs to a single
            video whatever its name. Tracks that are not given are looked for beside the video.

    Raises:
        BadUsage: naming every video without tracks, every file that is left, and names that occur twice.
    """
    problems: list[Problem] = []
    names = [video.stem for video in videos]
    for name in dict.fromkeys(names):
        same = [video for video in videos if video.stem == name]
        if len(same) > 1:
            found = f"{len(same)} videos are called {quoted(name)}: {first_few(same, len(same))}"
            problems.append(Problem("same-name", "VIDEO", found, "rename them: the name is the source of their images"))
        if (fault := path_fault(f"{name}/0{SUFFIX}")) is not None or name.startswith("."):
            found = f"{quoted(name)} cannot be a folder of images: {fault or 'it begins with a dot'}"
            problems.append(Problem("bad-name", "VIDEO", found, "rename the video"))
    problems += [
        Problem("missing-file", "VIDEO", f"{_whole(video)} is no file", "check the path")
        for video in videos
        if not video.is_file()
    ]
    given = _by_name(tracks, problems)
    if len(videos) == 1 and len(tracks) == 1 and tracks[0].is_file():
        given = {names[0]: [tracks[0]]}
    sources = []
    for name, video in sorted(zip(names, videos, strict=True)):
        beside = video.with_suffix(SUFFIX)
        found_files = given.pop(name, None) or ([beside] if beside.is_file() else [])
        if not found_files:
            found = f"{_whole(video)} has no tracks: neither --tracks nor {quoted(beside.name)} beside it"
            problems.append(Problem("no-tracks", "--tracks", found, HOW_TO_TRACK.format(name=name)))
        elif len(found_files) > 1:
            found = f"{_whole(video)} has several tracks: {first_few(found_files, len(found_files))}"
            problems.append(Problem("several-tracks", "--tracks", found, "name one of them"))
        else:
            sources.append(Source(name, video, found_files[0]))
    rest = [path for paths in given.values() for path in paths if path in tracks]  # those of a folder may be left
    if rest:
        found = f"belongs to no video: {first_few(rest, len(rest))}"
        problems.append(Problem("unused-tracks", "--tracks", found, "call it like its video", len(rest)))
    if problems:
        raise BadUsage("piq collect", problems)
    return sources


def _by_name(tracks: Sequence[Path], problems: list[Problem]) -> dict[str, list[Path]]:
    """The files of tracks by their names without suffix; those in a folder included."""
    found: dict[str, list[Path]] = {}
    for path in tracks:
        if not path.exists():
            problems.append(Problem("missing-file", "--tracks", f"{_whole(path)} does not exist", "check the path"))
        for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
            found.setdefault(file.stem, []).append(file)
    return found


def _whole(path: Path) -> str:
    """A path that the user has named, with its end, which tells the most."""
    return f"'{printable(path, MAX_PATH)}'"
