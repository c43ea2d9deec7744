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
from airflow_provider_mlx.settings import read_settings
from airflow_provider_mlx.stacks import FILE_NAME

from .doctor import as_text, examine
from .init_kubernetes import MANIFESTS, STACK, Wish, manifests, next_steps, stack_file
from .output import Answer
from .places import Scene

_ACCOUNTS = ("airflow-worker", "airflow-triggerer")
"""As the official Helm chart names them for a release ``airflow``."""


def run_init(arguments: argparse.Namespace) -> Answer:
    """Write a stack file and manifests, print what to do next, and what ``doctor`` says."""
    wish = Wish(
        namespace=arguments.namespace, service_accounts=tuple(arguments.service_account or _ACCOUNTS),
        service_account_namespace=arguments.service_account_namespace, scheduler=arguments.scheduler,
        queue=arguments.queue, trainer=arguments.trainer, devices=arguments.dra, conn_id=arguments.conn_id,
        image=arguments.image, root=arguments.root, root_conn_id=arguments.root_conn_id or "",
        api_server=tuple(arguments.api_server or ()),
    )  # fmt: skip
    check(wish)
    folder = Path(arguments.output).expanduser().absolute()
    texts = {folder / FILE_NAME: stack_file(wish), folder / MANIFESTS: manifests(wish)}
    write_new(texts, force=arguments.force)
    stack, applied = texts
    settings = replace(read_settings(), stacks_files=(stack,), bundle_stacks="deny")
    scene = Scene(settings, read_stacks(settings, dag_file=None, root=None))
    found = examine(scene, [scene.stacks.stack(STACK)])
    steps = next_steps(wish, stack=stack, applied=applied, deployment_id=settings.deployment_id)
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
