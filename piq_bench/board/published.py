"""Reads published.toml, which lies beside a benchmark.toml: results of papers that boards of this benchmark show.

Boards show them in a table of their own and never rank them with entries. A paper that prints the tasks but not the
aspects needs no aspects in the file: they follow from the tasks of the benchmark.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from piq_bench.board.wording import expected
from piq_bench.documents import parse_toml
from piq_bench.errors import BadDataset, Problem, printable, quoted
from piq_bench.metrics.piq import aspect_scores, reid_score
from piq_bench.read.validate import closest
from piq_bench.records import RETRIEVAL, Benchmark, Task
from piq_bench.report.rows import NOT_DEFINED, percent

FILE = "published.toml"
SCHEMA = "piq-bench/published/1"
MAX_BYTES = 1 << 20
MAX_ROWS = 200
MAX_TEXT = 1000
MAX_CELL = 200
REMEDY = "correct it; the file of portrait-mini is an example"

Fraction = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
CellText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CELL)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedRow(_Part):
    """One row of a paper's table, as printed.

    Attributes:
        name: name of the row.
        piq: PIQ as the paper prints it.
        macro_map, macro_rank1: re-id.
        f1: macro F1 by task.
        design: what the paper says about the row, by title of the column.
    """

    name: CellText
    piq: Fraction | None = None
    macro_map: Fraction | None = None
    macro_rank1: Fraction | None = None
    f1: dict[str, Fraction] = Field(default_factory=dict)
    design: dict[CellText, CellText] = Field(default_factory=dict)

    def aspects(self, tasks: tuple[Task, ...]) -> dict[str, float | None]:
        """Score of each aspect, from the printed columns; None where one of its tasks is not printed."""
        scores = {task.name: self.f1[task.name] for task in tasks if task.name in self.f1}
        if self.macro_map is not None and self.macro_rank1 is not None:
            reid = reid_score(self.macro_rank1, self.macro_map)
            scores |= {task.name: reid for task in tasks if task.kind == RETRIEVAL}
        return dict(aspect_scores(tasks, scores))


class Published(_Part):
    """The content of the file.

    Attributes:
        schema_name: format of the file.
        title: heading above the table.
        source: the paper and its table.
        note: what a reader must know to compare the rows with a board.
        rows: the rows, in the order of the paper.
    """

    schema_name: Annotated[Literal["piq-bench/published/1"], Field(alias="schema")]
    title: Text
    source: Text
    note: Text
    rows: Annotated[tuple[PublishedRow, ...], Field(min_length=1, max_length=MAX_ROWS)]


@dataclass(frozen=True)
class PublishedTable:
    """Published results as text.

    Attributes:
        title, source, note: as in the file.
        numbers, design: titles of the columns with numbers, in per cent, and of those with text.
        rows: name, numbers and design of each row.
    """

    title: str
    source: str
    note: str
    numbers: tuple[str, ...]
    design: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]


def read_published(benchmark: Benchmark) -> Published | None:
    """Read the published results of a benchmark; None if its folder has no such file.

    Raises:
        BadDataset: if the file is invalid, or a row names a task that the benchmark does not have.
    """
    path = None if benchmark.root is None else benchmark.root / FILE
    if path is None or not (path.exists() or path.is_symlink()):
        return None
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
            found = f"is not a regular file of at most {MAX_BYTES:,} bytes"
            raise BadDataset(str(path), [Problem("bad-published", FILE, found, REMEDY)])
        content = parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadDataset(str(path), [Problem("bad-published", FILE, printable(error), REMEDY)]) from None
    try:
        published = Published.model_validate(content)
    except ValidationError as refusal:
        raise BadDataset(str(path), [_problem(error) for error in refusal.errors(include_url=False)]) from None
    known = [task.name for task in benchmark.classification_tasks]
    unknown = [(number, name) for number, row in enumerate(published.rows) for name in row.f1 if name not in known]
    if unknown:
        remedy = f"a task of benchmark.toml: {printable(', '.join(known) or 'it has none')}"
        raise BadDataset(
            str(path),
            [
                Problem("bad-published", f"{FILE}: rows.{number}.f1", f"names the task {printable(name)!r}", remedy)
                for number, name in unknown
            ],
        )
    return published


def _problem(error: Any) -> Problem:  # noqa: ANN401  pydantic's ErrorDetails
    """An error of pydantic as a located problem, in our words."""
    where = f"{FILE}: {printable('.'.join(map(str, error['loc'])) or 'file')}"
    if error["type"] == "extra_forbidden":
        model = PublishedRow if error["loc"][0] == "rows" else Published
        known = [field.alias or name for name, field in model.model_fields.items()]
        meant = closest(str(error["loc"][-1]), known)
        hint = f"did you mean {quoted(meant)}? " if meant else ""
        return Problem("unknown-key", where, "is not a known key", f"{hint}known keys are {', '.join(known)}")
    if error["type"] == "missing":
        return Problem("missing-key", where, "is missing", "add it")
    found = f"got {quoted(error['input'])}" if isinstance(error["input"], str | int | float) else "does not fit"
    return Problem("bad-published", where, found, f"expected {expected(error)}")


def published_table(published: Published, benchmark: Benchmark) -> PublishedTable:
    """Published results as text: one decimal as papers print them, two for the aspects, which are computed."""
    tasks = benchmark.tasks
    has_reid = benchmark.retrieval_task is not None
    names = [task.name for task in benchmark.classification_tasks]
    aspects = list(dict.fromkeys(task.aspect for task in tasks))
    design = tuple(dict.fromkeys(title for row in published.rows for title in row.design))
    reid = ("macro mAP", "macro Rank-1") if has_reid else ()
    rows = []
    for row in published.rows:
        found = row.aspects(tasks)
        printed = [row.macro_map, row.macro_rank1] if has_reid else []
        printed += [row.f1.get(name) for name in names]
        numbers = (_printed(row.piq), *(percent(found.get(aspect)) for aspect in aspects), *map(_printed, printed))
        rows.append((row.name, numbers, tuple(row.design.get(title, NOT_DEFINED) for title in design)))
    return PublishedTable(
        title=published.title,
        source=published.source,
        note=published.note,
        numbers=("PIQ", *aspects, *reid, *(f"{name} F1" for name in names)),
        design=design,
        rows=tuple(rows),
    )


def _printed(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{100.0 * value:.1f}"
