"""`piq collect`: cuts portraits out of videos along the boxes of a tracker and writes them as a data set."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piq_bench.cli import Command, tell_note, try_next
from piq_bench.errors import exit_codes

if TYPE_CHECKING:
    from piq_bench.build.collect.one_video import CutVideo

MOST_PIXELS = 4096
TRACKS = "--tracks"


class TakesSeveralTracks(Command):
    """Accepts several files after one --tracks, as a shell expands a pattern; they end at the next option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat --tracks before each of its files."""
        repeated: list[str] = []
        in_tracks = False
        for arg in args:
            if arg.startswith("-"):
                in_tracks = arg == TRACKS
                repeated.append(arg)
            elif in_tracks and repeated[-1] != TRACKS:
                repeated += [TRACKS, arg]
            else:
                repeated.append(arg)
        return super().parse_args(ctx, repeated)


@click.command(
    "collect",
    cls=TakesSeveralTracks,
    sections={
        "What is collected": "--tracks --every --out --sequence --min-height --min-confidence",
        "How portraits are cut": "--size --padding --type",
        "How the tracker counts": "--frames-from --pixels-from",
        "Running": "--workers",
    },
    examples=(
        "piq collect film.mp4 --tracks film.txt --every 10 --out DATASET",
        "piq collect a.mp4 b.mp4 c.mkv --tracks tracks --every 25 --out DATASET",
    ),
)
@click.argument("videos", metavar="VIDEO...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    TRACKS,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE...",
    help="Boxes of a tracker, one file for each video and called like it, or a folder of them."
    " [default: VIDEO's name with .txt, beside it]",
)
@click.option(
    "--every", type=click.IntRange(1), default=10, show_default=True, help="Use frames 0, N, 2N, ... of each video."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write, or to resume.")
@click.option(
    "--sequence",
    type=click.Choice(["shot", "track"]),
    default="shot",
    show_default=True,
    help="What the column sequence names: the shot, which ends at a cut, or the track.",
)
@click.option(
    "--min-height",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Leave out boxes of which fewer pixel rows are inside the picture.",
)
@click.option(
    "--min-confidence",
    type=float,
    default=0.0,
    show_default=True,
    help="Leave out boxes of which the tracker is less sure.",
)
@click.option(
    "--size",
    nargs=2,
    type=click.IntRange(1, MOST_PIXELS),
    default=(256, 128),
    show_default=True,
    metavar="HEIGHT WIDTH",
    help="Size of the portraits; boxes are stretched to it.",
)
@click.option(
    "--padding",
    type=click.FloatRange(0, 2),
    default=0.0,
    show_default=True,
    help="Share of a box's width and height to add on each side.",
)
@click.option("--type", "file_type", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@click.option(
    "--frames-from",
    type=click.Choice(["0", "1"]),
    help="Number of the first frame in the tracks. [default: 0 if a line names frame 0, else 1]",
)
@click.option(
    "--pixels-from",
    type=click.Choice(["0", "1"]),
    default="0",
    show_default=True,
    help="Coordinate of the first pixel in the tracks: 0 as JDE and ByteTrack write, 1 in MOTChallenge's own files.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Number of videos at once. [default: one per free core]")
def collect_command(
    videos: tuple[Path, ...],
    tracks: tuple[Path, ...],
    every: int,
    out: Path,
    sequence: str,
    min_height: int,
    min_confidence: float,
    size: tuple[int, int],
    padding: float,
    file_type: str,
    frames_from: str | None,
    pixels_from: str,
    workers: int | None,
) -> None:
    """Cut portraits out of every N-th frame of each VIDEO, along the boxes of a tracker.

    The new data set has all images in the gallery and no labels yet. An interrupted run continues when the same command
    is given again; two runs give the same bytes. Frames count from 0 in what is written, and so do pixels.
    """
    with exit_codes():
        from contextlib import ExitStack

        from piq_bench.build.collect.build import CollectSettings, collect
        from piq_bench.build.collect.crops import CropSettings
        from piq_bench.build.collect.pairs import paired
        from piq_bench.build.collect.video import require
        from piq_bench.cli.progress import Advance, progress_bar

        require()
        settings = CollectSettings(
            every=every,
            sequence=sequence,
            frames_from=None if frames_from is None else int(frames_from),
            pixels_from=int(pixels_from),
            min_confidence=min_confidence,
            crops=CropSettings(*size, padding=padding, min_height=min_height, file_type=file_type),
        )
        with ExitStack() as shown:

            def begin(n_frames: int) -> Advance:
                return shown.enter_context(progress_bar("decoding frames", n_frames))

            try:
                found = collect(paired(videos, tracks), out, settings, workers=workers, begin=begin)
            except KeyboardInterrupt:
                shown.close()
                print("what is finished is kept: the same command resumes from there", file=sys.stderr)
                raise
        for name, video in found.videos.items():
            tell_losses(name, video)
        next_step = f"try: {try_next('piq groups', out)}"
        if found.was_complete:
            click.echo(f"{out}: an earlier run has collected the same already; nothing was changed; {next_step}")
        else:
            click.echo(f"wrote {out}: {found.n_portraits:,} portraits of {len(found.videos)} sources; {next_step}")


def tell_losses(name: str, video: "CutVideo") -> None:
    """Print what a video did not give."""
    if video.left_out:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in video.left_out.items())
        tell_note(f"{name}: {len(video.portraits):,} portraits; boxes left out: {reasons}")
    if video.damage:
        tell_note(
            f"{name}: {video.damage}, after {video.n_frames:,} frames; boxes fit only where the tracker lost the same"
        )
