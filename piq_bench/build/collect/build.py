"""Builds a data set from videos and tracks, several videos at once; an interrupted run resumes to the same bytes.

images/SOURCE/FRAME_TRACK.jpg   the portraits
annotations.csv                 one row each, without labels, all in the gallery, so that `piq groups` compares all
benchmark.toml                  the tasks of Portrait250K, to be edited
collect.json                    the options and inputs; a later run with others is refused
.collect/                       what finished videos gave, until all are finished
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Lock

from piq_bench.build.collect.crops import CropSettings
from piq_bench.build.collect.one_video import CutVideo, Portrait, Stopped, cut_video
from piq_bench.build.collect.pairs import Source
from piq_bench.build.collect.tables import IMAGES, write_tables
from piq_bench.build.collect.tracks import Tracks, read_tracks
from piq_bench.build.collect.video import inspect_video
from piq_bench.documents import parse_json
from piq_bench.errors import BadDataset, BadUsage, Problem
from piq_bench.images.processes import available_cores
from piq_bench.write.files import refuse_occupied, sha256_of, write_text
from piq_bench.write.locks import locked_now

SCHEMA = "piq-bench/collect/1"
PARAMETERS, STATE = "collect.json", ".collect"
HEAD_BYTES = 1 << 20  # of a video, which with its size tell whether it is the same


@dataclass(frozen=True)
class CollectSettings:
    """What is collected from every video.

    Attributes:
        every: distance of the frames that are used.
        sequence: "shot" or "track": what the column sequence names.
        frames_from: number of the first frame in the tracks; None to tell by the file.
        pixels_from: coordinate of the first pixel in the tracks.
        min_confidence: boxes with a lower confidence are left out.
        crops: how portraits are cut.
    """

    every: int = 10
    sequence: str = "shot"
    frames_from: int | None = None
    pixels_from: int = 0
    min_confidence: float = 0.0
    crops: CropSettings = field(default_factory=CropSettings)


@dataclass(frozen=True)
class Collected:
    """What a run gave.

    Attributes:
        videos: by name of the source.
        was_complete: whether an earlier run had finished, so that nothing was done.
    """

    videos: Mapping[str, CutVideo]
    was_complete: bool = False

    @property
    def n_portraits(self) -> int:
        """Number of images."""
        return sum(len(video.portraits) for video in self.videos.values())


def collect(
    sources: Sequence[Source],
    out: Path,
    settings: CollectSettings,
    *,
    workers: int | None = None,
    begin: Callable[[int], Callable[[int], None]] = lambda n_frames: lambda steps: None,
) -> Collected:
    """Writes a data set of portraits.

    Args:
        sources: videos with their tracks.
        out: the folder to write: new, or of an earlier run with the same inputs, which is resumed.
        settings: what is collected.
        workers: number of videos at once; None chooses by free cores.
        begin: called with the number of frames of all videos; gives the function to call with the number decoded since
            its last call.

    Raises:
        BadUsage: if the folder holds anything else, or another run is at work on it.
        BadDataset: if a video or its tracks cannot be read, with all problems of all of them; or if nothing is found.
    """
    tracks, n_frames = _inspected(sources, settings)
    with _claimed(out, _parameters(sources, settings)):
        if (out / "annotations.csv").exists():
            shutil.rmtree(out / STATE, ignore_errors=True)
            return Collected({}, was_complete=True)
        videos = _cut_all(sources, tracks, n_frames, out, settings, workers, begin(sum(n_frames.values())))
        if not any(video.portraits for video in videos.values()):
            shutil.rmtree(out / STATE)
            shutil.rmtree(out / IMAGES)
            (out / PARAMETERS).unlink()
            raise BadDataset(str(out), _reasons_of_nothing(videos))
        write_tables(out, videos, sequence=settings.sequence)
        shutil.rmtree(out / STATE)
    return Collected(videos)


def _inspected(sources: Sequence[Source], settings: CollectSettings) -> tuple[dict[str, Tracks], dict[str, int]]:
    """The tracks of all sources, and how many frames each video says it has."""
    tracks, n_frames = {}, {}
    problems: list[Problem] = []
    for source in sources:
        try:
            tracks[source.name] = read_tracks(
                source.tracks,
                frames_from=settings.frames_from,
                pixels_from=settings.pixels_from,
                min_confidence=settings.min_confidence,
            )
        except BadDataset as refusal:
            problems += refusal.problems
        try:
            n_frames[source.name] = inspect_video(source.video).n_frames
        except BadDataset as refusal:
            problems += refusal.problems
    if problems:
        raise BadDataset("piq collect", problems)
    return tracks, n_frames


def _parameters(sources: Sequence[Source], settings: CollectSettings) -> str:
    """The options and inputs as text; equal texts give equal data sets."""
    inputs = {}
    for source in sources:
        with source.video.open("rb") as stream:
            head = hashlib.sha256(stream.read(HEAD_BYTES)).hexdigest()
        inputs[source.name] = {
            "video_bytes": source.video.stat().st_size,
            "video_head_sha256": head,
            "tracks_sha256": sha256_of(source.tracks),
        }
    return json.dumps({"schema": SCHEMA, **asdict(settings), "inputs": inputs}, indent=2) + "\n"


@contextmanager
def _claimed(out: Path, parameters: str) -> Iterator[None]:
    """Makes the folder, or takes over that of an earlier run, and keeps other runs away from it."""
    file = out / PARAMETERS
    if not file.is_file():
        refuse_occupied(out)
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = Problem(
                "cannot-write", "--out", str(error.strerror or error), "choose a folder that can be written"
            )
            raise BadUsage(str(out), [problem]) from None
        write_text(file, parameters)
    elif file.read_text(encoding="utf-8") != parameters:
        changed = _changed(file.read_text(encoding="utf-8"), parameters)
        found = f"was collected with other {changed}"
        raise BadUsage(
            str(out), [Problem("other-run", "--out", found, "name a new folder, or repeat the same options")]
        )
    try:
        lock = locked_now(file)
    except BlockingIOError:
        found = "another run of `piq collect` is writing this folder"
        raise BadUsage(str(out), [Problem("in-use", "--out", found, "wait until it has ended")]) from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _changed(before: str, now: str) -> str:
    """The names of the options that differ."""
    try:
        old, new = parse_json(before), parse_json(now)
    except ValueError:
        return "options"
    if not isinstance(old, dict) or not isinstance(new, dict):
        return "options"
    return ", ".join(name for name in new if old.get(name) != new[name]) or "options"


def _cut_all(
    sources: Sequence[Source],
    tracks: Mapping[str, Tracks],
    n_frames: Mapping[str, int],
    out: Path,
    settings: CollectSettings,
    workers: int | None,
    advance: Callable[[int], None],
) -> dict[str, CutVideo]:
    """The portraits of all videos. Threads suffice: decoding, shrinking and encoding run outside Python's lock."""
    cores = available_cores()
    at_once = min(workers or cores, len(sources))
    stop, lock = Event(), Lock()
    (out / STATE).mkdir(exist_ok=True)

    def cut(source: Source) -> CutVideo:
        done = 0

        def told(steps: int) -> None:  # never more than the header promised, so that the bar ends at its end
            nonlocal done
            with lock:
                advance(min(steps, max(n_frames[source.name] - done, 0)))
                done += steps

        state = out / STATE / f"{source.name}.json"
        found = _stored(state)
        if found is None:
            found = cut_video(
                source.name,
                source.video,
                tracks[source.name],
                out / IMAGES,
                every=settings.every,
                settings=settings.crops,
                encoders=encoders,
                threads=max(1, cores // at_once),
                stop=stop,
                advance=told,
            )
            write_text(state, json.dumps(asdict(found)))
        told(n_frames[source.name])
        return found

    with ThreadPoolExecutor(cores) as encoders, ThreadPoolExecutor(at_once) as pool:
        futures: dict[str, Future[CutVideo]] = {}
        try:
            futures = {source.name: pool.submit(cut, source) for source in sources}
            wait(futures.values(), return_when=FIRST_EXCEPTION)
        finally:
            stop.set()  # nothing is left to do, or one has failed, or the user interrupts
    failed = [error for future in futures.values() if (error := future.exception()) is not None]
    for error in sorted(failed, key=lambda error: isinstance(error, Stopped)):  # what failed, before what it stopped
        raise error
    return {name: future.result() for name, future in futures.items()}


def _stored(state: Path) -> CutVideo | None:
    """What an earlier run found in a video; None if it had not finished it."""
    try:
        content = json.loads(state.read_text(encoding="utf-8"))
        portraits = [Portrait(**portrait) for portrait in content.pop("portraits")]
        return CutVideo(portraits=portraits, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _reasons_of_nothing(videos: Mapping[str, CutVideo]) -> list[Problem]:
    problems = []
    for name, video in videos.items():
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in video.left_out.items())
        found = f"{video.n_frames:,} frames gave no portrait: {reasons or 'none of the chosen frames has a box'}"
        remedy = "lower --every, --min-height or --min-confidence, or check that the tracks belong to the video"
        problems.append(Problem("no-portraits", name, found, remedy))
    return problems
