"""Serves the pages: each address, what it shows, and what a click does.

Pages are templates that escape every text. Clicks are JSON, and are answered with what to show next, after the click is
on disk. Images are asked for by row number, so that nothing but images of the data set can be had.
"""

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from piq_bench.build.annotate import actions, views
from piq_bench.build.annotate.actions import Refused
from piq_bench.build.annotate.agreement import Agreement, agreements
from piq_bench.build.annotate.guard import BODY
from piq_bench.build.annotate.likeness import Likeness
from piq_bench.build.annotate.project import TRACK, Project
from piq_bench.build.annotate.queue import Queue
from piq_bench.build.annotate.values import MOST_ROWS, numbers_of, text_of
from piq_bench.images.decode import decode, strict_decoding
from piq_bench.images.folder import Unreadable
from piq_bench.limits import MAX_IMAGE_PIXELS
from piq_bench.records import RETRIEVAL

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

SHOWN_AS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n": "image/png", b"GIF8": "image/gif"}
MOST_HISTORY = 300
MOST_PEOPLE = 400  # on one page
STATIC = {"annotate.css": "text/css", "identity.js": "text/javascript", "attribute.js": "text/javascript",
          "common.js": "text/javascript", "edit.js": "text/javascript"}  # fmt: skip


class Pages:
    """The pages of one data set.

    Args:
        project: the data set.
        queue: what is shown next.
        likeness: who is alike.
    """

    def __init__(self, project: Project, queue: Queue, likeness: Likeness) -> None:
        from jinja2 import Environment, FunctionLoader, StrictUndefined

        self.project, self.queue, self.likeness = project, queue, likeness
        folder = resources.files("piq_bench.build.annotate")
        self.static = {name: (folder / "static" / name).read_bytes() for name in STATIC}
        self.templates = Environment(
            loader=FunctionLoader(lambda name: (folder / "templates" / name).read_text(encoding="utf-8")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.agreements: tuple[int, list[Agreement]] | None = None
        self.computing = threading.Lock()

    def page(self, template: str, **values: object) -> "Response":
        """A page from a template."""
        from starlette.responses import HTMLResponse

        text = self.templates.get_template(template).render(name=self.project.benchmark.name, **values)
        return HTMLResponse(text, headers={"Cache-Control": "no-store"})

    def home(self, request: "Request") -> "Response":
        """Who are you, and what will you do? With the progress of every task."""
        tasks = [(task.name, task.kind == RETRIEVAL) for task in self.project.benchmark.tasks]
        with self.project.lock:
            progress = views.progress(self.project, self.queue)
        return self.page("home.html", tasks=tasks, progress=progress, second=self.queue.second_share)

    def work(self, request: "Request") -> "Response":
        """The page of one task."""
        task = self.project.task(request.query_params.get("task", ""))
        who = request.query_params.get("name", "").strip()
        if task is None:
            raise Refused("There is no such task.")
        actions.annotator_number(self.project, who)
        person_task = self.project.task(self.project.ballots.person_task or "")
        labels = [] if person_task is None else list(person_task.labels)
        template = "identity.html" if task.kind == RETRIEVAL else "attribute.html"
        whole = self.project.track_kind == TRACK  # a sequence may be a shot of several people
        return self.page(template, who=who, task=task, person_labels=labels, whole=whole)

    def image(self, request: "Request") -> "Response":
        """One image, as its file is or, in a format that browsers do not show, as PNG."""
        from starlette.responses import Response

        row = request.path_params["row"]
        if row >= self.project.benchmark.images.size:
            raise Refused("There is no such image.")
        try:
            found = self.project.files.read(str(self.project.benchmark.images[row]))
            data = found.data
            kind = next((kind for start, kind in SHOWN_AS.items() if data.startswith(start)), None)
            if kind is None:
                data, kind = as_png(data), "image/png"
        except Unreadable as fault:
            raise Refused(f"The image {fault.found}.") from None
        return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    def file(self, request: "Request") -> "Response":
        """A script or the style of the pages."""
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in self.static:
            raise Refused("There is no such file.")
        return Response(self.static[name], media_type=STATIC[name], headers={"Cache-Control": "no-cache"})

    def conflicts(self, request: "Request") -> "Response":
        """Images on which annotators disagree."""
        who = request.query_params.get("name", "")
        with self.project.lock:
            found = [(task, *views.conflicts(self.project, task)) for task in self.project.ballots.tasks]
        return self.page("conflicts.html", who=who, found=[entry for entry in found if entry[1]])

    def people(self, request: "Request") -> "Response":
        """Everybody who was named, film by film."""
        film = request.query_params.get("film") or None  # of all films
        with self.project.lock:
            people = []
            for number, rows in views.people_of(self.project).items():
                films = sorted({self.project.film_name(row) for row in rows})
                if film is None or film in films:
                    shown = views.person_view(self.project, number)
                    people.append(shown | {"rows": rows[:3], "images": len(rows), "films": films})
            people.sort(key=lambda person: (person["films"], person["name"]))
        given = self.project.benchmark.source
        films = sorted({str(source) for source in given}) if given is not None else []
        who = request.query_params.get("name", "")
        return self.page("people.html", who=who, people=people[:MOST_PEOPLE], total=len(people), films=films, film=film)

    def person(self, request: "Request") -> "Response":
        """One person with all images: rename, choose the label, split."""
        number = request.path_params["number"]
        with self.project.lock:
            if number not in self.project.people:
                raise Refused("There is no such person.")
            root = self.project.people.root(number)
            rows = views.people_of(self.project).get(root, [])
            person = views.person_view(self.project, root)
            portraits = [views.portrait(self.project, row) for row in rows[:MOST_ROWS]]
        task = self.project.task(self.project.ballots.person_task or "")
        labels = [] if task is None else list(task.labels)
        who = request.query_params.get("name", "")
        return self.page("person.html", who=who, person=person, portraits=portraits, labels=labels)

    def history(self, request: "Request") -> "Response":
        """The last actions of everybody."""
        names = self.project.store.annotators() | {0: "the data set"}
        found = self.project.store.history(MOST_HISTORY)
        times = [f"{datetime.fromtimestamp(action.at, UTC):%Y-%m-%d %H:%M:%S}" for action in found]
        return self.page("history.html", actions=found, times=times, names=names)

    def agreement(self, request: "Request") -> "Response":
        """How far second opinions agree with first ones."""
        last = self.project.store.history(1)
        stand = last[0].id if last else 0
        with self.computing:  # one computation at a time, and one for each state of the answers
            if self.agreements is None or self.agreements[0] != stand:
                self.agreements = stand, agreements(self.project)
            found = self.agreements[1]
        return self.page("agreement.html", found=found, second=self.queue.second_share)

    def view(self, annotator: int, task: str) -> views.View:
        """What to show next."""
        if task == self.project.ballots.identity_task:
            return views.identity_view(self.project, self.queue, self.likeness, annotator)
        return views.attribute_view(self.project, self.queue, annotator, task)

    async def click(self, request: "Request") -> "Response":
        """Do what a click asks for, and answer with what to show next; at once, since a thread would only add time."""
        from starlette.responses import JSONResponse

        body = request.scope[BODY]
        do: Callable[[int, dict[str, Any]], object] | None = getattr(self, f"do_{request.path_params['verb']}", None)
        if do is None:
            raise Refused("There is no such action.")
        annotator = actions.annotator_number(self.project, text_of(body, "name"))
        done = do(annotator, body)
        task = body.get("task")
        with self.project.lock:
            known = isinstance(task, str) and self.project.task(task) is not None
            view = self.view(annotator, str(task)) if known and body.get("view") is True else {}
        return JSONResponse(view | {"done": done}, headers={"Cache-Control": "no-store"})

    def do_next(self, annotator: int, body: dict[str, Any]) -> None:
        """Only show what is next."""

    def do_pass(self, annotator: int, body: dict[str, Any]) -> None:
        """Leave an image for later."""
        for row in self.rows_of(body):
            self.queue.pass_over(text_of(body, "task"), annotator, row)

    def do_answer(self, annotator: int, body: dict[str, Any]) -> None:
        """Answer for an image, or for its whole track."""
        rows, click = self.tracks_of(body), text_of(body, "click")
        if "new_person" in body:
            actions.answer_new_person(self.project, annotator, rows, text_of(body, "new_person"), click=click)
        else:
            task, value = text_of(body, "task"), text_of(body, "value")
            actions.answer(self.project, annotator, task, rows, value, click=click)

    def do_undo(self, annotator: int, body: dict[str, Any]) -> str:
        """Take back the last action; says which."""
        action = actions.undo(self.project, annotator)
        return "Nothing is left to undo." if action is None else f"Undone: {action.task} {action.detail}"

    def do_settle(self, annotator: int, body: dict[str, Any]) -> None:
        """Settle a conflict."""
        actions.settle(self.project, annotator, text_of(body, "task"), self.rows_of(body), text_of(body, "value"))

    def do_merge(self, annotator: int, body: dict[str, Any]) -> None:
        """Merge people."""
        actions.merge(self.project, annotator, numbers_of(body, "people"))

    def do_split(self, annotator: int, body: dict[str, Any]) -> None:
        """Split images off a person."""
        actions.split(self.project, annotator, numbers_of(body, "people")[0], self.rows_of(body))

    def do_rename(self, annotator: int, body: dict[str, Any]) -> None:
        """Rename a person."""
        actions.rename(self.project, annotator, numbers_of(body, "people")[0], text_of(body, "to").strip())

    def do_label(self, annotator: int, body: dict[str, Any]) -> None:
        """Set the label of a person."""
        actions.set_label(self.project, annotator, numbers_of(body, "people")[0], text_of(body, "to"))

    def rows_of(self, body: dict[str, Any]) -> list[int]:
        """The images that a click is about."""
        rows = numbers_of(body, "rows")
        if not all(row < self.project.benchmark.images.size for row in rows):
            raise Refused("There is no such image.")
        return rows

    def tracks_of(self, body: dict[str, Any]) -> list[int]:
        """The images that a click is about, with the rest of their tracks if it says so."""
        rows = self.rows_of(body)
        if body.get("whole_track") is not True:
            return rows
        return list(dict.fromkeys(other for row in rows for other in self.queue.track_rows(row).tolist()))


def as_png(data: bytes) -> bytes:
    """An image file as PNG."""
    from PIL import Image

    with strict_decoding():
        pixels = decode(data, limit_pixels=MAX_IMAGE_PIXELS)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def application(pages: Pages) -> "Starlette":
    """The pages at their addresses."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    def refused(request: "Request", error: Exception) -> Response:
        if request.method == "POST" or request.url.path.startswith(("/image/", "/static/")):
            return JSONResponse({"refused": str(error)}, status_code=404 if request.method == "GET" else 422)
        response = pages.page("refused.html", reason=str(error))
        response.status_code = 404
        return response

    routes = [
        Route("/", pages.home),
        Route("/work", pages.work),
        Route("/conflicts", pages.conflicts),
        Route("/people", pages.people),
        Route("/people/{number:int}", pages.person),
        Route("/history", pages.history),
        Route("/agreement", pages.agreement),
        Route("/image/{row:int}", pages.image),
        Route("/static/{name}", pages.file),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Route("/do/{verb}", pages.click, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refused})
