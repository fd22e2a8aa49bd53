"""Writes boards as static pages: one for the leaderboard, one for each entry and one for challenges on hidden labels.

The pages load nothing and can be read without scripts. The templates escape everything that a stranger wrote and
forbid the browser to load anything. The page of an entry is its score page, with what only a board knows added to it.
"""

from collections.abc import Sequence
from dataclasses import replace

from piq_bench.board.chart import BoardChart, board_chart
from piq_bench.board.ladder import Ladder, best_text
from piq_bench.board.ledger import Line
from piq_bench.board.published import PublishedTable
from piq_bench.board.rank import N_SWAPS, Board
from piq_bench.board.rows import REMOVED, RULE, Row, columns, date_text, rows, title
from piq_bench.errors import printable
from piq_bench.records import Benchmark
from piq_bench.report.charts import HEIGHT, WIDTH, Chart, Curve, linear, polyline, round_values, ticks, upwards
from piq_bench.report.compare_rows import pair_rows
from piq_bench.report.html import render
from piq_bench.report.rows import NOT_DEFINED
from piq_bench.report.score_html import score_html
from piq_bench.scoring.compare import Pair

LADDER = "ladder.html"
LONGEST = 2000  # characters of an author's text
README = "README.md"


def board_pages(
    boards: Sequence[Board],
    benchmark: Benchmark,
    removed_entries: Sequence[Line] = (),
    *,
    published: PublishedTable | None = None,
    ladders: Sequence[Ladder] = (),
) -> dict[str, str]:
    """Text of each page, by file name.

    Args:
        boards: what the pages show.
        benchmark: benchmark of the entries whose predictions were scored again.
        removed_entries: ledger lines of entries that were graded and are no longer in the folder.
        published: results of papers, in a table of their own; None for none.
        ladders: challenges on hidden labels.
    """
    shown = [_shown(board) for board in boards]
    pages = {
        "index.html": render(
            "board.html",
            boards=shown,
            rule=RULE,
            removed_entries=[(printable(line.entry), printable(line.date), line.number) for line in removed_entries],
            removed_heading=REMOVED,
            published=published,
            ladders=[
                {
                    "title": ladder.title,
                    "best": None if ladder.best is None else best_text(ladder.best),
                    "n_attempts": len(ladder.attempts),
                }
                for ladder in ladders
            ],
        )
    }
    if ladders:
        pages[LADDER] = render("ladder.html", ladders=[_shown_ladder(ladder) for ladder in ladders])
    for board in boards:
        for place, row in enumerate(rows(board)):
            pages[f"{row.id}.html"] = _entry_page(board, place, row, benchmark)
    return pages


def _shown(board: Board) -> dict[str, object]:
    own = rows(board)
    chart: BoardChart | None = board_chart(board, own)
    n_groups = 1 + max((mark.group for mark in chart.marks), default=0) if chart else 1
    return {"title": title(board), "columns": columns(board), "rows": own, "chart": chart, "n_groups": n_groups}


def _entry_page(board: Board, place: int, row: Row, benchmark: Benchmark) -> str:
    """The score page of an entry, with links above it and its description, neighbours and history below it.

    An entry whose predictions cannot be scored here has a page of the numbers in its result.
    """
    standing = row.standing
    name = printable(row.name, LONGEST)
    facts = [(term, printable(text, LONGEST)) for term, text in _facts(row) if text]
    neighbours = _neighbours(board, place)
    rank = "" if row.ranks == NOT_DEFINED else row.ranks
    top = render("entry_top.html", rank=rank, links=_links(row), neighbours=neighbours, history=standing.lines)
    bottom = render(
        "entry_bottom.html", facts=facts, neighbours=neighbours, n_swaps=f"{N_SWAPS:,}", history=_history(row)
    )
    if standing.rescored is None:
        from markupsafe import Markup  # comes with jinja2, which `render` asks for

        cells = list(zip(columns(board), row.cells, strict=True))
        parts = {"top": Markup(top), "bottom": Markup(bottom)}  # noqa: S704  (rendered above, with escaping)
        return render("entry.html", name=name, cells=cells, **parts)
    own = replace(standing.rescored.score, submission={**standing.rescored.score.submission, "name": name})
    digest = str(standing.score["protocol"]["digest"])
    without_pictures = replace(benchmark, root=None)  # test images are not the board's to publish, and make it large
    page = score_html(own, without_pictures, digest=digest, drilldown=standing.rescored.drilldown)
    return _added(_added(page, "<body>\n", after=top), "</body>", before=bottom)


def _added(page: str, mark: str, *, before: str = "", after: str = "") -> str:
    """A page with markup added at a mark, which is there once: text on a page has no angle brackets."""
    first, found, second = page.partition(mark)
    if not found or mark in second:
        raise ValueError(f"a score page needs one {mark!r}")
    return f"{first}{before}{mark}{after}{second}"


def _links(row: Row) -> list[tuple[str, str]]:
    """Title and address of the code, the paper and the README of an entry."""
    entry = row.standing.entry
    found = [("code", str(entry.metadata.code or "")), ("paper", str(entry.metadata.paper or ""))]
    if (entry.folder / README).is_file():
        found.append((README, f"../{row.id}/{README}"))
    return [(name, address) for name, address in found if address]


def _history(row: Row) -> list[dict[str, object]]:
    return [
        {
            "number": line.number,
            "date": date_text(line.date),
            "decision": line.decision,
            "reason": printable(line.reason, LONGEST),
        }
        for line in row.standing.lines
    ]


def _neighbours(board: Board, place: int) -> list[dict[str, object]]:
    """The comparisons with the entries above and below, each as this entry minus the other."""
    found: list[dict[str, object]] = []
    for side, other, pair in (
        ("Above", place - 1, board.neighbours.get(place - 1)),
        ("Below", place + 1, board.neighbours.get(place)),
    ):
        if pair is not None:
            entry = board.standings[other].entry
            shown = pair_rows(pair if other < place else _turned(pair))
            found.append({"side": side, "id": entry.id, "name": printable(entry.metadata.name, LONGEST), "rows": shown})
    return found


def _turned(pair: Pair) -> Pair:
    """The same comparison with the two submissions in the other order."""
    differences = tuple(
        replace(
            one,
            first=one.second,
            second=one.first,
            difference=-one.difference,
            interval=None if one.interval is None else (-one.interval[1], -one.interval[0]),
        )
        for one in pair.differences
    )
    return replace(pair, first=pair.second, second=pair.first, differences=differences, identities=None)


def _shown_ladder(ladder: Ladder) -> dict[str, object]:
    bests = [(number, attempt.best) for number, attempt in enumerate(ladder.attempts, 1) if attempt.best is not None]
    return {
        "title": ladder.title,
        "best": None if ladder.best is None else best_text(ladder.best),
        "holder": ladder.holder,
        "attempts": [{**vars(one), "best_text": best_text(one.best)} for one in ladder.attempts],
        "n_scorings": ladder.n_scorings,
        "teams": ladder.teams,
        "n_kept_back": ladder.n_kept_back,
        "chart": _ladder_chart(bests, len(ladder.attempts)) if len(bests) > 1 else None,
    }


def _ladder_chart(bests: Sequence[tuple[int, float]], n_attempts: int) -> Chart:
    """The best PIQ so far against the number of attempts: a line in steps."""
    x = linear(0, n_attempts, WIDTH)
    highest = 100.0 * max(best for _, best in bests)
    y = upwards(linear(0, 1.1 * highest or 1.0, HEIGHT))
    points: list[tuple[float, float]] = []
    for number, best in bests:
        if points:
            points.append((x(number), points[-1][1]))
        points.append((x(number), y(100.0 * best)))
    return Chart(
        text=f"Best PIQ so far over {n_attempts} attempts, up to {highest:.1f}%",
        x_title="attempts",
        y_title="best PIQ so far, %",
        x_ticks=ticks([value for value in round_values(n_attempts) if value == int(value)], x),
        y_ticks=ticks(round_values(1.1 * highest), y),
        curves=(Curve("best so far", polyline(*zip(*points, strict=True)), 0),),
    )


def _facts(row: Row) -> list[tuple[str, str]]:
    """The author's description of an entry and the hashes of its predictions and score, as pairs of name and text."""
    metadata, score = row.standing.entry.metadata, row.standing.score
    return [
        ("rank", row.ranks),
        ("team", metadata.team),
        ("authors", ", ".join(metadata.authors)),
        ("date of entry", metadata.date.isoformat()),
        ("method", metadata.method.summary),
        ("backbone", metadata.method.backbone or ""),
        ("parameters", "" if metadata.method.parameters is None else f"{metadata.method.parameters:,}"),
        ("trained on", ", ".join(metadata.training.datasets)),
        ("external training data", "yes" if metadata.training.external_data else "no"),
        ("ensemble", "yes" if metadata.method.ensemble else "no"),
        ("test-time augmentation", "yes" if metadata.method.test_time_augmentation else "no"),
        ("re-ranking", "yes" if metadata.method.reranking else "no"),
        ("paper", str(metadata.paper or "")),
        ("code", str(metadata.code or "")),
        ("licence", metadata.licence or ""),
        ("SHA-256 of predictions", str(score["submission"].get("content", ""))),
        ("digest of score", str(score["protocol"]["digest"])),
    ]
