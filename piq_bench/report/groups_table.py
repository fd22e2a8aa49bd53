"""Formats a GroupReport for a terminal of 80 columns: a table with one column per threshold, then the warnings."""

import io
from collections.abc import Callable

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from piq_bench.errors import first_few, hanging, printable
from piq_bench.group.build import GroupReport
from piq_bench.group.hashes import PHASH, versions_note
from piq_bench.group.phash import N_BITS
from piq_bench.group.sweep import HIGHEST_SHOWN, Level, Sweep

WIDTH = 80
UNKNOWN = "-"
LOW_SHARES = (1, 5)  # per cent of the images with the lowest quality, as candidates for --min-quality
COLUMN_STEP = 2  # bits between the thresholds of two columns
N_NAMED = 20  # unreadable and degenerate images listed by name; the JSON file lists all


def groups_table(report: GroupReport, *, colour: bool = False) -> str:
    """The text to print, optionally with terminal colours."""
    stream = io.StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=colour, no_color=not colour, highlight=False)
    for name, text in summary(report):
        console.print(Text(hanging(f"{name:12}", text, WIDTH)))
    console.print(sweep_table(report))
    for note in notes(report):
        console.print(Text(hanging("", note, WIDTH)))
    for warning in report.warnings:
        console.print(Text(hanging("warning: ", f"{warning.text} [{warning.code}]", WIDTH), style="yellow"))
    if not report.warnings:
        console.print(Text("no warnings"))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def summary(report: GroupReport) -> list[tuple[str, str]]:
    """The data set and the grouping, as pairs of name and text."""
    parameters, sweep, grouping = report.groups.parameters, report.sweep, report.groups.grouping
    dataset = parameters["dataset"]
    name = printable(dataset["name"], 40) if isinstance(dataset, dict) else ""
    threshold = grouping.max_bits
    similarity = f"d <= {threshold} of {N_BITS} bits (similarity of at least {1 - threshold / N_BITS:.3f})"
    if threshold % sweep.step:
        similarity += f", equivalent to d <= {threshold - 1}"
    lines = [
        ("data set", f"{name}: {sweep.images:,} images, {sweep.queries:,} queries, {sweep.gallery:,} in the gallery"),
        ("grouping", f"{grouping.mode}, {grouping.hash}, {similarity}"),
    ]
    quality = np.sort(report.hashed.quality[report.hashed.readable])
    if len(quality):
        low = [f"below {quality[len(quality) * share // 100]:.1f} in {share} % of the images" for share in LOW_SHARES]
        lines.append(("gradient", f"mean gradient {', '.join(low)}"))
    if parameters["within"]:
        lines.append(("within", "only images of the same source are linked"))
    if parameters["min_quality"] is not None:
        gate = f"{parameters['below_min_quality']:,} images below {parameters['min_quality']:g} are not linked by hash"
        lines.append(("", gate))
    if report.hashed.n_resumed:
        lines.append(("resumed", f"{report.hashed.n_resumed:,} images were hashed by an earlier run"))
    return lines


def sweep_table(report: GroupReport) -> Table:
    """The table, with one column per second threshold; the chosen threshold is among them and marked."""
    sweep = report.sweep
    chosen = sweep.level_at(report.groups.grouping.max_bits)
    first = chosen.threshold % COLUMN_STEP if chosen else 0
    shown = range(first, HIGHEST_SHOWN + 1, COLUMN_STEP)
    levels = [level for level in sweep.levels if level.threshold in shown]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1), width=WIDTH)
    table.add_column("t, bits", min_width=26)
    for level in levels:
        mark = ">" if level is chosen else ""
        table.add_column(f"{mark}{level.threshold}", justify="right", style="bold" if level is chosen else "")
    for name, figure in figures(sweep):
        table.add_row(name, *(figure(level) for level in levels))
    return table


def figures(sweep: Sweep) -> list[tuple[str, Callable[[Level], str]]]:
    """The name of each row, and the function that formats its cells."""
    return [
        ("groups", lambda level: count(level.groups)),
        ("images in groups, %", lambda level: percent(level.grouped_images, sweep.images)),
        ("largest group, images", lambda level: count(level.largest)),
        ("  its largest distance, bits", farthest),
        ("pairs in groups beyond t, %", lambda level: percent(level.pairs_beyond, level.same_group_pairs)),
        ("groups of several sources", lambda level: count(level.groups_across_sources)),
        ("  most sources in a group", lambda level: count(level.most_sources)),
        ("groups of several people", lambda level: count(level.groups_across_identities)),
        ("  most people in a group", lambda level: count(level.most_identities)),
        ("gallery images left out", lambda level: count(level.gallery_excluded)),
        ("  by neighbours", lambda level: count(level.gallery_excluded_directly)),
        ("left out per query, mean", lambda level: mean(level.exclusions, sweep.queries)),
        ("  by neighbours", lambda level: mean(level.exclusions_directly, sweep.queries)),
        ("queries without positive", lambda level: count(level.queries_lost)),
        ("  by neighbours", lambda level: count(level.queries_lost_directly)),
    ]


def farthest(level: Level) -> str:
    """The largest distance within the largest group; ">=" marks a lower bound."""
    return count(level.farthest) if level.farthest_exact else f">={level.farthest}"


def notes(report: GroupReport) -> list[str]:
    """Sentences that explain the table: lost queries, unknown values, degenerate and unreadable images."""
    sweep, grouping = report.sweep, report.groups.grouping
    level = sweep.level_at(grouping.max_bits)
    lines = []
    if level is not None and sweep.queries_with_positives is not None:
        lost = level.queries_lost if grouping.mode == "components" else level.queries_lost_directly
        lines.append(
            f"At t = {grouping.threshold}, {lost} of {sweep.queries_with_positives} queries with a positive lose their "
            "last positive and would not be scored."
        )
    else:
        lines.append(f"{UNKNOWN}: unknown, since the data set has no identities of queries.")
    if sweep.levels[0].most_sources is None:
        lines.append(f"{UNKNOWN}: unknown, since the data set has no sources.")
    flat = report.images[report.degenerate]
    if len(flat):
        lines.append(
            f"{len(flat)} degenerate images (flat, or a gradient) are linked only to files with equal bytes: "
            f"{first_few(flat, len(flat), N_NAMED)}."
        )
    if grouping.hash != PHASH:
        lines.append(f"Note: {versions_note(grouping.hash)}; the file names them.")
    failures = report.hashed.failures
    if failures:
        lines.append(f"{len(failures)} unreadable images stay alone in their groups:")
        lines += [f"  '{printable(one.image)}' {printable(one.found)}" for one in failures[:N_NAMED]]
        lines += [f"  and {len(failures) - N_NAMED} more"] if len(failures) > N_NAMED else []
    return lines


def count(value: int | None) -> str:
    """A count with thousands separators; "-" if it is unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def percent(part: int, whole: int) -> str:
    """A share as per cent with one decimal; "-" if the whole is empty."""
    return f"{100 * part / whole:.1f}" if whole else UNKNOWN


def mean(total: int, n: int) -> str:
    """A mean with one decimal; "-" if there is nothing to average."""
    return f"{total / n:,.1f}" if n else UNKNOWN
