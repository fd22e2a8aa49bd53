"""Measures the identity page with many portraits and people: the first page, and the answer to a click.

    python tests/build/annotate/measure.py [--portraits 5000] [--people 300]

Times are a browser's, on this machine: from opening the address until the portrait and the people that fit on a screen
are there, and then everybody; and from a key until the next portrait is there. "server" is the time of the request
alone.
"""

import argparse
import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from annotate_builders import TOML  # noqa: E402
from build.annotate.killing import start  # noqa: E402

HEADER = "image,split,identity,gender,mood,source,track"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def make(folder: Path, portraits: int, people: int) -> None:
    """Write one film: half of the portraits are labelled, in tracks of five."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "benchmark.toml").write_text(TOML)
    lines = [HEADER]
    for at in range(portraits):
        who = at // 5 % people
        base = np.random.default_rng(who).integers(0, 256, (32, 16, 3))
        noisy = np.clip(base + rng.integers(-30, 31, base.shape), 0, 255).astype(np.uint8)
        name = f"{at:06}.jpg"
        Image.fromarray(noisy).resize((128, 256)).save(folder / "images" / name, quality=85)
        lines.append(f"{name},train,{f'p{who:04}' if at < portraits // 2 else ''},,,film,{at // 5}")
    (folder / "annotations.csv").write_text("\n".join(lines) + "\n")


def measure(folder: Path, clicks: int) -> dict[str, float]:
    """Seconds until the server listens, of the first page, and medians of the clicks."""
    from playwright.sync_api import sync_playwright

    found: dict[str, float] = {}
    began = time.perf_counter()
    process, port = start(folder)
    found["start, colours computed"] = time.perf_counter() - began
    process.kill()
    process.wait()
    began = time.perf_counter()
    process, port = start(folder)
    found["start, colours kept"] = time.perf_counter() - began
    try:
        with sync_playwright() as driver:
            path = next(filter(None, map(shutil.which, BROWSERS)))
            page = driver.chromium.launch(executable_path=path, args=["--no-sandbox"]).new_page()
            began = time.perf_counter()
            page.goto(f"http://127.0.0.1:{port}/work?task=reid&name=Ann")
            ready = "(n) => document.querySelectorAll('#people button').length >= n && portrait.complete"
            page.wait_for_function(ready, arg=40)
            found["first page"] = time.perf_counter() - began
            page.wait_for_function(ready, arg=arguments.people)
            found["first page, everybody"] = time.perf_counter() - began
            times = page.evaluate(
                """async clicks => { const times = [];
                  for (let n = 0; n < clicks; n++) {
                    const before = document.getElementById("image").textContent, began = performance.now();
                    dispatchEvent(new KeyboardEvent("keydown", { key: "1" }));
                    while (document.getElementById("image").textContent === before || busy)
                      await new Promise(done => setTimeout(done, 1));
                    await portrait.decode();
                    times.push(performance.now() - began);
                  }
                  return times; }""",
                clicks,
            )
            found["click, median"], found["click, slowest"] = statistics.median(times) / 1000, max(times) / 1000
        served = []
        for _ in range(clicks):
            view = request(port, "next", {"name": "Ann"})
            began = time.perf_counter()
            content = {"name": "Ann", "rows": [view["row"]], "value": f"p{view['people'][0]['person']}"}
            request(port, "answer", content | {"whole_track": True, "click": str(time.time_ns())})
            served.append(time.perf_counter() - began)
        found["server, median"] = statistics.median(served)
    finally:
        process.kill()
        process.wait()
    return found


def request(port: int, verb: str, content: dict[str, object]) -> dict[str, list[dict[str, object]]]:
    """Send one click."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
    connection.request("POST", f"/do/{verb}", json.dumps({"task": "reid", "view": True} | content), headers)
    found: dict[str, list[dict[str, object]]] = json.loads(connection.getresponse().read())
    connection.close()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portraits", type=int, default=5000)
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--clicks", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        make(Path(place, "data"), arguments.portraits, arguments.people)
        for name, value in measure(Path(place, "data"), arguments.clicks).items():
            print(f"{name:25} {value:8.3f}")
