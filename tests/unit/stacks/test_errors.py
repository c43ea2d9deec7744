"""The texts that a user sees, whole."""

from __future__ import annotations

import textwrap

import pytest

from airflow_provider_mlx.exceptions import InvalidStep


def stack(body: str) -> str:
    head = 'stacks:\n  dev:\n    artifacts: {root: "s3://ml/mlx"}\n'
    return head + textwrap.indent(textwrap.dedent(body), "    ")


DEFAULT = "targets: {default: {backend: local}}\n"

GOLDEN = [
    pytest.param(
        stack("targets:\n  default: {backend: kubernetes, namespace: ml, nmespace: ml}\n"),
        """\
        1 problem in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:5:53: unknown key `nmespace` of a kubernetes target → did you mean `namespace`?
              default: {backend: kubernetes, namespace: ml, nmespace: ml}
                                                            ^^^^^^^^""",
        id="an unknown setting of a backend names the nearest",
    ),
    pytest.param(
        stack("targets:\n  default: {backend: kubernetes, nmespace: ml, conn: k8s}\n  strict: maybe\n"),
        """\
        3 problems in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:5:38: unknown key `nmespace` of a kubernetes target → did you mean `namespace`?
              default: {backend: kubernetes, nmespace: ml, conn: k8s}
                                             ^^^^^^^^
          - dags/mlx_stacks.yaml:5:52: unknown key `conn` of a kubernetes target → did you mean `conn_id`?
              default: {backend: kubernetes, nmespace: ml, conn: k8s}
                                                           ^^^^
          - dags/mlx_stacks.yaml:6:15: target `strict` is not a mapping → write {backend: local}
              strict: maybe
                      ^^^^^""",
        id="all problems at once, in the order of the file; a misspelt key is not missing too",
    ),
    pytest.param(
        stack("targets: {default: {backend: kubernets}}\n"),
        """\
        1 problem in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:4:34: unknown backend `kubernets`; there are: `kubernetes`, `local` → did you mean `kubernetes`?
              targets: {default: {backend: kubernets}}
                                           ^^^^^^^^^""",
        id="an unknown backend lists those there are",
    ),
    pytest.param(
        stack(DEFAULT + "tags: {hf_token: hunter2hunter2, image: '${X}'}\non_unsupported: hunter2hunter2\n"),
        """\
        3 problems in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:5:12: `hf_token` looks like a secret → name a connection id, or a reference under `secrets:`; if it was real, replace it
              tags: {hf_token: **************, image: '${X}'}
                     ^^^^^^^^
          - dags/mlx_stacks.yaml:5:45: `${` is not replaced here → write the value itself: stack files are data, without templates
              tags: {hf_token: **************, image: '${X}'}
                                                      ^^^^^^
          - dags/mlx_stacks.yaml:6:21: `on_unsupported` of stack `dev`: should be 'error' or 'warn' → use one of these words
              on_unsupported: hunter2hunter2
                              ^^^^^^^^^^^^^^""",
        id="a secret is hidden in every line that shows it",
    ),
    pytest.param(
        stack("targets:\n  default:\n    - {backend: local, max_runtime: 1h}\n    - {backend: local}\n"),
        """\
        1 problem in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:7:11: candidate 2 of target `default` lacks `max_runtime` → add `max_runtime:`: without it a job never gives way to the next
              - {backend: local}
                ^""",
        id="every candidate of a list needs max_runtime",
    ),
    pytest.param(
        stack("targets: {default: {backend: local, image: 名前, max_runtime: 名前h}}\n"),
        """\
        1 problem in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:4:65: `max_runtime` of a local target: `名前h` is not a duration → write `90s`, `15m`, `4h`, `2d`, `PT4H`, or a number of seconds
              targets: {default: {backend: local, image: 名前, max_runtime: 名前h}}
                                                                            ^^^^^""",
        id="the caret knows that some letters are two columns wide",
    ),
    pytest.param(
        "stacks:\n\tdev: 1",
        """\
        1 problem in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:2:1: not valid YAML: found character that cannot start any token → check the indentation, the quotes and the brackets here
              dev: 1
              ^""",
        id="a tab for indentation",
    ),
    pytest.param(
        "default: dve\n" + stack(DEFAULT + "strict: false\ntasks: {'a.*': {target: gpu}}\n"),
        """\
        2 problems in dags/mlx_stacks.yaml
          - dags/mlx_stacks.yaml:1:10: the default stack `dve` is not defined → did you mean `dev`?
              default: dve
                       ^^^
          - dags/mlx_stacks.yaml:7:29: stack `dev` has no target `gpu` → use one of `default`
              tasks: {'a.*': {target: gpu}}
                                      ^^^""",
        id="names that refer to nothing",
    ),
]


@pytest.mark.parametrize(("text", "message"), GOLDEN)
def test_the_whole_message(load, text, message):
    with pytest.raises(InvalidStep) as caught:
        load(text)
    assert str(caught.value) == textwrap.dedent(message)


def test_a_circle_is_shown_with_its_path(load):
    with pytest.raises(InvalidStep) as caught:
        load("stacks: {a: {extends: b}, b: {extends: a}, c: {extends: bb}, d: {extends: [a]}}")
    assert [problem.what for problem in caught.value.problems] == [
        "stack `b` extends itself: b → a → b",
        "stack `a` extends itself: a → b → a",
        "stack `c` extends `bb`, which is not a stack",
        "`extends` of stack `d` is not a name",
    ]
