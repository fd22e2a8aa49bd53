"""Both pages in a real browser: keys and taps label, undo, and survive a server that is away for a while.

Tests wait for elements only: `wait_for_function` evaluates a text, which the pages' own security policy forbids.
"""

import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from piq_bench.build.annotate.app import Pages, application
from piq_bench.build.annotate.guard import Guard
from piq_bench.build.annotate.likeness import Likeness, colour_features
from piq_bench.build.annotate.project import Project
from piq_bench.build.annotate.queue import Queue
from piq_bench.build.annotate.serve import listen

pytest.importorskip("starlette")
pytest.importorskip("jinja2")
uvicorn = pytest.importorskip("uvicorn")
screens = pytest.importorskip("screens")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=alert(1)>"


class Running:
    """A server in a thread, which can be stopped and started again on the same port."""

    def __init__(self, project: Project) -> None:
        likeness = Likeness(colour_features(project, workers=1, advance=lambda steps: None), project.film)
        self.pages = application(Pages(project, Queue(project, 0.0), likeness))
        self.port = 0
        self.start()

    def start(self) -> None:
        self.socket: socket.socket = listen("127.0.0.1", self.port)
        self.port = self.socket.getsockname()[1]
        config = uvicorn.Config(Guard(self.pages, None, self.port), log_level="error", lifespan="off", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(10)
        self.socket.close()


@pytest.fixture
def running(project: Project) -> Iterator[Running]:
    server = Running(project)
    yield server
    server.stop()


@pytest.fixture
def messages() -> list[str]:
    return []


def opened(browser: "Browser", running: Running, path: str, screen: str, messages: list[str]) -> "Page":
    page = browser.new_context(**screens.SCREENS[screen]).new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(f"http://127.0.0.1:{running.port}{path}")
    return page


def label(project: Project, task: str, row: int) -> str:
    return project.ballots.shown(task, int(project.ballots.labels(task)[row]))


def test_the_identity_page_by_keys(project: Project, running: Running, browser: "Browser", messages: list[str]) -> None:
    page = opened(browser, running, "/work?task=reid&name=Ann", "light", messages)
    image = page.locator("#image")
    image.get_by_text("f1/3.png").wait_for()
    assert page.locator("#whole-text").inner_text() == "A click labels all 2 images of track t2"
    assert page.locator("#track img.taken").count() == 2
    page.keyboard.press("t")
    assert page.locator("#track img.taken").count() == 1
    page.keyboard.press("1")
    image.get_by_text("f1/4.png").wait_for()
    assert (label(project, "reid", 3), label(project, "reid", 2)) == ("bob", "bob")
    page.keyboard.press("t")
    page.keyboard.press("n")
    page.keyboard.press("1")
    image.get_by_text("f2/0.png").wait_for()
    assert [label(project, task, 5) for task in ("reid", "gender")] == ["person-0003", "female"]
    page.keyboard.press("x")
    page.locator("#finished").wait_for()
    for name in ("f2/0.png", "f1/4.png", "f1/3.png"):
        page.keyboard.press("u")
        image.get_by_text(name).wait_for()
    assert messages == []
    page.context.close()


def test_the_pages_by_taps_on_a_phone(
    project: Project, running: Running, browser: "Browser", messages: list[str]
) -> None:
    project.benchmark.images[3] = HOSTILE  # what an image id may be, if the data set came from a stranger
    page = opened(browser, running, "/work?task=reid&name=Ann", "phone", messages)
    page.locator("#image").get_by_text(HOSTILE).wait_for()
    assert screens.overhang(page) == 0
    project.benchmark.images[3] = "f1/3.png"
    page.locator("#people button").nth(1).tap()
    page.locator("#image").get_by_text("f1/4.png").wait_for()
    assert label(project, "reid", 3) == "anna"
    page.goto(f"http://127.0.0.1:{running.port}/work?task=mood&name=Ann")
    page.locator("#screen button").nth(1).tap()
    for name in ("sad", "angry"):
        page.get_by_role("button", name=name, exact=True).tap()
    page.get_by_role("button", name="save").tap()
    page.locator("#screen .saved").get_by_text("sad, angry").wait_for()
    assert screens.overhang(page) == 0
    page.get_by_role("button", name="none of them").tap()
    page.locator("#screen .saved").nth(1).wait_for()
    assert page.locator("#screen .saved").count() == 2
    deadline = time.monotonic() + 5
    while label(project, "mood", 4) == "" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [label(project, "mood", row) for row in (2, 3, 4, 5)] == ["", "sad|angry", "-", ""]
    assert [text for text in messages if "404" not in text] == []  # the renamed image is not there
    page.context.close()


def test_a_click_waits_for_a_server_that_is_away(project: Project, running: Running, browser: "Browser") -> None:
    page = opened(browser, running, "/work?task=gender&name=Ann", "light", [])
    page.locator("#screen button").first.wait_for()
    page.wait_for_load_state("networkidle")  # a socket that a stopped thread was using stays open
    running.stop()
    page.keyboard.press("2")
    page.locator("#message").get_by_text("Not saved yet").wait_for()
    assert label(project, "gender", 3) == ""
    running.start()
    page.locator("#message").wait_for(state="hidden")
    assert label(project, "gender", 3) == "male"
    assert len([action for action in project.store.history(9) if action.kind == "answer"]) == 1
    page.context.close()


def test_conflicts_are_settled_and_people_merged_split_and_renamed(
    project: Project, running: Running, browser: "Browser", messages: list[str]
) -> None:
    from piq_bench.build.annotate import actions

    ann = actions.annotator_number(project, "Ann")
    actions.answer(project, ann, "reid", [2], "p1")
    page = opened(browser, running, "/conflicts?name=Ann", "light", messages)
    page.locator(".conflict[data-task=reid]").get_by_role("button", name="anna").click()
    page.locator(".conflict.settled").wait_for()
    assert label(project, "reid", 2) == "anna"
    page.goto(f"http://127.0.0.1:{running.port}/people/1?name=Ann")
    page.locator("input[name=row]").first.check()
    page.get_by_role("button", name="Split off").click()
    page.locator("input[name=row]").nth(2).wait_for(state="detached")
    assert label(project, "reid", 0) == "person-0003"
    page.locator("#rename input").fill(HOSTILE)
    page.get_by_role("button", name="Rename").click()
    page.locator("h1").get_by_text(HOSTILE).wait_for()
    page.goto(f"http://127.0.0.1:{running.port}/people?name=Ann")
    for box in page.locator("input[name=person]").all()[:2]:
        box.check()
    page.locator("#merge").click()
    page.locator("input[name=person]").nth(2).wait_for(state="detached")
    assert messages == []
    page.context.close()
