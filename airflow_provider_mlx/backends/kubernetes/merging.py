"""
Kubernetes' strategic merge patch, for pods.

Maps are merged, a ``null`` deletes its key, and a list is replaced, unless its field has a merge key: then its elements
are merged one by one. ``$patch: replace`` takes the patch instead of merging, ``$patch: delete`` empties a map or
removes the element of that key, and ``$retainKeys`` names what alone stays of a map.

Sources: the tags ``patchStrategy`` and ``patchMergeKey`` of ``k8s.io/api/core/v1`` (1.37), and
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_CONTAINER: Final[Mapping[str, str]] = {
    "env": "name",  # envFrom has no key: it is replaced
    "ports": "containerPort",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
}

MERGE_KEYS: Final[Mapping[str, str]] = {
    "metadata.ownerReferences": "uid",
    "spec.containers": "name",
    "spec.initContainers": "name",
    "spec.ephemeralContainers": "name",
    "spec.evictionResponders": "name",  # since 1.37
    "spec.hostAliases": "ip",
    "spec.imagePullSecrets": "name",
    "spec.resourceClaims": "name",
    "spec.schedulingGates": "name",
    "spec.topologySpreadConstraints": "topologyKey",  # whenUnsatisfiable is a key of server-side apply only
    "spec.volumes": "name",
    **{
        f"spec.{containers}.{field}": key
        for containers in ("containers", "initContainers", "ephemeralContainers")
        for field, key in _CONTAINER.items()
    },
}
"""Where the lists with merge keys stand in a pod. All others are replaced: tolerations, envFrom, command, args."""

_DIRECTIVE: Final = "$patch"
_REPLACE: Final = {_DIRECTIVE: "replace"}
_RETAIN: Final = "$retainKeys"


def strategic_merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """
    ``base`` with ``patch`` merged into it; both are pods, and neither is changed.

    Elements that the patch adds to a list stand before those of the base, as in Kubernetes: a patch that also names
    an element of the base gives the order.

    :raises ValueError: the patch is no patch of a pod; the sentence says where.
    """
    return _merged_map(base, patch, "")


def _merged(old: object, new: object, path: str) -> Any:
    if isinstance(new, Mapping):
        return _merged_map(old if isinstance(old, Mapping) else {}, new, path)
    if isinstance(new, list | tuple):
        if path in MERGE_KEYS:
            return _merged_list(old if isinstance(old, list | tuple) else (), new, path)
        return [_replacement(item, path) for item in new]
    return new


def _merged_map(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> dict[str, Any]:
    directive = new.get(_DIRECTIVE, "merge")
    if directive == "delete":
        return {}
    if directive not in ("merge", "replace"):
        raise ValueError(f"{_place(path)}: `$patch` is replace or delete, not {directive!r}")
    kept = {} if directive == "replace" else _copied(_retained(old, new, path))
    for key, value in new.items():
        if key in (_DIRECTIVE, _RETAIN):
            continue
        if str(key).startswith("$"):
            raise ValueError(f"{_place(path)}: `{key}` is not supported; say `$patch: replace`, or delete by null")
        if value is None or (isinstance(value, Mapping) and value.get(_DIRECTIVE) == "delete" and key not in kept):
            kept.pop(key, None)
        else:
            kept[key] = _merged(kept.get(key), value, f"{path}.{key}" if path else key)
    return kept


def _retained(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    if _RETAIN not in new:
        return old
    retained = new[_RETAIN]
    given = {key for key, value in new.items() if value is not None and not str(key).startswith("$")}
    if not isinstance(retained, list | tuple) or not given <= set(retained):
        raise ValueError(f"{_place(path)}: `$retainKeys` is a list of keys, with every key that the patch sets")
    return {key: value for key, value in old.items() if key in retained}


def _merged_list(old: Sequence[Any], new: Sequence[Any], path: str) -> list[Any]:
    name = MERGE_KEYS[path]
    replaces = [element for element in new if element == _REPLACE]
    elements = [(_key(element, name, path), element) for element in new if element != _REPLACE]
    deleted = [key for key, element in elements if element.get(_DIRECTIVE) == "delete"]
    found = [(_key(element, name, path), element) for element in old]
    kept = {key: element for key, element in found if key not in deleted and not replaces}
    merged: dict[Any, Any] = {}
    for key, element in elements:
        if element.get(_DIRECTIVE) != "delete":
            merged[key] = _merged_map(merged.get(key, kept.get(key, {})), element, path)
    return _in_order(kept, merged)


def _key(element: Any, name: str, path: str) -> str | int:
    """By what an element of a list is merged."""
    if not isinstance(element, Mapping):
        raise ValueError(f"{_place(path)}: every element is a map, not {element!r}")
    if element.get(_DIRECTIVE) == "replace":
        raise ValueError(f"{_place(path)}: `$patch: replace` replaces the whole list: make it an element of its own")
    key = element.get(name)
    if not isinstance(key, str | int):
        raise ValueError(f"{_place(path)}: an element has no `{name}`, by which elements are merged")
    return key


def _in_order(kept: Mapping[Any, Any], merged: Mapping[Any, Any]) -> list[Any]:
    """The patch's order, and before each element of the base those that stood before it there."""
    place = {key: index for index, key in enumerate(kept)}
    waiting = [key for key in kept if key not in merged]
    ordered: list[Any] = []
    for key, element in merged.items():
        while waiting and key in place and place[waiting[0]] < place[key]:
            ordered.append(_copied(kept[waiting.pop(0)]))
        ordered.append(element)
    return ordered + [_copied(kept[key]) for key in waiting]


def _replacement(value: Any, path: str) -> Any:
    """A value of a list that is replaced as a whole: without nulls, and without directives, which would be lost."""
    if isinstance(value, Mapping):
        if directives := [key for key in value if str(key).startswith("$")]:
            raise ValueError(f"{_place(path)} is replaced as a whole: leave `{directives[0]}` out")
        return {key: _replacement(item, path) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_replacement(item, path) for item in value]
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _place(path: str) -> str:
    return f"`{path}`" if path else "the pod"
