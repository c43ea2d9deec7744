"""
Reading requirement lines against what the image has: pure functions over names and versions.

The runtime has no `packaging`, so versions are compared by their release numbers alone; where a line says more than
that (pre-releases, URLs, extras), it is left to the installer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .refusals import JobMisconfigured

PROTECTED = ("torch", "torchvision", "torchaudio", "triton", "jax", "jaxlib", "tensorflow", "numpy")
PROTECTED_PREFIXES = ("nvidia-", "jax-cuda")
"""Packages that an image builds around: a second copy costs gigabytes, and another version breaks the compiled rest."""

_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*?)\s*(?:;(.*))?$")
_NETWORK = re.compile(
    r"^(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b|(^|@\s*)(git\+)?(https?|ssh|git)[:+]//"
)
_CLAUSE = re.compile(r"^(===|==|!=|~=|>=|<=|>|<)\s*([0-9][^\s]*)$")


@dataclass(frozen=True)
class Choice:
    """
    What is to be installed over an image.

    :param lines: requirement lines and options that the image does not satisfy already.
    :param constraints: ``name==version`` lines that hold the image's other packages where they are.
    """

    lines: tuple[str, ...]
    constraints: tuple[str, ...]


def choose(requirements: Iterable[str], image: Mapping[str, str], replace: Iterable[str]) -> Choice:
    """
    Divide requirements into what the image has and what must be installed.

    :param image: version by normal name (:func:`normal_name`), empty for "inherits nothing".
    :param replace: protected packages that may be replaced; globs such as ``nvidia-*``.
    :raises JobMisconfigured: a requirement would replace a protected package; all such lines are named.
    """
    patterns = [re.sub(r"[-_.]+", "-", name).lower() for name in replace]
    allowed = {name for name in image if any(fnmatchcase(name, pattern) for pattern in patterns)}
    kept: list[str] = []
    free: set[str] = set()
    conflicts: list[str] = []
    for line in requirements:
        name, extras, specifier, marker = _parts(line)
        version = image.get(name) if name else None
        if version is None:
            kept.append(line)
        elif marker or extras:
            kept.append(line)  # whether it applies, or what the extra adds, is the installer's to say
        elif satisfies(version, specifier):
            continue
        elif is_protected(name) and name not in allowed:
            conflicts.append(f"{without_hashes(line)!r} (the image has {name} {version})")
        else:
            kept.append(line)
            free.add(name)
    if conflicts:
        raise JobMisconfigured(
            f"the requirements would replace packages that the image is built around: {', '.join(conflicts)}",
            "take the image's version, use another image, or name the packages in replace=",
        )
    free |= allowed
    constraints = tuple(f"{name}=={version}" for name, version in sorted(image.items()) if name not in free)
    return Choice(tuple(kept), constraints)


def unhashed(lines: Iterable[str]) -> list[str]:
    """The requirements without a hash, where others have one: then installers want one of every package."""
    lines = list(lines)
    if not any(is_hashed(line) or line.startswith("--require-hashes") for line in lines):
        return []
    return [line for line in lines if not line.startswith("-") and not is_hashed(line)]


def is_hashed(line: str) -> bool:
    """Whether a requirement says what its file must hash to."""
    return re.search(r"\s--hash[= ]", line) is not None


def without_hashes(line: str) -> str:
    """A requirement as a person reads it."""
    return re.split(r"\s+--hash[= ]", line, maxsplit=1)[0].strip()


def of_a_network(lines: Iterable[str]) -> list[str]:
    """The lines that name an index or a URL, which have no place beside a wheelhouse."""
    return [without_hashes(line) for line in lines if _NETWORK.search(line.split(" #")[0])]


def requirement_name(line: str) -> str:
    """A requirement's package by its normal name; empty for options, paths and bare URLs."""
    return _parts(line)[0]


def is_protected(name: str) -> bool:
    """Whether a package may be replaced only on request."""
    return name in PROTECTED or name.startswith(PROTECTED_PREFIXES)


def normal_name(name: str) -> str:
    """A package's name as indexes compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def satisfies(version: str, specifier: str) -> bool:
    """
    Whether a version meets a specifier as ``>=1.2,<2``, by release numbers; a clause that is not understood is not met.

    Source: PEP 440, version specifiers.
    """
    return all(_meets(version, clause.strip()) for clause in specifier.strip("()").split(",") if clause.strip())


def _meets(version: str, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    if match is None:
        return False
    operator, wanted = match.groups()
    if operator == "===":
        return version == wanted
    prefix = wanted.endswith(".*")
    have, want = _release(version), _release(wanted[:-2] if prefix else wanted)
    if have is None or want is None:
        return False
    if prefix:
        same = _padded(have, len(want))[: len(want)] == want
        return same if operator == "==" else operator == "!=" and not same
    length = max(len(have), len(want))
    left, right = _padded(have, length), _padded(want, length)
    if operator == "~=":
        return left >= right and have[: len(want) - 1] == want[:-1]
    return {
        "==": left == right, "!=": left != right, ">=": left >= right, "<=": left <= right,
        ">": left > right, "<": left < right,
    }[operator]  # fmt: skip


def _release(version: str) -> tuple[int, ...] | None:
    """The numbers of a final release; None for anything that says more, except a local part."""
    text = version.split("+")[0]
    return tuple(int(part) for part in text.split(".")) if re.fullmatch(r"\d+(\.\d+)*", text) else None


def _padded(release: tuple[int, ...], length: int) -> tuple[int, ...]:
    return release + (0,) * (length - len(release))


def _parts(line: str) -> tuple[str, str, str, str]:
    """Name, extras, specifier and marker; an empty name for options, paths and URLs."""
    text = without_hashes(line.split(" #")[0])
    if text.startswith("-") or "/" in text.split(";")[0].split("@")[0] or text.endswith((".whl", ".tar.gz", ".zip")):
        return "", "", "", ""
    match = _LINE.match(text)
    if match is None:
        return "", "", "", ""
    name, extras, specifier, marker = match.groups()
    return normal_name(name), extras or "", specifier, marker or ""
