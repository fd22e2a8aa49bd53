"""Shows the images of a score's page: queries with what they find, and wrong answers about labels."""

from collections.abc import Iterator, Mapping

from piq_bench.errors import printable
from piq_bench.records import NO_IDENTITY, Benchmark
from piq_bench.report.rows import percent
from piq_bench.report.score_tables import cell_text
from piq_bench.retrieve.neighbours import Neighbour
from piq_bench.scoring.drilldown import Drilldown, RankedQuery
from piq_bench.scoring.label_faults import Mistake

NAME = 120  # characters of the id of an image


def shown_rows(drilldown: Drilldown) -> Iterator[int]:
    """Benchmark rows of all images of the page, the most telling first."""
    for query in drilldown.worst:
        yield from _rows_of(query)
    for mistake in drilldown.mistakes:
        yield mistake.row
    for query in drilldown.best:
        yield from _rows_of(query)


def shown_query(query: RankedQuery, benchmark: Benchmark, pictures: Mapping[int, str]) -> dict[str, object]:
    """A query, its nearest gallery images, and its first right image if that is not among them."""

    def found(neighbour: Neighbour) -> dict[str, object]:
        return _image(benchmark, pictures, neighbour.row, neighbour.identity) | {
            "rank": neighbour.rank,
            "is_right": neighbour.is_positive,
            "is_tied": neighbour.is_tied,
            "similarity": f"{neighbour.similarity:.3f}",
        }

    is_shown = any(neighbour.is_positive for neighbour in query.neighbours)
    return _image(benchmark, pictures, query.row, query.identity) | {
        "precision": percent(query.average_precision),
        "neighbours": [found(neighbour) for neighbour in query.neighbours],
        "first_right": None if is_shown else found(query.first_right),
        "first_rank": query.first_right.rank,
    }


def shown_mistake(mistake: Mistake, benchmark: Benchmark, pictures: Mapping[int, str]) -> dict[str, object]:
    """An image with its true labels and those that were given."""
    return {
        "id": printable(benchmark.images[mistake.row], NAME),
        "picture": pictures.get(mistake.row),
        "true": ", ".join(map(cell_text, mistake.true)) or "none",
        "given": ", ".join(map(cell_text, mistake.given)) or "none",
    }


def _rows_of(query: RankedQuery) -> list[int]:
    shown = [neighbour.row for neighbour in query.neighbours]
    return [query.row, *shown, *([] if query.first_right.row in shown else [query.first_right.row])]


def _image(benchmark: Benchmark, pictures: Mapping[int, str], row: int, identity: int) -> dict[str, object]:
    person = benchmark.identities[identity] if identity != NO_IDENTITY else None
    return {
        "id": printable(benchmark.images[row], NAME),
        "person": "unlabelled" if person is None else cell_text(person),
        "picture": pictures.get(row),
    }
