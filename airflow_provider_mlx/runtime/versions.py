"""Which distributions a job's interpreter sees: all of them by digest, and some by version."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Iterable  # noqa: UP035  (Python 3.9)

SHOWN = frozenset({
    "accelerate", "catboost", "cupy", "datasets", "deepspeed", "diffusers", "flax", "jax", "jaxlib", "keras",
    "lightgbm", "lightning", "mlflow", "mlflow-skinny", "neptune", "numpy", "onnx", "onnxruntime", "optuna", "pandas",
    "peft", "polars", "pyarrow", "pytorch-lightning", "ray", "safetensors", "scikit-learn", "scipy", "skops", "spacy",
    "statsmodels", "tensorflow", "tokenizers", "torch", "torchaudio", "torchvision", "transformers", "triton", "vllm",
    "wandb", "xgboost",
})  # fmt: skip
"""Frameworks whose version a result may depend on, by normal name; beside them, what a step requires itself."""

_SUFFIX = ".dist-info"


def installed(requirements: Iterable[str] = ()) -> dict[str, Any]:
    """
    Digest, number and some versions of the distributions on the path; the first on the path counts, as for imports.

    Read from the folders' names (``name-version.dist-info``), which is what ``importlib.metadata`` does, without its
    imports: a job of a few milliseconds should not spend thirty on this.

    :param requirements: the step's own, of which the versions are told too.
    """
    names = set()
    versions: dict[str, str] = {}
    wanted = SHOWN | _names(requirements)
    for entry in sys.path:
        for folder in _distributions(entry):
            names.add(folder)
            name, _, version = folder.partition("-")
            name = name.replace("_", "-").replace(".", "-")
            if name in wanted and version:
                versions.setdefault(name, version)
    import hashlib

    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()
    return {"packages_sha256": digest, "packages": len(names), "versions": dict(sorted(versions.items()))}


def _distributions(entry: str) -> list[str]:
    try:
        found = os.listdir(entry)  # noqa: PTH208  (thousands of names, no Path objects)
    except OSError:
        return []
    return [name[: -len(_SUFFIX)].lower() for name in found if name.endswith(_SUFFIX)]


def _names(requirements: Iterable[str]) -> set[str]:
    """
    What lines begin with, as normal names; of a path or an option that is no distribution's.

    ``requirements.py`` reads lines in full, and costs a job that has none twenty milliseconds.
    """
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in requirements)
    return {re.sub(r"[-_.]+", "-", match[0]).lower() for match in found if match}
