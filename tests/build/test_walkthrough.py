"""Runs the walkthrough of piq_bench/build/README.md as it stands, with a script at the mouse, and checks the labels."""

import csv
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import piq_bench.build
from piq_bench.cli import piq
from piq_bench.cli.score import score_command
from piq_bench.demo.video import HOLD, PEOPLE_PER_SHOT, PICTURES, SHOTS

screens = pytest.importorskip("screens")

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NEEDED = ("av", "starlette", "uvicorn", "jinja2", "krippendorff", "sklearn", "torch")
PAGE = Path(piq_bench.build.__file__).with_name("README.md")
ROOT = PAGE.parents[2]
BLOCK = re.compile(r"^```(\w+)(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
PIQ = "from piq_bench.cli import piq\nif __name__ == '__main__':\n    piq()"
MODEL = """import shlex, sys
from reference_model.__main__ import main
if __name__ == '__main__':
    for line in sys.argv[1:]:
        main(shlex.split(line), standalone_mode=False)
"""
REPEATED_TRACKS = SHOTS * PEOPLE_PER_SHOT  # between a track of the first shot and the same at the end of the film
REPEATED_FRAMES = SHOTS * PICTURES * HOLD
IS_IN_SIGHT = """() => {
  const chosen = document.querySelector(".card.chosen"), { left, top, bottom } = chosen.getBoundingClientRect();
  return [top + 2, bottom - 2].every(y => chosen.contains(document.elementFromPoint(left + 9, y)));
}"""
Row = dict[str, str]


def blocks() -> list[tuple[str, str, str]]:
    """Language, remark and content of each block of the page."""
    return [(language, remark.strip(), content) for language, remark, content in BLOCK.findall(PAGE.read_text("utf-8"))]


def truth_of_films() -> dict[tuple[str, str], Row]:
    """What truth.csv says of each track."""
    return {(row["source"], row["track"]): row for row in table(Path("films/truth.csv"))}


def table(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run(content: str, browser: "Browser", log: list[str]) -> str:
    """Runs the commands of one block, and gives what they print."""
    printed, models = "", []
    for command in [words for line in content.splitlines() if (words := shlex.split(line, comments=True))]:
        if command[:3] == ["python", "-m", "reference_model"]:
            models.append(shlex.join(command[3:]))
            continue
        printed += run_models(models)
        models = []
        if command[:2] == ["piq", "annotate"] and "--export" not in command:
            with serving(command[1:]) as address:
                annotate(browser, address, log)
        else:
            tool = {"piq": piq, "piq-score": score_command}[command[0]]
            result = CliRunner().invoke(tool, command[1:])
            assert result.exit_code == 0, f"{shlex.join(command)}: {result.output}"
            printed += result.stdout
    return printed + run_models(models)


def run_models(commands: list[str]) -> str:
    if not commands:
        return ""
    threads = {"OMP_NUM_THREADS": "1"}  # the other core runs other tests
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | threads
    line = [sys.executable, "-c", MODEL, *commands]
    result = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@contextmanager
def serving(arguments: list[str]) -> Iterator[str]:
    """The address of the pages, on a port of their own; they end as by Ctrl-C."""
    line = [sys.executable, "-c", PIQ, *arguments, "--port", "0", "--workers", "1"]
    with subprocess.Popen(
        line, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield re.findall(r"open (\S+)", server.stdout.readline())[0]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(20)


def annotate(browser: "Browser", address: str, log: list[str]) -> None:
    """Labels everything by clicks alone, as somebody does who recognises whom the pictures show."""
    truth = truth_of_films()
    images = table(Path("people/annotations.csv"))
    shown = {row["image"]: truth[row["source"], row["track"]] for row in images}
    page = opened(browser, "light", log)
    begin(page, address, "reid")
    clicks = 0
    while (image := current(page, "#image")) is not None:
        person = shown[image]
        portraits = page.locator("#people img").evaluate_all("all => all.map(one => one.getAttribute('src'))")
        known = [shown[images[int(source.rpartition("/")[2])]["image"]]["identity"] for source in portraits]
        assert page.locator("#whole").is_checked()
        if person["identity"] in known:
            page.locator("#people button").nth(known.index(person["identity"])).click()
        else:
            page.locator("#buttons button").get_by_text(f"new person, {person['gender']}", exact=True).click()
        page.locator("#image:visible, #finished:visible").filter(has_not_text=image).wait_for()
        clicks += 1
    assert clicks == 40  # as the page says
    page = opened(browser, "phone", log)
    begin(page, address, "body")
    page.locator("#whole").check()
    while (image := current(page, ".card.chosen:not(.saved)", "title")) is not None:
        assert page.evaluate(IS_IN_SIGHT)
        page.locator("#buttons button").get_by_text(shown[image]["body"], exact=True).click()
    begin(page, address, "gender")
    page.locator("#finished").wait_for()  # naming a person has labelled it


def opened(browser: "Browser", screen: str, log: list[str]) -> "Page":
    page = browser.new_context(**screens.SCREENS[screen]).new_page()
    page.set_default_timeout(20_000)
    page.on("console", lambda message: log.append(message.text))
    page.on("pageerror", lambda error: log.append(str(error)))
    return page


def begin(page: "Page", address: str, task: str) -> None:
    page.goto(address)
    page.locator("input[name=name]").fill("Ann")
    page.locator("select[name=task]").select_option(task)
    page.locator("button").get_by_text("Begin").click()


def current(page: "Page", selector: str, attribute: str = "") -> str | None:
    """The image that waits for a label; None if none does."""
    place = page.locator(f"{selector}:visible, #finished:visible")
    place.wait_for()
    if place.get_attribute("id") == "finished":
        return None
    return place.get_attribute(attribute) if attribute else place.inner_text()


def without_digits(text: str) -> set[str]:
    return {re.sub(r"[\d.]+", "0", re.sub("─+", "─", " ".join(line.split()))) for line in text.splitlines()}


def test_the_walkthrough_runs_as_it_stands_and_finds_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: "Browser"
) -> None:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    printed = ""
    log: list[str] = []  # messages of the browser's console
    for language, remark, content in blocks():
        if language == "sh" and "pip install" not in content:
            printed = run(content, browser, log)
        elif language == "toml":
            Path("people/benchmark.toml").write_text(content, encoding="utf-8")
        elif remark:
            assert remark == "digits-vary"
            assert without_digits(content) <= without_digits(printed)
        elif language == "text":
            assert set(content.splitlines()) <= set(printed.splitlines())
    assert log == []

    truth = truth_of_films()
    rows = table(Path("people/annotations.csv"))
    people = {(row["identity"], truth[row["source"], row["track"]]["identity"]) for row in rows}
    assert len(people) == len(dict(people)) == len({person for _, person in people}) == 16
    labels = [(row["gender"], row["body"]) for row in rows]
    assert labels == [(true["gender"], true["body"]) for row in rows if (true := truth[row["source"], row["track"]])]

    group = {row["image"]: row["group"] for row in table(Path("people/groups-all.csv"))}
    image = {(row["source"], int(row["track"]), int(row["frame"])): row["image"] for row in rows}
    repeated = [
        (one, again)
        for (film, track, frame), again in image.items()
        if (one := image.get((film, track - REPEATED_TRACKS, frame - REPEATED_FRAMES)))
    ]
    assert len(repeated) == 32
    assert all(group[one] == group[again] for one, again in repeated)
    score, _, _, _, chance = re.findall(r"macro mAP +([\d.]+) +([\d.]+) +(-) +([\d.]+) +([\d.]+)", printed)[0]
    assert float(score) > 1.5 * float(chance)
