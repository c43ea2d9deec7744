"""The graph across three backends as its reader sees it, in Airflow's own UI."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import chromium, shot

SIZE = {"width": 1960, "height": 720}
"""As the pictures in the docs are."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_one_graph_across_three_backends(airflow, scheme):
    with chromium() as browser:
        page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
        page.goto(f"{airflow.url}/plugin/mlx-lineage")
        page.get_by_role("combobox", name="Search").fill("churn/2026-10.csv")
        page.locator("[data-scope=combobox]").get_by_role("option").first.click()
        graph = page.get_by_role("group", name="Lineage graph")
        for name in (
            "Dataset 2026-10.csv", "Job clean, one_graph, success, on SageMaker",
            "Job features, one_graph, success, on Kubeflow Pipelines", "Job train, one_graph, success, on Kubernetes",
            "Model churn",
        ):  # fmt: skip
            expect(graph.get_by_role("button", name=name).first).to_be_visible()
        page.get_by_role("button", name="Show everything").click()
        graph.get_by_role("button", name="Job train").first.click()
        panel = page.get_by_role("complementary", name="Details of train")
        expect(panel.get_by_text("loss", exact=True).first).to_be_visible()
        shot(page, f"one-graph-{scheme}")


def test_the_steps_of_all_backends_are_one_table(airflow):
    with chromium() as browser:
        page = browser.new_context(viewport=SIZE).new_page()
        page.goto(f"{airflow.url}/plugin/mlx-lineage")
        page.get_by_role("tab", name="Steps").click()
        rows = page.get_by_role("row")
        for step, backend in (("clean", "SageMaker"), ("features", "Kubeflow Pipelines"), ("evaluate", "Kubernetes")):
            expect(rows.filter(has_text=step).first).to_contain_text(backend)
        expect(rows.filter(has_text="on_sagemaker").first).to_contain_text("failed")
        shot(page, "one-graph-steps")
