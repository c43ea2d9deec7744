"""Codecs of pictures: Matplotlib's and Plotly's figures, Pillow's images. Frameworks are imported in the functions."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from .codec_parts import count, cut, reading
from .codecs import HashingWriter
from .refusals import ArtifactError

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_MODES = ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")
"""Pillow's modes that a PNG keeps. Source: Pillow, image file formats, PNG."""


def save_figure(value: Any, sink: HashingWriter) -> None:
    """PNG, at the figure's own resolution, without the writer's version."""
    value.savefig(sink, format="png", metadata={"Software": None})


def load_figure(path: Path, type_name: str) -> bytes:
    """The picture's bytes: a figure does not come back from its picture, and whoever shows it needs no library."""
    with path.open("rb") as reader:
        _check_png(reader, path)
    return path.read_bytes()


def describe_figure(value: Any) -> list[str]:
    """Size and titles."""
    width, height = (round(inches * value.dpi) for inches in value.get_size_inches())
    titles = [title for axes in value.axes if (title := axes.get_title())]
    return [f"{width} × {height} pixels", *(cut(title) for title in titles[:3])]


def save_plotly(value: Any, sink: HashingWriter) -> None:
    """Plotly's JSON."""
    sink.write(value.to_json().encode())


def load_plotly(path: Path, type_name: str) -> Any:
    """A figure; what Plotly does not know in it is an error."""
    import plotly.io

    with reading(path, "figure", ValueError, TypeError, KeyError, RecursionError):
        content = path.read_bytes().decode()
        if not content.startswith('{"data":'):
            raise ValueError("it is no figure's JSON")
        return plotly.io.from_json(content)


def describe_plotly(value: Any) -> list[str]:
    """Traces and title."""
    kinds = dict.fromkeys(trace.type for trace in value.data[:100])
    title = value.layout.title.text
    lines = [f"{count(len(value.data), 'trace')}: {cut(', '.join(kinds))}"]
    return [*lines, cut(title)] if title else lines


def save_image(value: Any, sink: HashingWriter) -> None:
    """
    PNG, which loses no pixel; what else its file said (EXIF, comments) stays behind.

    :raises ValueError: it has several frames, or a mode that PNG cannot keep.
    """
    frames = getattr(value, "n_frames", 1)
    if frames > 1:
        raise ValueError(f"the image has {frames} frames, and one would be kept: return its file's Path")
    if value.mode not in _PNG_MODES:
        raise ValueError(f"a PNG cannot keep an image of mode {value.mode!r}: return `image.convert('RGB')`")
    picture = value.copy()
    picture.info = {name: value.info[name] for name in ("transparency",) if name in value.info}
    picture.save(sink, format="PNG")


def load_image(path: Path, type_name: str) -> Any:
    """An image, read whole: Pillow would keep the file open, and read it later."""
    import PIL.Image

    with reading(path, "image", OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        with path.open("rb") as reader:
            _check_png(reader, path)
        with PIL.Image.open(path, formats=("PNG",)) as image:
            image.load()
            return image.copy()


def describe_image(value: Any) -> list[str]:
    """Size and mode."""
    return [f"{value.width} × {value.height} pixels, {value.mode}"]


def _check_png(reader: BinaryIO, path: Path) -> None:
    """
    Every part is there and is what its checksum says.

    :raises ArtifactError: it is not. Source: PNG specification, chunk layout.
    """
    name, whole = b"", reader.read(len(_PNG)) == _PNG
    while whole and name != b"IEND":
        head = reader.read(8)
        length, name = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"")
        body = reader.read(length + 4)
        whole = len(head) == 8 and len(body) == length + 4
        whole = whole and zlib.crc32(name + body[:-4]) == struct.unpack(">I", body[-4:])[0]
    if not whole or reader.read(1):
        raise ArtifactError(f"the picture of {path.name} is no whole PNG")
