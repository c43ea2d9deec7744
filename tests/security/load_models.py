"""Loads crafted model files one after the other and prints, as JSON, what was said and what an audit hook saw of each."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy
import skops.io
from sklearn.ensemble import RandomForestClassifier

from airflow_provider_mlx.runtime.codec_sklearn import TRUSTED, load_sklearn

WATCHED = ("open", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "exec",
           "compile", "pickle.find_class", "ctypes.dlopen", "shutil.rmtree", "os.remove", "os.rename", "os.mkdir")  # fmt: skip
SEEN: list[str] = []
STATE: dict[str, Any] = {"own": "", "on": False}


def hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not STATE["on"] or event not in WATCHED:
        return
    if event == "open" and (str(arguments[0]) == STATE["own"] or str(arguments[0]).endswith((".py", ".pyc", ".so"))):
        return  # the model itself, and modules of the trusted packages
    if event in ("exec", "compile") and sys._getframe(1).f_code.co_filename.endswith(
        ("<frozen importlib._bootstrap>", "/ast.py")
    ):
        return  # a module's own code; a literal, as an array's header is one
    SEEN.append(event)


def node(module: str, name: str, loader: str, **more: Any) -> dict[str, Any]:
    return {"__module__": module, "__class__": name, "__loader__": loader, **more}


def of_json(value: Any) -> dict[str, Any]:
    return node("builtins", "str", "JsonNode", content=json.dumps(value), is_json=True)


def of_list(
    *items: dict[str, Any], module: str = "builtins", name: str = "list", loader: str = "ListNode"
) -> dict[str, Any]:
    return node(module, name, loader, content=list(items))


def of_tuple(*items: dict[str, Any]) -> dict[str, Any]:
    return of_list(*items, name="tuple", loader="TupleNode")


def of_dict(
    content: dict[str, dict[str, Any]], *, module: str = "builtins", name: str = "dict", keys: Any = None
) -> dict[str, Any]:
    types = keys or of_list(*(node("builtins", "str", "TypeNode") for _ in content))
    return node(module, name, "DictNode", content=content, key_types=types)


def write(path: Path, schema: dict[str, Any], **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({**schema, "protocol": 2}))
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def others(folder: Path) -> dict[str, Path]:
    """Files that would run code or read a file, were their types taken."""
    marker = str(folder / "ran")
    command, arguments = of_json(f"touch {marker}"), of_tuple(of_json(marker), of_json("w"))
    kernel = node(
        "sklearn.gaussian_process.kernels", "RBF", "ObjectNode", content=of_dict({"length_scale": of_json(1.0)})
    )
    pickled = io.BytesIO()
    numpy.save(pickled, numpy.array([Touches(marker)], dtype=object), allow_pickle=True)
    nodes = {
        "function": node("os", "system", "FunctionNode"),
        "type": node("subprocess", "Popen", "TypeNode"),
        "open": node("builtins", "open", "ConstructorFromReduceNode", content=arguments),
        "io.open": node("io", "open", "ConstructorFromReduceNode", content=arguments),
        "FileIO": node("_io", "FileIO", "ConstructorFromReduceNode", content=arguments),
        "process": node("subprocess", "Popen", "ConstructorFromReduceNode", content=of_tuple(of_list(of_json("touch"), of_json(marker)))),
        "list": of_list(of_json("touch"), of_json(marker), module="subprocess", name="Popen"),
        "set": of_list(of_json("touch"), module="subprocess", name="Popen", loader="SetNode"),
        "partial": node("functools", "partial", "PartialNode", content={
            "func": node("os", "system", "FunctionNode"), "args": of_tuple(command), "kwds": of_dict({}), "namespace": of_json(None)}),
        "partial of a trusted type": node("functools", "partial", "PartialNode", content={
            "func": node("numpy", "dtype", "TypeNode"), "args": of_tuple(), "kwds": of_dict({}), "namespace": of_json(None)}),
        "methodcaller": node("operator", "methodcaller", "OperatorFuncNode", attrs=of_tuple(of_json("system"), command)),
        "operator.call": node("operator", "call", "OperatorFuncNode", attrs=of_tuple(node("os", "system", "FunctionNode"), command)),
        "attrgetter": node("operator", "attrgetter", "OperatorFuncNode", attrs=of_tuple(of_json("__class__.__mro__"))),
        "method": node("sklearn.gaussian_process.kernels", "RBF", "MethodNode", content={"func": "clone_with_theta", "obj": kernel}),
        "method of another": node("builtins", "str", "MethodNode", content={"func": "__init__", "obj": kernel}),
        "keys": of_dict({command["content"]: of_json(1)}, keys=of_list(node("os", "system", "FunctionNode"))),
        "dictionary": of_dict({"a": of_json(1)}, module="os", name="environ"),
        "named tuple": of_list(of_json("x"), module="subprocess", name="CompletedProcess", loader="TupleNode"),
        "factory": node("collections", "defaultdict", "DefaultDictNode", content={
            "main": of_dict({}), "default_factory": node("os", "getcwd", "FunctionNode")}),
        "loss": node("os", "system", "LossNode", __reduce__={"args": of_tuple(command)}, content=of_dict({})),
        "tree": node("os", "system", "TreeNode", __reduce__={"args": of_tuple(command)}, content=of_dict({"a": node("os", "x", "TypeNode")})),
        "pickled array": node("numpy", "ndarray", "NdArrayNode", type="numpy", file="array.npy"),
        "generator": node("numpy.random._generator", "Generator", "RandomGeneratorNode", content={
            "bit_generator_state": of_dict({"bit_generator": of_json("test")}), "seed_seq_state": of_dict({}),
            "seed_seq": node("numpy.random.bit_generator", "SeedSequence", "TypeNode")}, bit_generator={"bit_generator": "test"}),
        "unknown loader": node("builtins", "str", "NoSuchNode"),
        "cached": node("builtins", "str", "CachedNode", __id__=7),
        "memory": node("joblib.memory", "Memory", "ObjectNode", content=of_dict({"location": of_json(marker)})),
        "user's transformer": node("__main__", "Touches", "ObjectNode", content=of_dict({"marker": of_json(marker)})),
        "deep": deep(),
    }  # fmt: skip
    made = {f"other: {name}": write(folder / f"other {number}", schema, **{"array.npy": pickled.getvalue()})
            for number, (name, schema) in enumerate(nodes.items())}  # fmt: skip
    raw = {
        "a pickle": __import__("pickle").dumps(Touches(marker)),
        "nothing": b"",
        "text": b"{}",
        "half a zip": b"PK\3\4",
    }
    for name, data in raw.items():
        made[f"other: {name}"] = folder / name
        made[f"other: {name}"].write_bytes(data)
    with zipfile.ZipFile(folder / "empty.zip", "w"):
        made["other: an empty zip"] = folder / "empty.zip"
    return made


def deep() -> dict[str, Any]:
    found = of_json(1)
    for _ in range(300):
        found = of_list(found)
    return node("os", "x", "ListNode", content=[found])


class Touches:
    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (open, (self.marker, "w"))


def trusted(folder: Path) -> dict[str, Path]:
    """Every type of the table, by every way to build one."""
    target = of_json(str(folder / "secret"))
    given = {
        "nothing": of_tuple(),
        "a path": of_tuple(target),
        "paths": of_tuple(target, target, target),
        "a list": of_tuple(of_list(target)),
    }
    made = {}
    for full in sorted(TRUSTED):
        module, _, name = full.rpartition(".")
        ways = {
            f"constructor of {what}": node(module, name, "ConstructorFromReduceNode", content=items)
            for what, items in given.items()
        }
        ways["new"] = node(
            module, name, "ObjectNode", content=of_dict({"metric": target, "func": target, "path": target, "a": target})
        )
        ways["state of a tuple"] = node(module, name, "ObjectNode", content=of_tuple(*[target] * 5))
        ways["list"] = of_list(target, module=module, name=name)
        ways["set"] = of_list(target, module=module, name=name, loader="SetNode")
        ways["dictionary"] = of_dict({"a": target}, module=module, name=name)
        ways["keys"] = of_dict({str(folder / "secret"): of_json(1)}, keys=of_list(node(module, name, "TypeNode")))
        ways["function"] = node(module, name, "FunctionNode")
        for way, schema in ways.items():
            made[f"trusted: {full} by {way}"] = write(folder / f"trusted {len(made)}", schema)
    return made


def load(path: Path) -> dict[str, Any]:
    SEEN.clear()
    STATE.update(own=str(path), on=True)
    try:
        load_sklearn(path, "")
        said = "loaded"
    except BaseException as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        STATE["on"] = False
    return {"said": said, "events": list(SEEN)}


def controls(folder: Path) -> dict[str, Any]:
    told = {}
    for name, act in {
        "open": lambda: (folder / "secret").read_text(),
        "process": lambda: subprocess.run(["true"], check=True),
        "trusted blindly": lambda: skops.io.load(
            write(
                folder / "blind",
                node("io", "open", "ConstructorFromReduceNode", content=of_tuple(of_json(str(folder / "secret")))),
            ),
            trusted=["io.open"],
        ),
    }.items():
        SEEN.clear()
        STATE.update(own=str(folder / "blind"), on=True)
        try:
            act()
        finally:
            STATE["on"] = False
        told[f"control: {name}"] = {"said": "done", "events": list(SEEN)}
    return told


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "secret").write_text("out of bounds")
    os.chdir(folder)
    good = folder / "good"
    model = RandomForestClassifier(2, random_state=0).fit(numpy.array([[0.0], [1.0]]), [0, 1])
    good.write_bytes(skops.io.dumps(model))
    cases = {"good": good, **others(folder), **trusted(folder)}
    sys.addaudithook(hook)
    load_sklearn(good, "")  # what is imported when it is first needed
    told = {name: load(path) for name, path in cases.items()} | controls(folder)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
