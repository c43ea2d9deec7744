"""The system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("MLX_TEST_SCREENSHOTS") or ROOT / ".build" / "screenshots")
SIZE = {"width": 1440, "height": 900}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none, the test fails if everything must run, and is skipped elsewhere."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        text = "there is no Chromium on PATH → run `make browser` as root, or install it"
        (pytest.fail if os.environ.get("MLX_TESTS_REQUIRE_ALL") == "1" else pytest.skip)(text)
    # its sandbox needs rights that root in a container does not have
    unboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=unboxed)
        yield browser
        browser.close()


def shot(page: Page, name: str) -> None:
    """A picture of what is seen, for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
