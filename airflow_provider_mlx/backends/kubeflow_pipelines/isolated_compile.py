"""
Runs in the SDK's own environment: imports a file with pipelines, and tells what one of them compiles to.

``python -I -B isolated_compile.py request.json``. It has the standard library and ``kfp``, and nothing of ours; what it
finds goes into the file that the request names, since anything may be printed meanwhile.

The SDK writes the defaults of parameters into the comments of its YAML as they are, so that a line feed in one makes a
key of the file. Here the pipeline is told as JSON instead, from the properties that ``Compiler.compile`` writes too.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

MODULE = "module"
"""Stands in for the name of a module that is taken already, as that of a file which is called like one of the SDK's."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """
    The answer to a request.

    :param request: ``root``, the folder to import from; ``file``, the one with the pipeline, by its path there;
        ``function``, the pipeline's; empty for the only one.
    :returns: ``pipeline`` and ``platform``; or ``pipelines``, those to choose from; or ``type`` and ``message`` of what
        was raised, and its ``frames``.
    """
    try:
        importlib.import_module("kfp")  # before a file of the user's can stand in its way
        module = load_module(Path(request["root"]), request["file"])
        return told(module, request["function"])
    except BaseException as error:
        return describe(error)


def load_module(root: Path, file: str) -> Any:
    """Import the file by its own name, so that relative imports and pickling by name work, where that is free."""
    sys.path.insert(0, str(root))
    parent, _, name = file.removesuffix(".py").replace("/", ".").rpartition(".")
    if parent:
        importlib.import_module(parent)
    full = f"{parent}.{name}" if parent else name
    if full in sys.modules:
        full = f"{full}_{MODULE}"
    spec = importlib.util.spec_from_file_location(full, root / file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    spec.loader.exec_module(module)
    return module


def told(module: Any, function: str) -> dict[str, Any]:
    """The pipeline of this name, or what there is to choose from."""
    pipelines = {name: value for name, value in vars(module).items() if is_pipeline(value)}
    own = {name: value for name, value in pipelines.items() if defined_in(value, module)} or pipelines
    chosen: Any = vars(module).get(function) if function else next(iter(own.values()), None)
    if not is_pipeline(chosen) or not (function or len(set(map(id, own.values()))) == 1):
        return {"pipelines": {name: str(value.name) for name, value in own.items()}, "is": kind_of(chosen)}
    as_dict = importlib.import_module("google.protobuf.json_format").MessageToDict
    platform = as_dict(chosen.platform_spec)
    return {"pipeline": as_dict(chosen.pipeline_spec), "platform": platform if platform.get("platforms") else None}


def is_pipeline(value: Any) -> bool:
    """Whether ``@dsl.pipeline`` made it."""
    return kind_of(value) == "GraphComponent"


def kind_of(value: Any) -> str:
    """The SDK's word for what it is: ``GraphComponent``, ``PythonComponent``; empty for what is none of its own."""
    base: Any = importlib.import_module("kfp.dsl.base_component").BaseComponent
    return type(value).__name__ if isinstance(value, base) else ""


def defined_in(pipeline: Any, module: Any) -> bool:
    """Whether a pipeline is written here: others are imported, to be parts of these."""
    return bool(getattr(pipeline.pipeline_func, "__module__", "") == module.__name__)


def describe(error: BaseException) -> dict[str, Any]:
    """What was raised, and where."""
    frames = [(one.filename, one.lineno or 0, one.name) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0, "<module>"))
    return {
        "type": type(error).__name__,
        "message": str(error),
        "frames": [frame for frame in frames if frame[0] != __file__ and not frame[0].startswith("<frozen ")],
        "missing": (error.name or "") if isinstance(error, ModuleNotFoundError) else "",
    }


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    answer = Path(asked["answer"])
    answer.with_suffix(".part").write_text(json.dumps(main(asked)))
    answer.with_suffix(".part").rename(answer)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # a thread that the file started is not waited for
