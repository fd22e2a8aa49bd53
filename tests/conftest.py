"""Settings of all tests, and a browser for tests of HTML pages."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from piq_bench.read.unpacking import own_files

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SETTINGS = tempfile.TemporaryDirectory(prefix="piq-bench-settings-")  # the user's own are left alone
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = SETTINGS.name
# A slow machine is not an error. Every run draws new examples; `--hypothesis-profile thorough` draws many more.
settings.register_profile("patient", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("patient")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def pytest_collection_finish() -> None:
    """Spares what all tests have imported each later search for circular references."""
    gc.freeze()


@pytest.fixture(autouse=True)
def _unpacked_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets tests unpack files within their own process, which saves 0.3 s a file, unless they are marked `apart`."""
    if request.node.get_closest_marker("apart"):
        yield
    else:
        with own_files():
            yield


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The installed Chromium; skips the test if there is none or if it does not start."""
    tool = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no browser is installed")
    with tool.sync_playwright() as driver:
        try:
            started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        except tool.Error as error:
            pytest.skip(f"the browser does not start: {str(error).splitlines()[0]}")
        yield started
        started.close()
