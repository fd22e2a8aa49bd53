"""Opens pages in a browser on several screens and on paper, and records their requests and messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Request

SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    "no script": {"viewport": {"width": 1280, "height": 900}, "java_script_enabled": False},
}
PAPER = {"width": 718, "height": 1000}  # A4 within margins of a centimetre, in CSS pixels
PAPER_ACROSS = {"width": 1047, "height": 700}


@dataclass(frozen=True)
class Visit:
    """An open page.

    Attributes:
        page: page of the browser.
        requests: addresses that the page requested, besides its own.
        messages: messages of the console, errors and dialogs.
    """

    page: Page
    requests: list[str]
    messages: list[str]


@cache
def page_on(browser: Browser, screen: str) -> Page:
    """One page for all visits on a screen: a new one costs three times as much as a visit."""
    return browser.new_context(**SCREENS[screen]).new_page()


@contextmanager
def visit(browser: Browser, path: Path, screen: str = "light") -> Iterator[Visit]:
    """Open a file on a screen."""
    page = page_on(browser, screen)
    page.set_viewport_size(SCREENS[screen]["viewport"])
    page.emulate_media(media="screen")
    visit = Visit(page, [], [])

    def record_request(request: Request) -> None:
        if request.url != path.as_uri() and not request.url.startswith("data:"):
            visit.requests.append(request.url)

    def record_message(message: ConsoleMessage) -> None:
        visit.messages.append(message.text)

    def record_error(error: Error) -> None:
        visit.messages.append(str(error))

    def dismiss(dialog: Dialog) -> None:
        visit.messages.append(dialog.message)
        dialog.dismiss()

    listeners = {"request": record_request, "console": record_message, "pageerror": record_error, "dialog": dismiss}
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    try:
        page.goto(path.as_uri())
        yield visit
    finally:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)


def overhang(page: Page) -> int:
    """Number of pixels by which the page is wider than its screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def cut_off(page: Page) -> list[str]:
    """Elements whose content is cut off, as it would be on paper, which cannot scroll."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("body *")].filter(part => {
             const style = getComputedStyle(part);
             return style.overflowX !== "visible" && part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0;
           }).map(part => part.className + ": " + part.textContent.trim().slice(0, 40))"""
    )
    return found


def brightness(page: Page, which: str) -> float:
    """Brightness of the body's "color" or "backgroundColor", from 0 to 255."""
    text = page.evaluate(f"getComputedStyle(document.body).{which}")
    red, green, blue = (float(part) for part in text.removeprefix("rgb(").removesuffix(")").split(",")[:3])
    return (red + green + blue) / 3
