"""
Go code of two protocols, from the descriptors in their published Python packages.

The server's module takes these two from folders beside it, which are not in the module that is published. Run as a
program of its own, with nothing but those packages on its path::

    python -S protocols.py PROTOC_GEN_GO OUT
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType


def main(plugin: Path, out: Path) -> None:
    """Write both, in the folders that the server's module looks for them in."""
    from kfp.pipeline_spec import pipeline_spec_pb2

    platform = _platform_module()
    spec, config = pipeline_spec_pb2.DESCRIPTOR, platform.DESCRIPTOR
    _write(plugin, [spec], out / "api" / "v2alpha1" / "go" / "pipelinespec")
    _write(plugin, [spec, config], out / "kubernetes_platform" / "go" / "kubernetesplatform")


def _platform_module() -> ModuleType:
    """Loaded from its file: what is around it imports the whole SDK."""
    import kfp

    files = (Path(folder) / "kubernetes" / "kubernetes_executor_config_pb2.py" for folder in kfp.__path__)
    found = importlib.util.spec_from_file_location("platform_pb2", next(file for file in files if file.exists()))
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _write(plugin: Path, descriptors: list, folder: Path) -> None:
    """Generate the last of some descriptors, as protoc asks its plugins to."""
    from google.protobuf import any_pb2, descriptor_pb2, duration_pb2, struct_pb2
    from google.protobuf.compiler import plugin_pb2
    from google.rpc import status_pb2

    known = [module.DESCRIPTOR for module in (any_pb2, struct_pb2, duration_pb2, status_pb2)]
    request = plugin_pb2.CodeGeneratorRequest(parameter="paths=source_relative")
    request.file_to_generate.append(descriptors[-1].name)
    for descriptor in [*known, *descriptors]:
        file = descriptor_pb2.FileDescriptorProto.FromString(descriptor.serialized_pb)
        request.proto_file.append(file)
    done = subprocess.run([plugin], input=request.SerializeToString(), stdout=subprocess.PIPE, check=True)
    answer = plugin_pb2.CodeGeneratorResponse.FromString(done.stdout)
    if answer.error:
        sys.exit(answer.error)
    folder.mkdir(parents=True)
    for file in answer.file:
        (folder / file.name).write_text(file.content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
