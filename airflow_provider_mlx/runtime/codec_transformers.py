"""The codec of transformers' models and tokenizers. Frameworks are imported in the functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9)

from .codec_files import save_directory
from .codec_parts import MOST_LINES, count, cut, reading
from .codecs import HashingWriter
from .extraction import extract_tar
from .refusals import ArtifactError

FOLDER_FILES = (".jinja", ".json", ".model", ".safetensors", ".txt")
"""What a folder may hold: no code, no pickle. Chat templates run in Jinja's sandbox."""

# Words of a configuration by which transformers would fetch code or choose a package to import (read in 5.23, where
# `attn_implementation` may name a kernel of somebody's repository). None of them is in what `save_pretrained` writes of
# a plain model of transformers' own classes.
FOREIGN_WORDS = ("auto_map", "_implementation", "quantization_config", "base_model_name_or_path")
_OFFLINE = {"local_files_only": True, "trust_remote_code": False}


def save_transformers(value: Any, sink: HashingWriter) -> None:
    """
    The folders of ``save_pretrained`` as one deterministic tar; a dict is a folder for each of its members.

    :raises ValueError: a class is not one of transformers' own: its code would not travel.
    """
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mlx-") as folder:
        for name, member in _members(value).items():
            below = Path(folder, name)
            below.mkdir(exist_ok=True)
            _save_pretrained(member, below)
        problem = next(_problems(Path(folder)), "")
        if problem:
            raise ValueError(f"the model's folder has {problem}: return the folder's Path as a Model instead")
        save_directory(Path(folder), sink)


def _members(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        return {"": value}
    for name in value:
        if not name.replace("_", "").replace("-", "").isalnum():
            raise ValueError(f"{name!r} cannot be a folder's name: use letters, digits, `_` and `-`")
    return value


def _save_pretrained(value: Any, folder: Path) -> None:
    kind = type(value)
    if kind.__module__.partition(".")[0] != "transformers":
        raise ValueError(
            f"{kind.__module__}.{kind.__qualname__} is not one of transformers' own classes, and its code does not "
            "travel with a model: return `model.state_dict()`, or save it and return the folder's Path as a Model"
        )
    value.save_pretrained(folder)


def load_transformers(path: Path, type_name: str) -> Any:
    """
    The model or tokenizer, or the dict of them, by transformers' own classes; nothing is asked of any network.

    :raises ArtifactError: the folder holds code, a pickle, or names code elsewhere.
    """
    import tempfile

    # A folder of its own, which stays as long as the download does: a tokenizer may read its files again.
    folder = extract_tar(path, Path(tempfile.mkdtemp(dir=path.parent), "model"))
    with reading(path, "model", ValueError, RecursionError):
        problem = next(_problems(folder), "")
    if problem:
        raise ArtifactError(
            f"the model of {path.name} has {problem}, and nothing was loaded",
            "annotate the parameter with `Path`, and load the folder yourself after you have looked at it",
        )
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    with reading(path, "model", *_load_errors()):
        if names:
            return {name: _load_pretrained(folder / name) for name in names}
        return _load_pretrained(folder)


def _load_errors() -> tuple[type[BaseException], ...]:
    from safetensors import SafetensorError

    return (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


def _load_pretrained(folder: Path) -> Any:
    import transformers

    configuration = folder / "config.json"
    if not configuration.exists():
        return transformers.AutoTokenizer.from_pretrained(folder, **_OFFLINE)
    names = json.loads(configuration.read_bytes()).get("architectures") or [""]
    kind: Any = getattr(transformers, str(names[0]), None)
    is_model = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    if not is_model:
        raise ValueError(f"transformers {transformers.__version__} has no model class {names[0]!r}")
    return kind.from_pretrained(folder, use_safetensors=True, **_OFFLINE)


def _problems(folder: Path) -> Iterator[str]:
    """What in a folder is code, could be a pickle, or names code elsewhere."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if file.suffix not in FOLDER_FILES:
            yield f"the file {name!r}"
        elif file.suffix == ".json":
            yield from (f"the word {word!r} in {name!r}" for word in _foreign_words(file))


def _foreign_words(file: Path) -> list[str]:
    """The keys of a JSON file, at any depth, that are foreign words; parsed, since JSON has many spellings of a key."""
    found: list[str] = []

    def look(members: list[tuple[str, Any]]) -> None:
        found.extend(key for key, _ in members if any(word in key for word in FOREIGN_WORDS))

    json.loads(file.read_bytes(), object_pairs_hook=look)
    return found


def describe_transformers(value: Any) -> list[str]:
    """The classes, and how many parameters the models have."""
    every = value if isinstance(value, dict) else {"": value}
    lines = []
    for name, member in every.items():
        size = f", {count(member.num_parameters(), 'parameter')}" if hasattr(member, "num_parameters") else ""
        lines.append(cut(f"{name}{': ' if name else ''}{type(member).__name__}{size}"))
    return lines[:MOST_LINES]
