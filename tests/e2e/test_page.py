"""The page "ML lineage" as a reader sees it: a real Airflow, its own lineage, and a real browser."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.browser import SIZE, chromium, shot
from tests.e2e.harness import Lab
from tests.e2e.traced import DAG_ID, TOLD_ID, Traced, data, ended

HOSTILE = "<img src=x onerror=document.title='broken'>"
NAV = "plugin/mlx-lineage"
JOB = {"backend": "kubeflow_pipelines", "name": "mlx-fit-1", "attempt": 1, "submittedByTry": 1, "state": "succeeded",
       "stack": "prod", "target": "gpu", "url": "https://kubeflow.example.com/runs/1"}  # fmt: skip
FITTED = {
    "mlx_remoteJob": JOB, "mlx_metrics": {"metrics": [{"name": "accuracy", "value": 0.9173}]},
    "mlx_cost": {"amount": 1.25, "currency": "EUR", "estimated": True, "basis": "0.5 h of g2-standard-8"},
    "executionParameters": {"parameters": [{"key": "depth", "value": "6"}]},
}  # fmt: skip
MODEL = {
    "datasetType": {"datasetType": "MODEL"},
    "mlx_model": {"name": "churn", "framework": "scikit-learn", "format": "skops", "version": "3", "digest": "sha256:0",
                  "size": 1},
}  # fmt: skip
FIELDS = {"schema": {"fields": [{"name": "age", "type": "int64"}, {"name": HOSTILE, "type": "string"}]}}
PIPELINE = (f"{TOLD_ID}.fit", 1), (f"{TOLD_ID}.fit.pipeline", 2)
EVENTS = [
    ended(f"{TOLD_ID}.fit", 1, inputs=[data("people.parquet", **FIELDS)], outputs=[data("churn.skops", "3", **MODEL)]),
    ended(f"{TOLD_ID}.fit.pipeline", 2, parent=PIPELINE[0], integration="KUBEFLOW", inputs=[data("people.parquet")],
          outputs=[data("churn.skops", "3", **MODEL)], **FITTED),
    ended(f"{TOLD_ID}.fit.pipeline.clean", 3, parent=PIPELINE[1], integration="KUBEFLOW",
          inputs=[data("people.parquet")], outputs=[data("clean.parquet")]),
    ended(f"{TOLD_ID}.fit.pipeline.boost", 4, parent=PIPELINE[1], integration="KUBEFLOW",
          inputs=[data("clean.parquet")], outputs=[data("churn.skops", "3", **MODEL)]),
    ended(f"{TOLD_ID}.{HOSTILE}", 5, inputs=[data(f"{HOSTILE}.csv")], outputs=[data("people.parquet", **FIELDS)]),
    ended("hidden.score", 6, dag="hidden", inputs=[data("churn.skops", "3", **MODEL)]),
]  # fmt: skip


@pytest.fixture(scope="module")
def told(traced: Traced) -> Traced:
    """Airflow with one run of its own, and one of a DAG with a pipeline on Kubeflow."""
    traced.tell(EVENTS)
    return traced


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, told: Traced) -> Iterator[Callable[..., Page]]:
    """Opens pages; when the test is over, none may have failed inside, or have asked anybody but Airflow."""
    contexts, wrong = [], list[str]()

    def go(path: str, *, scheme: str = "light", url: str = told.airflow.url) -> Page:
        contexts.append(browser.new_context(viewport=SIZE, color_scheme=scheme))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda it: None if it.url.startswith((url, "data:", "blob:")) else wrong.append(it.url))
        page.goto(f"{url}/{path}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong


def node(page: Page, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("group", name="Lineage graph").get_by_role("button", name=name)


def details(page: Page) -> Locator:
    return page.get_by_role("complementary", name=re.compile("Details of"))


def find(page: Page, text: str) -> None:
    page.get_by_role("combobox", name="Search").fill(text)
    page.locator("[data-scope=combobox]").get_by_role("option").first.click()


def test_the_menu_leads_to_a_graph_from_the_raw_data_to_the_model(visit: Callable[..., Page]) -> None:
    page = visit("")
    page.get_by_role("button", name="Browse").click()
    page.get_by_role("menuitem", name="ML lineage").click()
    find(page, "raw.csv")
    for name in (
        "Dataset raw.csv",
        "Job prepare",
        "Dataset prepare → return_value",
        "Job train, traced, success, on local",
    ):
        expect(node(page, name).first).to_be_visible()
    shot(page, "graph")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dag_run_has_a_tab_with_its_own_graph(visit: Callable[..., Page], told: Traced, scheme: str) -> None:
    page = visit(f"dags/{DAG_ID}/runs/{told.run_id}", scheme=scheme)
    page.get_by_role("link", name="ML lineage").click()
    expect(node(page, "Dataset raw.csv")).to_be_visible()
    expect(node(page, "Job train")).to_be_visible()
    expect(node(page, "people.parquet")).to_have_count(0)
    expect(page.locator("html")).to_have_class(re.compile(scheme))
    shot(page, f"dag-run-{scheme}")


def test_a_task_instance_has_a_tab_with_what_it_read_and_wrote(visit: Callable[..., Page], told: Traced) -> None:
    page = visit(f"dags/{DAG_ID}/runs/{told.run_id}/tasks/train")
    page.get_by_role("link", name="ML lineage").click()
    expect(node(page, "Dataset prepare → return_value")).to_be_visible()
    expect(node(page, "Dataset train → return_value")).to_be_visible()
    expect(node(page, "Dataset raw.csv")).to_have_count(0)
    shot(page, "task-instance")


def test_a_steps_details_tell_of_its_run_and_lead_to_its_log(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "raw.csv")
    node(page, "Job train").click()
    panel = details(page)
    expect(panel.get_by_text("traced-train-")).to_be_visible()
    expect(panel.get_by_role("button", name="prepare → return_value")).to_be_visible()
    shot(page, "details-of-a-step")
    panel.get_by_role("link", name="Airflow's log of the task").click()
    expect(page).to_have_url(re.compile(r"/dags/traced/runs/.+/tasks/train"))
    expect(page.get_by_text("submitted").first).to_be_visible()


def test_a_version_tells_how_it_came_to_be(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "traced/train/return_value")
    panel = details(page)
    panel.get_by_role("button", name="How it came to be").click()
    expect(panel.get_by_text("v7")).to_be_visible()
    expect(panel.get_by_role("button", name="raw.csv")).to_be_visible()


def test_a_pipeline_is_one_job_until_it_is_opened(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "people.parquet")
    expect(node(page, "Dataset clean.parquet")).to_have_count(0)
    node(page, "Job fit").first.click()
    panel = details(page)
    for text in ("0.9173", "depth", "≈ 1.25 EUR"):
        expect(panel.get_by_text(text)).to_be_visible()
    expect(panel.get_by_role("link", name="The job's page")).to_have_attribute("href", str(JOB["url"]))
    page.get_by_role("button", name="Show 3 jobs inside of fit").click()
    page.get_by_role("button", name="Show 2 jobs inside of fit.pipeline").click()
    expect(node(page, "Dataset clean.parquet")).to_be_visible()
    shot(page, "pipeline-opened")
    page.get_by_role("button", name="Show as one job again").first.click()
    expect(node(page, "Dataset clean.parquet")).to_have_count(0)


def test_what_a_step_drew_is_shown_in_a_frame_that_can_do_nothing(visit: Callable[..., Page], told: Traced) -> None:
    run = told.airflow.trigger("drawn")
    assert told.airflow.wait_for_run("drawn", run) == "success"
    page = visit(NAV)
    find(page, "drawn.report.report")
    details(page).get_by_role("button", name="return_value markdown").click()
    frame = details(page).locator("iframe")
    expect(frame).to_have_attribute("sandbox", "")
    expect(frame.content_frame.get_by_role("heading", name="All is well <img src=x>")).to_be_visible()
    shot(page, "preview")


def test_a_figure_is_seen_and_a_script_that_a_step_returned_does_not_run(
    visit: Callable[..., Page], told: Traced
) -> None:
    run = told.airflow.trigger("drawn")
    assert told.airflow.wait_for_run("drawn", run) == "success"
    page = visit(NAV)
    find(page, "drawn.draw.draw")
    details(page).get_by_role("button", name="plot figure").click()
    expect(details(page).get_by_title("figure plot").content_frame.locator("img")).to_be_visible()
    details(page).get_by_role("button", name="page html").click()
    frame = details(page).get_by_title("html page")
    expect(frame.content_frame.get_by_role("heading", name="Untouched")).to_be_visible()
    assert page.title() != "broken"
    page.goto(str(frame.get_attribute("src")))  # without a frame around it
    expect(page.get_by_role("heading", name="Untouched")).to_be_visible()
    assert page.title() != "broken"


def test_keys_alone_lead_through_the_graph(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "raw.csv")
    node(page, "Dataset raw.csv").focus()
    page.keyboard.press("ArrowRight")
    expect(node(page, re.compile("^Job prepare"))).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(node(page, re.compile("^Job train"))).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Details of train")).to_be_visible()
    page.keyboard.press("Escape")
    expect(details(page)).to_have_count(0)
    page.keyboard.press("Shift+Tab")  # one stop of the Tab key for the whole graph
    expect(page.get_by_role("combobox", name="Downstream")).to_be_focused()


def test_steps_are_listed_and_filtered(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    page.get_by_role("tab", name="Steps").click()
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="pipeline")).to_contain_text("Kubeflow Pipelines")
    expect(rows.filter(has_text="train")).to_contain_text("success")
    shot(page, "steps")
    page.get_by_label("Backend").select_option("local")
    expect(rows.filter(has_text="pipeline")).to_have_count(0)
    page.get_by_role("textbox", name="Step").fill("train")
    expect(rows).to_have_count(2)  # the header, and one
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_text("No step is like that")).to_be_visible()
    page.get_by_label("State").select_option("")
    page.get_by_role("button", name="train").click()
    expect(page.get_by_role("complementary", name="Details of train")).to_be_visible()


def test_a_name_that_is_markup_stays_text(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "people.parquet")
    expect(node(page, f"Dataset {HOSTILE}.csv")).to_be_visible()
    expect(details(page).get_by_text(HOSTILE, exact=True)).to_be_visible()
    node(page, f"Job {HOSTILE}").click()
    expect(page.get_by_role("heading", name=HOSTILE)).to_be_visible()
    assert page.title() != "broken"
    assert page.locator("img[src=x]").count() == 0
    shot(page, "hostile")


def test_a_job_of_a_dag_that_one_may_not_read_has_no_name(visit: Callable[..., Page]) -> None:
    page = visit(NAV)
    find(page, "churn.skops")
    node(page, "another DAG's job").click()
    expect(details(page).get_by_text("you may not read").first).to_be_visible()
    expect(page.get_by_text("hidden.score")).to_have_count(0)


def test_a_graph_in_a_file_needs_nobody(visit: Callable[..., Page], told: Traced, tmp_path: Path) -> None:
    file = tmp_path / "graph.html"
    command = [told.airflow.bin / "python", "-m", "airflow_provider_mlx", "lineage-graph", "--html", file,
               "--store", told.airflow.env["AIRFLOW__MLX__LINEAGE_STORE"], "--node", "raw.csv"]  # fmt: skip
    subprocess.run(command, env=told.airflow.env, check=True)
    page = visit("graph.html", url=f"file://{tmp_path}", scheme="dark")
    node(page, "Job train").click()
    expect(details(page).get_by_text("traced-train-")).to_be_visible()
    shot(page, "file")


def test_without_a_store_the_page_says_what_to_configure_and_no_run_has_a_tab(
    visit: Callable[..., Page], lab: Lab
) -> None:
    page = visit(NAV, url=lab.airflow.url)
    expect(page.get_by_role("heading", name="This Airflow keeps no lineage yet")).to_be_visible()
    expect(page.get_by_text("lineage_store = ")).to_be_visible()
    shot(page, "no-store")
    plugins = lab.airflow.ask("plugins")["plugins"]
    assert [app["destination"] for plugin in plugins for app in plugin["react_apps"]] == ["nav"]
