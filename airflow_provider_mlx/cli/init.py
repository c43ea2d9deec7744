"""``init``: writes the files with which steps run elsewhere, and looks at them as ``doctor`` does."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from airflow_provider_mlx.backends.kubernetes.schedulers import scheduler_problems
from airflow_provider_mlx.backends.kubernetes.settings import KubernetesSettings
from airflow_provider_mlx.exceptions import InvalidStep, Problem
from airflow_provider_mlx.operators.surroundings import read_stacks
from airflow_provider_mlx.settings import Settings, read_settings
from airflow_provider_mlx.stacks import FILE_NAME

from . import init_sagemaker as sagemaker
from .commands import INIT
from .doctor import as_text, examine
from .init_kubernetes import MANIFESTS, STACK, Wish, manifests, next_steps, stack_file
from .output import Answer
from .places import Scene

_ACCOUNTS = ("airflow-worker", "airflow-triggerer")
"""As the official Helm chart names them for a release ``airflow``."""


def run_init(arguments: argparse.Namespace) -> Answer:
    """Write a stack file and what an administrator applies, print what to do next, and what ``doctor`` says."""
    check_options(arguments)
    return _for_kubernetes(arguments) if arguments.system == "kubernetes" else _for_sagemaker(arguments)


def check_options(arguments: argparse.Namespace) -> None:
    """
    Whether every option that was given is one of this system.

    :raises InvalidStep: one is not; its help says of which it is.
    """
    strangers, systems = [], INIT.arguments[0].options["choices"]
    for argument in INIT.arguments:
        system = argument.help.partition(": ")[0]
        dest = argument.flags[-1].lstrip("-").replace("-", "_")
        default = argument.options.get("default", False if argument.options.get("action") == "store_true" else None)
        if system in systems and system != arguments.system and getattr(arguments, dest, default) != default:
            strangers.append(f"`{argument.flags[-1]}` is for {system}")
    if strangers:
        raise InvalidStep(f"{', '.join(strangers)}, not for {arguments.system}", remedy="leave it out")


def _for_kubernetes(arguments: argparse.Namespace) -> Answer:
    given = {"conn_id": arguments.conn_id, "image": arguments.image}
    wish = Wish(
        namespace=arguments.namespace, service_accounts=tuple(arguments.service_account or _ACCOUNTS),
        service_account_namespace=arguments.service_account_namespace, scheduler=arguments.scheduler,
        queue=arguments.queue, trainer=arguments.trainer, devices=arguments.dra, root=arguments.root,
        root_conn_id=arguments.root_conn_id or "", api_server=tuple(arguments.api_server or ()),
        **{name: value for name, value in given.items() if value},
    )  # fmt: skip
    check(wish)
    folder = _folder(arguments)
    stack, applied = folder / FILE_NAME, folder / MANIFESTS
    settings = _settings(stack)
    steps = next_steps(wish, stack=stack, applied=applied, deployment_id=settings.deployment_id)
    texts = {stack: stack_file(wish), applied: manifests(wish)}
    return _written(texts, settings, STACK, steps, force=arguments.force)


def _for_sagemaker(arguments: argparse.Namespace) -> Answer:
    given = {
        "conn_id": arguments.conn_id, "image": arguments.image, "instances": tuple(arguments.instance or ()),
        "role_arn": arguments.role_arn or sagemaker.role_arn_of(arguments.account or "", arguments.region or ""),
    }  # fmt: skip
    wish = sagemaker.SageMakerWish(
        submit_role_arn=arguments.submit_role_arn or "", kind=arguments.kind, region=arguments.region or "",
        root=arguments.root, root_conn_id=arguments.root_conn_id or "", allowed=tuple(arguments.allowed or ()),
        secrets=sagemaker.parse_secrets(arguments.secret or ()), subnets=tuple(arguments.subnet or ()),
        security_groups=tuple(arguments.security_group or ()), volume_key=arguments.volume_key or "",
        output_key=arguments.output_key or "", any_client=arguments.any_client,
        **{name: value for name, value in given.items() if value},
    )  # fmt: skip
    sagemaker.check(wish)
    folder = _folder(arguments)
    stack = folder / FILE_NAME
    settings = _settings(stack)
    steps = sagemaker.next_steps(wish, stack=stack, deployment_id=settings.deployment_id)
    policies = {folder / name: text for name, text in sagemaker.documents(wish).items()}
    texts = {stack: sagemaker.stack_file(wish), **policies}
    return _written(texts, settings, sagemaker.STACK, steps, force=arguments.force)


def _folder(arguments: argparse.Namespace) -> Path:
    return Path(arguments.output).expanduser().absolute()


def _settings(stack: Path) -> Settings:
    """Airflow's, as if it read this stack file and no other."""
    return replace(read_settings(), stacks_files=(stack,), bundle_stacks="deny")


def _written(texts: Mapping[Path, str], settings: Settings, stack: str, steps: list[str], *, force: bool) -> Answer:
    write_new(texts, force=force)
    scene = Scene(settings, read_stacks(settings, dag_file=None, root=None))
    found = examine(scene, [scene.stacks.stack(stack)])
    wrote = [f"wrote {path}" for path in texts]
    return Answer("\n".join([*wrote, "", "next:", *steps, "", "doctor says of it now:", as_text(found)]))


def check(wish: Wish) -> None:
    """
    Whether a target can be made of this.

    :raises InvalidStep: the namespace, the queue or an address is none.
    """
    problems = []
    try:
        settings = KubernetesSettings(namespace=wish.namespace, queue=wish.queue, scheduler=wish.scheduler)
        problems += scheduler_problems(settings)
    except ValueError:
        problems.append(Problem(f"`{wish.namespace}` is no namespace", "use lower-case letters, digits and `-`"))
    for cidr in wish.api_server:
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            problems.append(Problem(str(error), "write an address like 10.0.0.1/32", field="--api-server"))
    if problems:
        raise InvalidStep("no target can be made of this", problems)


def write_new(texts: Mapping[Path, str], *, force: bool) -> None:
    """
    Write files, all of them or none.

    :raises InvalidStep: one is there already, or a folder is none.
    """
    there: Sequence[Path] = [path for path in texts if path.exists()]
    if there and not force:
        raise InvalidStep(
            f"{', '.join(map(str, there))} would be overwritten",
            remedy="name another folder with `--output`, or overwrite with `--force`",
        )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidStep(f"the files cannot be written: {error}", remedy="name a folder with `--output`") from error
