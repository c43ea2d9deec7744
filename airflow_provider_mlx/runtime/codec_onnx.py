"""The codec of ONNX models. The framework is imported in the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator  # noqa: UP035  (Python 3.9)

from .codec_parts import count, named, reading
from .codecs import HashingWriter
from .refusals import ArtifactError

_FAR = "keeps tensors in files of their own, which do not travel with it"


def save_onnx(value: Any, sink: HashingWriter) -> None:
    """
    Protobuf, with fields in order.

    :raises ValueError: tensors lie in other files, or the model is over protobuf's 2 GiB.
    """
    if _has_external_data(value):
        raise ValueError(f"the model {_FAR}: load them into it, or return the folder's Path as a Model")
    if value.ByteSize() >= 2**31:
        raise ValueError("the model is over 2 GiB, protobuf's limit: save it with external data and return the folder")
    sink.write(value.SerializeToString(deterministic=True))


def load_onnx(path: Path, type_name: str) -> Any:
    """
    A model.

    :raises ArtifactError: it is damaged, or names other files: whoever runs it would read them.
    """
    import onnx
    from google.protobuf.message import DecodeError

    with reading(path, "model", DecodeError, ValueError):
        model = onnx.load_model_from_string(path.read_bytes())
        if not model.ir_version or not model.HasField("graph"):
            raise ValueError("there is no graph in it")
    if _has_external_data(model):
        raise ArtifactError(f"the model of {path.name} {_FAR}", "take it as a `Path`, after you have looked at it")
    return model


def describe_onnx(value: Any) -> list[str]:
    """Nodes, inputs and outputs."""
    graph = value.graph
    return [
        f"{count(len(graph.node), 'node')}, {count(len(graph.initializer), 'tensor')}",
        f"{named(item.name for item in graph.input)} → {named(item.name for item in graph.output)}",
    ]


def _has_external_data(model: Any) -> bool:
    """Whether a tensor, anywhere in the model, lies in another file."""
    import onnx

    return any(message.data_location == onnx.TensorProto.EXTERNAL for message in _tensors(model, onnx.TensorProto))


def _tensors(message: Any, kind: type) -> Iterator[Any]:
    """Every tensor below a message: initializers, attributes, subgraphs, functions."""
    if isinstance(message, kind):
        yield message
        return
    for field, content in message.ListFields():
        if field.message_type is None:
            continue
        repeated = not hasattr(content, "ListFields")
        for item in content if repeated else (content,):
            if hasattr(item, "ListFields"):
                yield from _tensors(item, kind)
