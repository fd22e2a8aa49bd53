"""The leaderboard in a real browser: sorting, filtering, screens, paper, and no requests."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("jinja2")
screens = pytest.importorskip("screens")
HOSTILE = "<script>document.title='taken'</script>|*x* ]("


@pytest.fixture
def index(place: Path) -> Path:
    return place / "submissions" / "board" / "index.html"


def names(page: "Page") -> list[str]:
    """Entries that can be seen, from the top."""
    shown = page.locator("section tbody tr:visible td:nth-child(2) bdi")
    return [text.strip() for text in shown.all_inner_texts()]


def column(page: "Page", title: str) -> list[str]:
    """Numbers of a column, as they are written, from the top."""
    titles = [text.strip() for text in page.locator("section thead th").all_inner_texts()]
    place = next(number for number, text in enumerate(titles, 1) if text.startswith(title))
    return [text.split()[0] for text in page.locator(f"section tbody td:nth-child({place})").all_inner_texts()]


def test_clicks_sort_by_numbers_and_undefined_ones_stay_last(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        before = names(seen.page)
        assert before[2:] == ["=cmd()", "half"]
        seen.page.get_by_role("button", name="PIQ").click()
        assert names(seen.page) == [*before[2::-1], "half"]
        seen.page.get_by_role("button", name="PIQ").click()
        assert names(seen.page) == before
        seen.page.get_by_role("button", name="macro mAP").click()
        values = [float(text) for text in column(seen.page, "macro mAP")]
        assert values == sorted(values, reverse=True)
        assert seen.page.locator("th[aria-sort]").all_inner_texts() == ["macro mAP"]
        assert (seen.requests, seen.messages) == ([], [])


def test_names_sort_by_the_keyboard(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        seen.page.get_by_role("button", name="entry").focus()
        seen.page.keyboard.press("Enter")
        down = names(seen.page)
        seen.page.keyboard.press("Enter")
        assert names(seen.page) == down[::-1] != down


def test_typing_filters_by_entry_and_team(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        field = seen.page.get_by_role("searchbox")
        field.press_sequentially("CMD")
        assert names(seen.page) == ["=cmd()"]
        field.fill("<script>")
        assert names(seen.page) == [HOSTILE]
        field.fill("team")
        assert len(names(seen.page)) == 4
        field.fill("nobody")
        assert names(seen.page) == []
        field.fill("")
        assert len(names(seen.page)) == 4


@pytest.mark.parametrize("screen", ["light", "dark", "phone", "no script"])
def test_no_page_requests_anything_and_a_hostile_name_stays_text(screen: str, index: Path, browser: "Browser") -> None:
    for path in sorted(index.parent.glob("*.html")):
        with screens.visit(browser, path, screen) as seen:
            assert seen.page.title().endswith(" - piq-bench")
            assert (seen.requests, seen.messages) == ([], [])
            assert screens.overhang(seen.page) <= 0
            if path.name == "good-too.html":
                assert seen.page.get_by_role("heading", level=1).inner_text() == HOSTILE
            if path == index:
                assert HOSTILE in names(seen.page)
                assert seen.page.get_by_role("searchbox").is_visible() == (screen != "no script")


def test_it_follows_a_dark_screen_and_prints_whole(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index, "dark") as seen:
        assert screens.brightness(seen.page, "backgroundColor") < 60 < 180 < screens.brightness(seen.page, "color")
    with screens.visit(browser, index) as seen:
        seen.page.emulate_media(media="print")
        seen.page.set_viewport_size(screens.PAPER_ACROSS)
        assert screens.cut_off(seen.page) == []
        assert not seen.page.get_by_role("searchbox").is_visible()
        assert seen.page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.parametrize("screen", ["light", "no script"])
def test_a_switch_shows_the_intervals(screen: str, index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index, screen) as seen:
        interval = seen.page.locator(".interval").first
        assert not interval.is_visible()
        seen.page.get_by_label("Show 95% intervals").check()
        assert interval.is_visible()
        low, high = (float(end) for end in interval.inner_text().split(" - "))
        assert low < high
        seen.page.get_by_label("Show 95% intervals").uncheck()
        assert not interval.is_visible()


def test_the_chart_tells_the_numbers_of_the_entry_that_is_pointed_at(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        tips = seen.page.get_by_role("tooltip")
        assert tips.count() == 0  # none can be seen
        mark = seen.page.locator(".mark", has_text="=cmd()")
        mark.locator(".dot").hover()
        assert tips.count() == 1
        piq, interval = (
            seen.page.locator("tbody tr", has_text="=cmd()").locator("td.piq").all_text_contents()[0].split("\n")[:2]
        )
        assert tips.inner_text() == f"=cmd(): PIQ {piq}, 95% interval {interval}; rank 3"
        seen.page.mouse.move(0, 0)
        seen.page.get_by_label("Show 95% intervals").focus()
        assert tips.count() == 0
        mark.get_by_role("link").focus()  # by the keyboard
        assert tips.count() == 1


def test_dots_lie_inside_their_intervals_and_in_the_order_of_piq(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        boxes = seen.page.evaluate(
            """[...document.querySelectorAll(".mark")].map(mark => [".whisker", ".dot", ".range"].map(part => {
                 const box = mark.querySelector(part).getBoundingClientRect(); return [box.left, box.right]; }))"""
        )
        dots = [(left + right) / 2 for _, (left, right), _ in boxes]
        assert dots == sorted(dots, reverse=True)
        assert all(line[0] <= dot <= line[1] for dot, (line, _, _) in zip(dots, boxes, strict=True))
        one, other, last = (ranks for _, _, ranks in boxes)
        assert one == other  # ranks 1 to 2
        assert last[0] >= one[1] - 1


def test_a_table_that_is_wider_than_the_screen_shows_a_shadow_where_it_goes_on(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index, "phone") as seen:
        frame = seen.page.locator(".frame").first
        shown = "part => [...part.classList].sort().join(' ')"
        seen.page.locator(".frame.more-right").first.wait_for()
        assert frame.evaluate(shown) == "frame more-right"
        frame.locator(".scroll").evaluate("part => { part.scrollLeft = part.scrollWidth; }")
        seen.page.locator(".frame.more-left").first.wait_for()
        assert frame.evaluate(shown) == "frame more-left"
    with screens.visit(browser, index) as seen:  # it fits a window
        assert seen.page.locator(".frame").first.evaluate(shown) == "frame"


def test_links_lead_to_existing_files(index: Path, browser: "Browser") -> None:
    with screens.visit(browser, index) as seen:
        links = [one.get_attribute("href") for one in seen.page.get_by_role("link").all()]
        assert {"board.csv", "board.json", "board.tex", "good.html"} <= set(links)
        assert all((index.parent / str(link)).is_file() for link in links)
        seen.page.get_by_role("table").get_by_role("link", name="=cmd()").click()
        assert seen.page.get_by_role("heading", level=1).inner_text() == "=cmd()"
