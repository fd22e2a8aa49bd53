"""Opens pages in a browser on several screens and on paper, and records their requests and messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Dialog, Page, Request

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


@contextmanager
def visit(browser: Browser, path: Path, screen: str = "light") -> Iterator[Visit]:
    """Open a file on a screen."""
    context = browser.new_context(**SCREENS[screen])
    page = context.new_page()
    visit = Visit(page, [], [])

    def record_request(request: Request) -> None:
        if request.url != path.as_uri() and not request.url.startswith("data:"):
            visit.requests.append(request.url)

    def dismiss(dialog: Dialog) -> None:
        visit.messages.append(dialog.message)
        dialog.dismiss()

    page.on("request", record_request)
    page.on("console", lambda message: visit.messages.append(message.text))
    page.on("pageerror", lambda error: visit.messages.append(str(error)))
    page.on("dialog", dismiss)
    page.goto(path.as_uri())
    yield visit
    context.close()


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
