"""A real headless Chromium for a real JupyterLab."""

import os
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]


def chromium():
    named = os.environ.get("PHASENB_TEST_CHROMIUM", "")
    found = next(filter(None, map(shutil.which, [named, "chromium", "chromium-browser", "google-chrome"])), None)
    if found is None:
        pytest.fail("No Chromium was found: run tests/browser/install_chromium.sh, or set PHASENB_TEST_CHROMIUM.")
    return found


@pytest.fixture(autouse=True)
def jp_asyncio_loop():
    """Not pytest-jupyter's loop: Playwright runs one of its own in this thread."""


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Nothing to clean up: the server is another process."""


@pytest.fixture(scope="module")  # not longer: Playwright's loop occupies this thread, and other tests run loops too
def browser():
    with sync_playwright() as playwright:
        # Without a sandbox and shared memory, as containers have it.
        options = {"args": ["--no-sandbox", "--disable-dev-shm-usage"], "executable_path": chromium()}
        browser = playwright.chromium.launch(**options)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1180, "height": 900}, device_scale_factor=1)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.fixture
def picture(tmp_path):
    """Where a picture of the README goes: a test run leaves the committed ones alone, `make pictures` renews them."""
    folder = ROOT / "docs" / "images" if os.environ.get("PHASENB_TEST_PICTURES") else tmp_path
    return folder.joinpath


@pytest.fixture
def lab(jupyter_process):
    """JupyterLab on a copy of notebooks/."""
    return jupyter_process("jupyterlab", files=ROOT / "notebooks", options=["--expose-app-in-browser"])
