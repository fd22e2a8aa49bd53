"""The pages as a browser asks for them, and everything that a hostile page, name or request may try."""

import re
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from annotate_builders import ROWS, ask

from piq_bench.build.annotate import actions
from piq_bench.build.annotate.app import Pages, application
from piq_bench.build.annotate.guard import MAX_BODY_BYTES, Guard, is_loopback
from piq_bench.build.annotate.likeness import Likeness, colour_features
from piq_bench.build.annotate.project import Project
from piq_bench.build.annotate.queue import Queue
from piq_bench.build.annotate.serve import guarded
from piq_bench.errors import BadUsage

pytest.importorskip("starlette")
pytest.importorskip("jinja2")

HOSTILE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def pages(project: Project) -> Guard:
    likeness = Likeness(colour_features(project, workers=1, advance=lambda steps: None), project.film)
    return Guard(application(Pages(project, Queue(project, 0.0), likeness)), None, 8023)


def test_the_identity_page_shows_the_portrait_its_track_and_the_people_of_the_film_by_likeness(pages: Guard) -> None:
    view = ask(pages, "/do/next", {"name": "Ann", "task": "reid", "view": True}).json
    assert (view["image"], view["track"], view["track_name"]) == ("f1/3.png", [2, 3], "track t2")
    assert [(one["name"], one["label"], one["row"]) for one in view["people"]] == [
        ("bob", "male", 2),
        ("anna", "female", 0),
    ]
    content = {"name": "Ann", "task": "reid", "rows": [3], "value": f"p{view['people'][0]['person']}", "click": "1"}
    view = ask(pages, "/do/answer", content | {"view": True, "whole_track": True}).json
    assert (view["image"], view["people"][0]["name"], view["track_size"]) == ("f1/4.png", "anna", 2)
    view = ask(pages, "/do/answer", content | {"rows": [4], "new_person": "female", "click": "2", "view": True}).json
    assert view["image"] == "f1/5.png"
    assert view["people"][1] == {"person": 3, "name": "person-0003", "label": "female", "row": 4, "images": 1}
    view = ask(pages, "/do/pass", {"name": "Ann", "task": "reid", "rows": [5], "view": True}).json
    assert (view["image"], view["people"]) == ("f2/0.png", [])  # another film, where nobody is known
    view = ask(pages, "/do/undo", {"name": "Ann", "task": "reid", "view": True}).json
    assert view["done"] == "Undone: reid new person person-0003"


def test_the_attribute_page_shows_several_portraits(pages: Guard) -> None:
    view = ask(pages, "/do/next", {"name": "Ann", "task": "mood", "view": True}).json
    assert [one["row"] for one in view["portraits"]] == [2, 3, 4, 5, 6, 7]
    assert (view["labels"], view["multi_label"], view["waiting"]) == (["happy", "sad", "angry"], True, 6)


def test_all_pages_answer_and_forbid_whatever_is_not_theirs(pages: Guard) -> None:
    work = ("/work?name=Ann&task=reid", "/work?name=Ann&task=mood")
    for path in ("/", *work, "/conflicts", "/people", "/people?film=f1", "/people/1", "/history", "/agreement"):
        answer = ask(pages, path)
        assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8"), path
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"<script>|\son\w+=|javascript:", answer.text)
    for path in (
        "/people/99",
        "/image/99",
        "/static/../app.py",
        "/static/app.py",
        "/image/-1",
        "/work?name=Ann&task=x",
    ):
        assert ask(pages, path).status == 404, path


def test_names_labels_and_image_ids_are_escaped(pages: Guard, project: Project) -> None:
    ann = actions.annotator_number(project, HOSTILE)
    actions.rename(project, ann, 1, HOSTILE)
    actions.answer(project, ann, "reid", [0], "p2")
    for path in (
        "/people",
        "/people/1",
        "/conflicts",
        "/history",
        "/",
        f"/work?task=reid&name={HOSTILE.replace('=', '%3D')}",
    ):
        text = ask(pages, path).text
        assert "<img src=x" not in text and "&lt;img src=x" in text, path
    assert f"/conflicts?name={HOSTILE[:4]}" not in ask(pages, "/people").text


def test_images_are_served_as_images_and_nothing_else_is(pages: Guard, dataset: Path) -> None:
    answer = ask(pages, "/image/0")
    assert (answer.headers["content-type"], answer.headers["x-content-type-options"]) == ("image/png", "nosniff")
    assert answer.body == (dataset / "images" / ROWS[0][0]).read_bytes()
    (dataset / "images" / ROWS[0][0]).write_text("<svg onload=alert(1)>")
    assert ask(pages, "/image/0").status == 404
    (dataset / "images" / ROWS[0][0]).unlink()
    (dataset / "images" / ROWS[0][0]).symlink_to("/etc/passwd")
    assert ask(pages, "/image/0").status == 404


@pytest.mark.parametrize(
    "host", ["evil.example:8023", "127.0.0.1:80", "127.0.0.1", "", "8.8.8.8:8023", "localhost.evil:8023"]
)
def test_other_host_names_are_refused(pages: Guard, host: str) -> None:
    answer = ask(pages, "/", headers={"host": host})
    assert (answer.status, "tiny" in answer.text) == (421, False)
    assert ask(pages, "/", headers={"host": "localhost:8023"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_pages_of_others_cannot_click(pages: Guard, project: Project, headers: dict[str, str]) -> None:
    content = {"name": "Ann", "task": "gender", "rows": [4], "value": "male", "click": "1"}
    assert ask(pages, "/do/answer", content, headers=headers).status == 403
    assert ask(pages, "/do/answer?name=Ann", method="GET").status == 405
    assert ask(pages, "/do/answer", method="PUT").status == 403
    assert len(project.store.history(9)) == 1  # the labels of the files


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), 413),
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"name": 1}', 422),
        (b'{"name": "Ann", "task": "reid", "rows": [true], "value": "p1", "click": "1"}', 422),
        (b'{"name": "Ann", "task": "reid", "rows": [8], "value": "p1", "click": "1"}', 422),
        (b'{"name": "Ann", "task": "reid", "rows": [], "value": "p1", "click": "1"}', 422),
        (b'{"name": "Ann", "task": "reid", "rows": [1], "value": ["p1"], "click": "1"}', 422),
    ],
)
def test_requests_of_no_meaning_are_refused(pages: Guard, raw: bytes, status: int) -> None:
    answer = ask(pages, "/do/answer", raw=raw)
    assert (answer.status, "refused" in answer.json) == (status, True)
    assert ask(pages, "/do/__init__", {"name": "Ann"}).status == 422


def test_beyond_this_machine_nothing_is_answered_without_the_token(pages: Guard) -> None:
    guard = guarded(pages.inner, "0.0.0.0", 8023)  # noqa: S104
    assert guard.token is not None and len(guard.token) == 32
    for path in ("/", "/image/0", "/static/common.js", "/?token=x", f"/?token={guard.token[:-1]}"):
        assert ask(guard, path).status == 403, path
    answer = ask(guard, f"/work?task=reid&token={guard.token}&name=A%0d%0ab")
    assert (answer.status, answer.headers["location"]) == (303, "/work?task=reid&name=A%0D%0Ab")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    inside = {"cookie": "other=1; " + cookie.partition(";")[0]}
    assert ask(guard, "/", headers=inside).status == 200
    assert ask(guard, "/", headers=inside | {"host": "192.0.2.7:8023"}).status == 200  # an address cannot be rebound
    assert ask(guard, "/", headers=inside | {"host": "evil.example:8023"}).status == 421
    assert ask(guard, "//evil.example/x?token=" + guard.token).headers["location"] == "/evil.example/x"


def test_only_loopback_goes_without_a_token() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "", "localhost.evil")))  # noqa: S104
    assert guarded(None, "127.0.0.1", 1).token is None


def test_two_annotators_get_different_portraits_and_a_sample_goes_to_both(project: Project) -> None:
    queue = Queue(project, 0.0)
    ann, ben = (actions.annotator_number(project, name) for name in ("Ann", "Ben"))
    assert (queue.next_rows("reid", ann, 1), queue.next_rows("reid", ben, 1)) == ([3], [4])
    assert queue.next_rows("mood", ben, 2) == [2, 3]  # another task
    both = Queue(project, 1.0)
    assert both.next_rows("reid", ann, 9) == [0, 1, 2, 3, 4, 5, 6, 7]  # the data set gave the first opinion
    actions.answer(project, ann, "reid", [6], "|x")
    assert both.waiting("reid", ben)[6] and not both.waiting("reid", ann)[6]
    actions.answer(project, ben, "reid", [6], "|x")
    assert not both.waiting("reid", actions.annotator_number(project, "Cleo"))[6]


def test_the_sample_is_whole_tracks_and_about_its_share() -> None:
    from piq_bench.build.annotate.queue import draw

    share = np.mean([draw(f"m{i:05}.jpg") < 0.1 for i in range(5000)])
    assert 0.08 < share < 0.12


def test_a_second_server_is_refused_and_a_stranger_s_file_too(project: Project, dataset: Path) -> None:
    from piq_bench.build.annotate.project import open_project
    from piq_bench.errors import BadDataset

    with pytest.raises(BadUsage, match="open in another process"):
        open_project(dataset)
    project.close()
    for content in (b"no database", b"SQLite format 3\0" + bytes(range(256)) * 40):
        (dataset / "annotate" / "answers.sqlite").write_bytes(content)
        with pytest.raises(BadDataset, match=r"answers\.sqlite"):
            open_project(dataset, writes=False)


def test_a_refused_file_of_answers_is_left_closed_and_its_folder_free(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from piq_bench.build.annotate.project import open_project
    from piq_bench.errors import BadDataset

    connect, opened = sqlite3.connect, list[sqlite3.Connection]()

    def recorded(path: Path, *, timeout: float, isolation_level: None, check_same_thread: bool) -> sqlite3.Connection:
        opened.append(
            connect(path, timeout=timeout, isolation_level=isolation_level, check_same_thread=check_same_thread)
        )
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", recorded)
    (dataset / "annotate").mkdir()
    (dataset / "annotate" / "answers.sqlite").write_bytes(b"no database")
    for _ in range(2):  # the first leaves no lock behind
        with pytest.raises(BadDataset, match=r"answers\.sqlite"):
            open_project(dataset)
    assert len(opened) == 2
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("select 1")


def test_progress_counts_clicks_by_hour(pages: Guard, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = actions.annotator_number(project, "Ann")
    now = [1e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    for row in (3, 4, 5):
        actions.answer(project, ann, "gender", [row], "male")
        now[0] += 10
    text = ask(pages, "/").text
    assert "Ann: 3 (360 an hour)" in text
