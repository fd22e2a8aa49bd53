"""Pages in a real browser: they request nothing, untrusted text stays inert, and they fit screens and paper."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hostile_builders
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("jinja2")
screens = pytest.importorskip("screens")
ATTACK = (
    "</title></svg>\"'><img src=x onerror=alert(1)><script>document.title='taken'</script>"
    "<style>@import 'http://localhost:9/'</style>\u202egpj\u0590\u05d0 {{7*7}}" + 10_000 * "x"
)
KINDS: dict[str, Callable[[], str]] = {
    "score": lambda: hostile_builders.hostile_score_page(ATTACK, ATTACK),
    "stats": lambda: hostile_builders.hostile_stats_page(ATTACK),
    "compare": lambda: hostile_builders.hostile_compare_page(ATTACK),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    for kind, make in KINDS.items():
        (folder / f"{kind}.html").write_text(make(), encoding="utf-8")
    return {kind: folder / f"{kind}.html" for kind in KINDS}


def test_the_browser_would_show_an_attack(browser: "Browser", tmp_path: Path) -> None:
    path = tmp_path / "open.html"
    path.write_text(f"<title>safe</title><p title='{ATTACK}", encoding="utf-8")
    with screens.visit(browser, path) as seen:
        assert seen.page.title() == "taken"
        assert "1" in seen.messages
        assert any(address.endswith("/x") for address in seen.requests)


@pytest.mark.parametrize("screen", ["light", "dark", "phone", "no script"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_requested_and_untrusted_text_stays_inert(
    kind: str, screen: str, pages: dict[str, Path], browser: "Browser"
) -> None:
    with screens.visit(browser, pages[kind], screen) as seen:
        assert seen.page.title().endswith(" - piq-bench")
        assert seen.page.locator("img, script, iframe, link").count() == 0
        assert seen.page.get_by_text("<img src=x onerror=alert(1)>").count() > 0
        assert (seen.requests, seen.messages) == ([], [])
        assert screens.overhang(seen.page) <= 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_follows_a_dark_screen_and_prints_whole(kind: str, pages: dict[str, Path], browser: "Browser") -> None:
    with screens.visit(browser, pages[kind], "dark") as seen:
        assert screens.brightness(seen.page, "backgroundColor") < 60 < 180 < screens.brightness(seen.page, "color")
    with screens.visit(browser, pages[kind]) as seen:
        assert screens.brightness(seen.page, "color") < 60 < 200 < screens.brightness(seen.page, "backgroundColor")
        seen.page.emulate_media(media="print")
        seen.page.set_viewport_size(screens.PAPER)
        assert screens.cut_off(seen.page) == []
        assert screens.overhang(seen.page) <= 0
        widths = seen.page.locator("th.name").evaluate_all("cells => cells.map(cell => cell.clientWidth)")
        assert min(widths, default=64) >= 64  # enough for a short name in one line
        assert seen.page.pdf(format="A4").startswith(b"%PDF")


def test_every_plot_has_a_text_and_labels_that_can_be_read(pages: dict[str, Path], browser: "Browser") -> None:
    for kind, path in pages.items():
        for screen in ("light", "phone"):
            with screens.visit(browser, path, screen) as seen:
                labels = seen.page.get_by_role("img").evaluate_all(
                    "plots => plots.map(plot => plot.getAttribute('aria-label'))"
                )
                assert len(labels) == seen.page.locator("svg").count() > 0, kind
                assert all(labels)
                sizes = seen.page.eval_on_selector_all(
                    "svg.chart text",
                    "texts => texts.map(one => parseFloat(getComputedStyle(one).fontSize) * "
                    "Math.hypot(one.getScreenCTM().a, one.getScreenCTM().b))",
                )
                assert all(size >= 9 for size in sizes), (kind, screen, sizes)


def test_the_values_of_charts_are_shown_where_the_mouse_is(pages: dict[str, Path], browser: "Browser") -> None:
    with screens.visit(browser, pages["score"]) as seen:
        charts = {
            (chart.get_attribute("aria-label") or "").split()[0]: chart
            for chart in seen.page.locator("svg.chart").all()
        }
        for first_word, place, shown in (
            ("CMC", 0.5, r"rank \d+: macro: mean over people [\d.]+%, plain: mean over queries [\d.]+%.*"),
            ("Histogram", 0.3, r"similarity \S+ to \S+: [\d.]+% of right pairs, [\d.]+% of wrong pairs"),
            ("Precision", 0.4, r"recall [\d.]+: precision [\d.]+"),
        ):
            frame = charts[first_word].locator("rect.frame")
            frame.scroll_into_view_if_needed()
            box = frame.bounding_box()
            assert box is not None
            x, y = box["x"] + place * box["width"], box["y"] + 0.25 * box["height"]
            seen.page.mouse.move(x, y)
            found = seen.page.evaluate(
                "([x, y]) => { const part = document.elementFromPoint(x, y);"
                "return [part.textContent, getComputedStyle(part).opacity, part.matches('.hover:hover')] }",
                [x, y],
            )
            assert re.fullmatch(shown, found[0] or ""), (first_word, found)
            assert found[1:] == ["0.18", True]  # the column is marked
        dot = seen.page.locator("circle.dot").first
        dot.hover(force=True)
        assert re.search(r"\d", dot.locator("title").text_content() or "")
