"""The codec of PyTorch's tensors by name. Frameworks are imported in the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping  # noqa: UP035  (Python 3.9)

from .codec_files import save_file
from .codec_parts import MOST_LINES, count, cut, reading
from .codecs import HashingWriter


def save_safetensors(value: Mapping[str, Any], sink: HashingWriter) -> None:
    """
    A dict of tensors in safetensors' format.

    Tensors that share memory, as tied weights do, are written each for itself: the values are kept, the sharing is
    the model class's to make again. The library writes files only; one beside the job costs disk and not memory.

    :raises ValueError: a tensor is of a kind that the format cannot keep.
    """
    import tempfile

    import safetensors.torch

    with tempfile.TemporaryDirectory(prefix="mlx-") as folder:
        file = Path(folder, "tensors")
        try:
            safetensors.torch.save_file(_storable(value), file, metadata={"format": "pt"})
        except KeyError as error:
            raise ValueError(f"safetensors has no tensors of type {error}: convert them") from error
        save_file(file, sink)


def _storable(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, dense, on the CPU, and each in memory of its own."""
    import torch

    plain: dict[str, Any] = {}
    memory = set()
    for name, tensor in tensors.items():
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.is_meta or tensor.is_quantized:
            kind = (
                "without data" if tensor.is_meta else f"a {'quantized ' * tensor.is_quantized}{type(tensor).__name__}"
            )
            raise ValueError(f"the tensor {name!r} is {kind}: make it a plain one")
        if tensor.layout is not torch.strided:
            raise ValueError(f"the tensor {name!r} is sparse: return it dense, by `.to_dense()`")
        # A conjugate or negative view is a flag that the bytes do not show.
        dense = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
        place = dense.untyped_storage().data_ptr()
        plain[name] = dense.clone() if place in memory else dense
        memory.add(place)
    return plain


def load_safetensors(path: Path, type_name: str) -> dict[str, Any]:
    """A dict of tensors on the CPU."""
    import safetensors.torch
    from safetensors import SafetensorError

    with reading(path, "tensors", SafetensorError, ValueError, KeyError):
        return dict(safetensors.torch.load_file(path))


def describe_safetensors(value: Mapping[str, Any]) -> list[str]:
    """How many tensors and numbers, and shape and type of the first ones."""
    total = sum(tensor.numel() for tensor in value.values())
    shown = [
        cut(f"{name}: {' × '.join(map(str, tensor.shape)) or 'one number'}, {str(tensor.dtype).rpartition('.')[2]}")
        for name, tensor in list(value.items())[: MOST_LINES - 1]
    ]
    return [f"{count(len(value), 'tensor')}, {count(total, 'parameter')}", *shown]
