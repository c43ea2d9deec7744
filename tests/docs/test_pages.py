"""What the pages say is so: links lead somewhere, snippets are valid, commands exist, generated pages are current."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from airflow_provider_mlx.backends.registry import backend_class
from airflow_provider_mlx.exceptions import InvalidStep
from airflow_provider_mlx.stacks import load_stacks
from tests.docs.snippets import ROOT, all_snippets, first_dag, name_of, pages, without_snippets

PAGES = pages()
BACKENDS = ("local", "kubernetes", "trainer", "sagemaker", "kubeflow_pipelines")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|home/(?!you\b)[\w-]+|Users)/")
_REGISTRY = re.compile(
    r"pypi\.org|pythonhosted|test\.pypi|anaconda\.org|docker\.io|quay\.io|index-url[= ]https?:", re.IGNORECASE
)
_WORKPLACE = re.compile(r"\bissue \d+\b|\bthis session\b|\bClaude\b|\bAI assistant\b", re.IGNORECASE)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, by GitHub's rule."""
    found: set[str] = set()
    for heading in _HEADING.findall(without_snippets(text)):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while (slug if number == 1 else f"{slug}-{number - 1}") in found:
            number += 1
        found.add(slug if number == 1 else f"{slug}-{number - 1}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_and_anchor_leads_somewhere(page):
    text = without_snippets(page.read_text(encoding="utf-8"))
    broken = []
    for match in _LINK.finditer(text):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists():
            broken.append(f"{match['target']}: there is no {target}")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            broken.append(f"{match['target']}: the page has no such heading")
        elif (named := re.fullmatch(r"`(test_\w+)`", match["text"])) and f"def {named[1]}(" not in file.read_text():
            broken.append(f"{target} has no test {named[1]}")
    assert not broken, f"{name_of(page)}: " + "\n".join(broken)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_no_machine_no_registry_and_no_workplace(page):
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        for pattern in (_MACHINE_PATH, _REGISTRY, _WORKPLACE):
            found = pattern.search(line)
            assert found is None, f"{name_of(page)}:{number} says {found[0]!r}"


@pytest.mark.parametrize("snippet", all_snippets("python"), ids=str)
def test_a_python_snippet_is_python(snippet):
    ast.parse(snippet.text)


@pytest.mark.parametrize("snippet", all_snippets("json"), ids=str)
def test_a_json_snippet_is_json(snippet):
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", all_snippets("toml"), ids=str)
def test_a_toml_snippet_is_toml(snippet):
    tomllib.loads(snippet.text)


@pytest.mark.parametrize("snippet", all_snippets("yaml"), ids=str)
def test_a_stack_file_in_the_docs_loads(snippet, tmp_path):
    if not re.match(r"(#[^\n]*\n)*(default|stacks|policy):", snippet.text):
        yaml.safe_load(snippet.text)
        return
    file = tmp_path / "mlx_stacks.yaml"
    file.write_text(snippet.text)
    try:
        load_stacks(
            deployment_files=[file], dag_file=None, bundle_root=None, bundle_stacks="deny",
            backend_settings={name: backend_class(name).settings_model for name in BACKENDS},
            local_root="file:///tmp/mlx",
        )  # fmt: skip
    except InvalidStep as refusal:
        pytest.fail(f"{snippet}: {refusal}")


def test_the_first_dag_is_short_and_needs_nothing_but_airflow_to_parse():
    text = first_dag()
    assert len(text.splitlines()) <= 45
    tree = ast.parse(text)
    imported = {node.module.partition(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"__future__", "typing", "airflow"}


def test_the_line_of_the_readmes_planted_bug_is_the_files():
    lines = first_dag().splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    number = int(re.search(r"at first_dag\.py:(\d+), in train", readme)[1])
    assert lines[number - 1].strip() == "seen = flowers[:100]"


@pytest.mark.parametrize("page", ["README.md", "docs/guides/failures.md"])
def test_the_error_that_a_page_shows_is_what_the_code_says(page):
    from airflow_provider_mlx.jobs.failures import describe_job, from_error
    from airflow_provider_mlx.step.identity import TaskInstanceIdentity

    step = TaskInstanceIdentity("default", "first_dag", "manual__2026-11-23T08:00:00+00:00", "train")
    left = {
        "reason": "StepFailed", "type": "KeyError", "message": "\"['colour'] not found in axis\"", "remedy": "",
        "frames": [{"file": "first_dag.py", "line": 26, "function": "train", "user": True}],
    }  # fmt: skip
    job = describe_job(step, attempt=1, backend="local", job=step.job_name(1))
    said = f"StepFailed: {from_error(left, job=job, attempt=1, url=None)}"
    shown = [snippet.text.strip() for snippet in all_snippets("text") if snippet.page == page]
    assert said in shown


def test_every_make_target_that_a_page_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    named = {
        (match[1], name_of(page))
        for page in PAGES
        for match in re.finditer(r"(?:`|^\s*)make ([a-z][a-z0-9-]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named, "no page names a target"
    assert {(target, page) for target, page in named if target not in targets} == set()


def test_every_command_of_ours_that_a_page_names_exists():
    from airflow_provider_mlx.cli.main import parser

    commands = set(parser()._subparsers._group_actions[0].choices)
    named = {
        match[1]
        for page in PAGES
        for match in re.finditer(r"python -m airflow_provider_mlx ([a-z-]+)", page.read_text(encoding="utf-8"))
    }
    assert "plan" in named
    assert named <= commands


def test_every_setting_that_a_page_names_exists():
    from airflow_provider_mlx.settings import OPTIONS

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`\[mlx\] (\w+)`", text))
        named |= {name.lower() for name in re.findall(r"AIRFLOW__MLX__([A-Z_]+)", text)}
        assert named <= set(OPTIONS), f"{name_of(page)} names {named - set(OPTIONS)}"


def test_every_page_of_the_docs_is_in_a_table_of_contents():
    listed: set[str] = set()
    for index in (ROOT / "docs" / "index.md", ROOT / "docs" / "decisions" / "index.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", index.read_text(encoding="utf-8"), re.DOTALL):
            for entry in (line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")):
                listed |= {file.with_suffix("").as_posix() for file in index.parent.glob(f"{entry}.md")}
    found = {page.with_suffix("").as_posix() for page in PAGES if (ROOT / "docs") in page.parents}
    assert found - listed == {(ROOT / "docs" / "index").as_posix()}


def test_the_decision_table_of_the_architecture_is_the_codes():
    from airflow_provider_mlx.backends.base import State
    from airflow_provider_mlx.jobs.decision import Arrival, LedgerSays, on_arrival

    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z, ]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    states = {"failed, stopped": (State.FAILED, State.STOPPED)}
    seen = set()
    for said, *cells in rows:
        names = said.replace(", never submitted", "").replace(", was submitted", "")
        for state in states.get(said, (State(names),) if names in {s.value for s in State} else ()):
            seen.add((state, "never" not in said))
            for ledger, cell in zip((LedgerSays.NOTHING, LedgerSays.RESULT, LedgerSays.ERROR), cells, strict=True):
                move = on_arrival(Arrival(state, ledger, submitted="never" not in said))
                assert re.sub(r"\*|\(.*\)", "", cell).strip() == move.value, f"{said} · {ledger.value}"
    assert seen == {(state, True) for state in State} | {(State.ABSENT, False)}


def test_the_generated_pages_are_current():
    run = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
