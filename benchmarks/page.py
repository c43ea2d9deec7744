"""
The page "ML lineage" with 100 and with 1,000 nodes: until it can be used, and the longest that it holds up the browser.

A real Airflow, its API, and the system's Chromium: ``python -m benchmarks.page``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from airflow_provider_mlx.lineage.store.tables import key_of
from tests.e2e.browser import SIZE, chromium
from tests.e2e.harness import DEMO
from tests.e2e.traced import Traced, traced_airflow, wide

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES: Final = (100, 1000)
TIMES: Final = 5
_WATCH: Final = """
window.held = [];
new PerformanceObserver((list) => list.getEntries().forEach((task) => window.held.push(task.duration)))
  .observe({ type: "longtask" });
"""
"""A browser tells of tasks that hold it up for 50 ms and more."""
_DRAWN: Final = """() => document.querySelector('.mlx-face, .mlx-far path') !== null"""

_ASK: Final = "(path) => fetch(path).then((answer) => answer.json())"


def main() -> None:
    """Print one line for each number."""
    with (
        tempfile.TemporaryDirectory() as folder,
        traced_airflow(DEMO.bin, Path(folder)) as traced,
        chromium() as browser,
    ):
        for size in SIZES:
            events = wide(size)
            for first in range(0, len(events), 500):
                traced.tell(events[first : first + 500])
            measure(browser, traced, size)


def measure(browser: Browser, traced: Traced, size: int) -> None:
    """Everything about a graph of this size."""
    start = key_of("s3://made", f"wide-{size}/raw.csv")
    opened, switched, moved = [], [], []
    for _ in range(TIMES):
        with page_at(browser, f"{traced.airflow.url}/plugin/mlx-lineage?node={start}&down=50") as page:
            page.wait_for_function(_DRAWN)
            opened.append((page.evaluate("performance.now()"), held(page)))
            answer = page.evaluate(_ASK, f"/mlx/lineage/api/v1/graph?node={start}&down=50")
            page.get_by_role("tab", name="Steps").click()
            page.get_by_role("row").first.wait_for()
            page.wait_for_timeout(1000)
            held(page)
            began = page.evaluate("performance.now()")
            page.get_by_role("tab", name="Graph").click()
            page.wait_for_function(_DRAWN)
            switched.append((page.evaluate("performance.now()") - began, held(page)))
            page.wait_for_timeout(500)
            use(page)
            moved.append((0.0, held(page)))
    print(f"a graph of {len(answer['nodes'])} nodes and {len(answer['edges'])} edges (n={TIMES}, medians)")
    print(f"  the page opened in a new tab, Airflow's own start included: {spread(opened)}")
    print(f"  the tab of the graph opened on the page: {spread(switched)}")
    print(
        f"  zoomed out and in, dragged, ten arrow keys: held up for {median(held for _, held in moved):.0f} ms at most"
    )


@contextmanager
def page_at(browser: Browser, url: str) -> Iterator[Page]:
    """A page with nothing cached."""
    context = browser.new_context(viewport=SIZE)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script(_WATCH)
    page.goto(url)
    yield page
    context.close()


def held(page: Page) -> float:
    """Milliseconds of the longest task since the last question; 0 where none took 50."""
    page.wait_for_timeout(300)
    return float(
        page.evaluate("(() => { const longest = Math.max(0, ...window.held); window.held = []; return longest; })()")
    )


def use(page: Page) -> None:
    """What a hand does."""
    page.mouse.move(700, 500)
    for turn in (400, -400):
        for _ in range(12):
            page.mouse.wheel(0, turn)
            page.wait_for_timeout(30)
    page.mouse.down()
    page.mouse.move(300, 300, steps=20)
    page.mouse.up()
    page.locator(".mlx-face").first.focus()
    for key in ("ArrowRight", "ArrowDown") * 5:
        page.keyboard.press(key)
        page.wait_for_timeout(50)


def spread(times: list[tuple[float, float]]) -> str:
    """Seconds and the longest task."""
    seconds = [ms / 1000 for ms, _ in times]
    return (
        f"drawn after {median(seconds):.2f} s [{min(seconds):.2f}–{max(seconds):.2f}], "
        f"held up for {median(held for _, held in times):.0f} ms at most"
    )


if __name__ == "__main__":
    main()
