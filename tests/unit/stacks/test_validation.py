from __future__ import annotations

import textwrap

import pytest

from airflow_provider_mlx.exceptions import InvalidStep


def stack(body: str) -> str:
    head = 'stacks:\n  dev:\n    artifacts: {root: "s3://ml/mlx"}\n'
    return head + textwrap.indent(textwrap.dedent(body), "    ")


DEFAULT = "targets: {default: {backend: local}}\n"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        pytest.param("", ["the file is empty"], id="an empty file"),
        pytest.param('stacks: {dev: {artifacts: {root: "s3://ml/mlx", browse: "s3://{bucket}"}, targets: {default: {backend: local}}}}', ["`artifacts.browse` of stack `dev`: `s3://{bucket}` is no address of a folder's page: it is no web address"], id="a page that is no web address"),
        pytest.param('stacks: {dev: {artifacts: {root: "s3://ml/mlx", browse: "https://x/{path}"}, targets: {default: {backend: local}}}}', ["`artifacts.browse` of stack `dev`: `https://x/{path}` is no address of a folder's page: it has the field {path}"], id="a page with a field that nobody fills"),
        pytest.param("# nothing\n", ["the file is empty"], id="a comment alone"),
        pytest.param("default: local", ["the file defines no stack"], id="a default and nothing else"),
        pytest.param("[1]", ["the file should be a mapping"], id="a list"),
        pytest.param("stacks: {dev: {targets: {}}}", ["stack `dev` lacks `artifacts`", "`targets` of stack `dev`: should not be empty"], id="a stack without anything"),
        pytest.param("stacks: {'a.b': {}}", ["`a.b` is not a name", "stack `a.b` lacks `artifacts`", "stack `a.b` lacks `targets`"], id="a name with a dot"),
        pytest.param(stack("targets: {default: []}"), ["target `default` is an empty list"], id="an empty list of candidates"),
        pytest.param(stack("targets: {default: {conn_id: x}}"), ["target `default` lacks `backend`"], id="a target without a backend"),
        pytest.param(stack("targets: {default: {backend: 1}}"), ["`backend` of target `default`: should be text"], id="a backend that is a number"),
        pytest.param(stack(DEFAULT + "artifact: x"), ["unknown key `artifact` of stack `dev`"], id="an unknown key of a stack"),
        pytest.param("stack: {}\n" + stack(DEFAULT), ["unknown key `stack` of the file"], id="an unknown key of the file"),
        pytest.param(stack("targets: {default: {backend: local, resources: {ram: 4Gi}}}"), ["unknown key `ram` of `resources` of a local target"], id="an unknown resource"),
        pytest.param(stack("targets: {default: {backend: local, env: {A: 1.10}}}"), ["`env.A` of a local target: should be text"], id="YAML would change 1.10"),
        pytest.param(stack("targets: {default: {backend: kubernetes, namespace: ml, tolerations: [{key: a, effct: b}]}}"), ["unknown key `effct` of `tolerations.0` of a kubernetes target"], id="deep inside a backend's settings"),
        pytest.param(stack("targets: {default: {backend: kubernetes, namespace: ml, tolerations: [{effect: b}], retention: 0}}"), ["a kubernetes target lacks `tolerations.0.key`", "`retention` of a kubernetes target: should be greater than or equal to 1"], id="missing deep inside"),
        pytest.param(stack("targets: {default: {backend: local, secrets: {hf: abc}}}"), ["`secrets.hf` of a local target: a secret's value never stands here"], id="a secret's value"),
        pytest.param(stack("targets: {default: {backend: local, secrets: {hf: {password: abc}}}}"), ["`password` looks like a secret"], id="a secret's value inside a reference"),
        pytest.param(stack("targets: {default: {backend: local, env: {A: 'postgres://u:p@h/d'}}}"), ["this text looks like a secret"], id="a password in a URL"),
        pytest.param(stack("targets: {default: {backend: local, env: {A: [AKIAABCDEFGHIJKLMNOP]}}}"), ["`env.A` of a local target: should be text", "this text looks like a secret"], id="an AWS key"),
        pytest.param(stack(DEFAULT + "tags: {'{{ x }}': y}"), ["`{{` is not replaced here"], id="a template in a key"),
        pytest.param(stack(DEFAULT + "tasks: {'a.*': {kubernetes: {queu: x}, local: 1, imge: x}}"), ["unknown key `queu` of `kubernetes` of the override `a.*`", "`local` of the override `a.*` is not a mapping", "unknown key `imge` of the override `a.*`"], id="an override's sections"),
        pytest.param(stack(DEFAULT + "tasks: {'a.*': gpu}"), ["the override `a.*` is not a mapping"], id="an override that is no mapping"),
        pytest.param(stack("strict: false\ntargets: {gpu: {backend: local}}"), ["stack `dev` is not strict, and has no target `default` to fall back to"], id="nothing to fall back to"),
        pytest.param("stacks: {dev: {artifacts: {root: 'mlx', allowed: ['s3://a']}, targets: {default: {backend: local}}}}", ["`artifacts.root` of stack `dev`: `mlx` is not a URI", "`artifacts.allowed.0` of stack `dev`: the prefix `s3://a` does not end with `/`"], id="roots and prefixes"),
        pytest.param("policy: {}", ["the file lacks `policy.targets`"], id="a policy without targets"),
        pytest.param("policy: {targets: {'*': {max_gpus: 1}}}", ["unknown key `max_gpus` of `policy.targets.*` of the file"], id="an unknown rule"),
        pytest.param(stack(DEFAULT) + "default: {a: b}", ["`default` of the file: should be text"], id="a default that is a mapping"),
    ],
)  # fmt: skip
def test_what_is_refused(load, text, problems):
    with pytest.raises(InvalidStep) as caught:
        load(text)
    assert [problem.what for problem in caught.value.problems] == problems
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_secret_reference_may_say_which_key(load):
    text = stack("targets: {default: {backend: local, secrets: {HF_TOKEN: {name: hf, secret_key: token}}}}")
    assert load(text).stack("dev").targets["default"][0].secrets == {"HF_TOKEN": {"name": "hf", "secret_key": "token"}}


def test_a_target_may_name_secrets_of_a_cluster_and_not_hold_them(load):
    target = "backend: kubernetes, namespace: ml, env_from: [{secret: s3}], volumes: [{secret: keys, path: /keys}]"
    settings = load(stack(f"targets: {{default: {{{target}}}}}")).stack("dev").targets["default"][0].settings
    assert (settings.env_from, settings.volumes) == ([{"secret": "s3"}], [{"secret": "keys", "path": "/keys"}])
    with pytest.raises(InvalidStep, match="`token` looks like a secret"):
        load(stack("targets: {default: {backend: kubernetes, namespace: ml, env_from: [{secret: s3, token: abc}]}}"))
    with pytest.raises(InvalidStep, match="`secret` looks like a secret"):
        load(stack("targets: {default: {backend: kubernetes, namespace: ml, labels: {secret: abc}}}"))


def test_a_secret_of_several_lines_is_hidden_on_each(load):
    text = stack(DEFAULT + "tags:\n  token: |\n    first secret line\n    second secret line\n")
    with pytest.raises(InvalidStep) as caught:
        load(text)
    lines = caught.value.problems[0].place.source.lines
    assert not any("secret line" in line for line in lines)


def test_a_shared_value_is_judged_once(load):
    text = stack(
        "targets:\n  default: &d {backend: local, env: {TOKEN: abcdef}}\n  again: *d\n  list: &l [*d]\n  more: *l\n"
    )
    with pytest.raises(InvalidStep) as caught:
        load(text)
    assert [problem.what for problem in caught.value.problems if "secret" in problem.what] == [
        "`TOKEN` looks like a secret"
    ]


def test_what_is_wrong_in_a_parent_is_said_of_the_parent(load):
    with pytest.raises(InvalidStep, match="unknown key `artifcts` of stack `base`") as caught:
        load(stack("extends: base\n" + DEFAULT) + "  base: {artifcts: 1}\n")
    assert len(caught.value.problems) == 1


def test_a_policy_alone_is_a_file(load):
    assert load("policy: {targets: {'*': {max_gpu: 1}}}").policy[0].max_gpu == 1
