"""What a stack file must not hold: templates, and secrets. A secret is also hidden in every message about the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from airflow_provider_mlx.exceptions import Problem
from airflow_provider_mlx.stacks.parsing import Entry, MappingNode, Node, ScalarNode, SequenceNode
from airflow_provider_mlx.stacks.places import Place, problem_at

# The last words of a key whose text is a credential in the configuration of AWS, Google Cloud, Azure, GitHub,
# Hugging Face, W&B and databases. `image_pull_secret` and `kms_key_id` name something, so they are not here.
_SECRET_KEY: Final = re.compile(
    r"(?:^|[_.-])(?:password|passwd|passphrase|token|secret_?key|access_?key|access_?key_?id|private_?key|api_?key"
    r"|account_?key|client_?secret|credentials?)$|^secret$",
    re.IGNORECASE,
)
_REFERENCES: Final = ("secrets", "env_from", "volumes")
"""Keys under which objects of a cluster are named: `{name: hf, key: token}`, `{secret: artifact-root}`."""
# The same inside these, where `key` and `secret_key` say which entry of a Secret is meant, and `secret` names one.
_SECRET_INSIDE_REFERENCES: Final = re.compile(r"^(?:value|password|passwd|passphrase|token)$", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY"  # PEM
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key ids
    r"|\b(?:ghp|gho|ghs|hf)_[A-Za-z0-9]{20,}"  # GitHub, Hugging Face
    r"|://[^/\s:@]*:[^/\s@]+@"  # scheme://user:password@host
)
_TEMPLATE: Final = re.compile(r"\$\{|\{\{|\{%")


def refused_content(root: Node) -> list[Problem]:
    """Templates and secrets in a file; a secret is hidden in the file's source lines at once."""
    problems: list[Problem] = []
    seen: set[int] = set()
    for key, entry, inside_references in _entries(root, seen):
        problems.extend(_template(key, entry.place))
        if key == "secrets":
            _hide_values(entry.node)
        if isinstance(entry.node, ScalarNode):
            problems.extend(_secret(key, entry, inside_references))
    for scalar in _scalars(root, set()):
        if not isinstance(scalar.value, str):
            continue
        problems.extend(_template(scalar.value, scalar.place))
        if _SECRET_TEXT.search(scalar.value):
            scalar.place.source.hide(scalar.place, scalar.value)
            what = "this text looks like a secret"
            problems.append(problem_at(scalar.place, what, "name a connection id instead, and replace the secret"))
    return problems


def _secret(key: str, entry: Entry, inside_references: bool) -> Iterator[Problem]:
    node = entry.node
    assert isinstance(node, ScalarNode)
    pattern = _SECRET_INSIDE_REFERENCES if inside_references else _SECRET_KEY
    if node.value is None or isinstance(node.value, bool) or not pattern.search(key):
        return
    node.place.source.hide(node.place, str(node.value))
    remedy = "name a connection id, or a reference under `secrets:`; if it was real, replace it"
    yield problem_at(entry.place, f"`{key}` looks like a secret", remedy)


def _hide_values(secrets: Node) -> None:
    """What stands in the place of a reference is a value, and the model refuses it."""
    for entry in secrets.entries.values() if isinstance(secrets, MappingNode) else ():
        node = entry.node
        if isinstance(node, ScalarNode) and node.value is not None:
            node.place.source.hide(node.place, str(node.value))


def _template(text: str, place: Place) -> Iterator[Problem]:
    match = _TEMPLATE.search(text)
    if match:
        what = f"`{match.group()}` is not replaced here"
        yield problem_at(place, what, "write the value itself: stack files are data, without templates")


def _entries(node: Node, seen: set[int], inside_references: bool = False) -> Iterator[tuple[str, Entry, bool]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _entries(item, seen, inside_references)
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield key, entry, inside_references
            yield from _entries(entry.node, seen, inside_references or key in _REFERENCES)


def _scalars(node: Node, seen: set[int]) -> Iterator[ScalarNode]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, SequenceNode):
        for item in node.items:
            yield from _scalars(item, seen)
    elif isinstance(node, MappingNode):
        for entry in node.entries.values():
            yield from _scalars(entry.node, seen)
