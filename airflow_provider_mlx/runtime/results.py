"""What a step returned: encoded, hashed while it streams into the store, and described for ``result.json``."""

from __future__ import annotations

import contextlib
import json
import os
import re
import typing
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping  # noqa: UP035  (Python 3.9)

from .annotations import NOTHING, argument, bare
from .codecs import CODECS, MODEL, Codec, HashingWriter, codec_for, codec_for_type_name, plain, type_name, way_out
from .inputs import require
from .outputs import Model, field_annotations, fields_of, is_metrics, metric_problems, word_about
from .previews import preview
from .protocol import OUTPUTS_FOLDER, RESCUE_FOLDER, SERIES, SERIES_FILE, Output, StepContext
from .refusals import AlreadyWritten, ArtifactError, JobMisconfigured, StepFailed
from .shown import Series
from .store import Store
from .uris import join
from .values import ArtifactReference, Dataset
from .wire import NotPlain, encode

MODEL_FORMS = {"file": "model_file", "directory": "model_directory"}
"""Codecs of data that a :class:`Model` in the annotation makes one of a model."""

RETURN_VALUE = "return_value"
DEFAULT_INLINE_BYTES = 48 * 1024
_PRODUCER = ("dag_id", "run_id", "task_id", "map_index", "attempt", "deployment_id")


class Results:
    """
    Encodes the results of one step.

    :param versions: which versions its datasets had before it ran, by URI, as far as the runtime looked them up.
    """

    def __init__(
        self, context: StepContext, store: Store, work: Path, versions: Mapping[str, str] | None = None
    ) -> None:
        self._context = context
        self._store = store
        self._work = work
        self._root = context["outputs"]["uri"]
        self._inline_bytes = int(context["outputs"].get("inline_bytes", DEFAULT_INLINE_BYTES))
        self._versions_before = versions or {}
        self.versions: dict[str, str] = {}
        """Of the datasets that the step returned, by URI, as they are now."""
        self.metrics: dict[str, float] = {}
        """Outputs that are the step's metrics, merged."""

    def encode(self, value: Any, annotation: Any = NOTHING) -> dict[str, Output]:
        """
        Store a step's result and describe it.

        With ``multiple`` each key or field is an output of its own, and ``return_value`` is the dict in which what is
        not plain JSON, or too large for all to be inline, stands as its reference.

        :param annotation: what the step says that it returns.
        :raises StepFailed: no codec takes the value; it is kept under the attempt's ``rescue/`` where possible.
        """
        if is_metrics(annotation, value):
            self._take_metrics(RETURN_VALUE, value)
        if not self._context["outputs"].get("multiple"):
            return {RETURN_VALUE: self._output(RETURN_VALUE, value, annotation)}
        members = fields_of(value)
        if members is None:
            raise self._refused(
                RETURN_VALUE, value,
                f"the step has multiple_outputs and returned a {type_name(type(value))}, not a dict with text as keys, "
                "a named tuple or a dataclass",
                "return one of them, or leave multiple_outputs out",
            )  # fmt: skip
        if RETURN_VALUE in members:
            raise self._refused(
                RETURN_VALUE, value, f"a step with multiple_outputs cannot have an output named {RETURN_VALUE!r}",
                "give it another name",
            )  # fmt: skip
        says = field_annotations(bare(annotation))
        for key, member in members.items():
            if is_metrics(says.get(key, NOTHING), member):
                self._take_metrics(key, member)
        outputs = {key: self._output(key, member, says.get(key, NOTHING)) for key, member in members.items()}
        return {**outputs, RETURN_VALUE: self._output(RETURN_VALUE, self._whole(members, outputs), NOTHING)}

    def _whole(self, members: dict[str, Any], outputs: dict[str, Output]) -> dict[str, Any]:
        """All outputs as one small dict: the largest values give way to their references until it is inline."""
        by_value = {key: plain(members[key]) for key, output in outputs.items() if output["inline"]}
        references = {
            key: ArtifactReference.from_wire(output["artifact"])
            for key, output in outputs.items()
            if output["artifact"] is not None
        }
        largest = sorted(by_value.keys() & references.keys(), key=lambda key: references[key].size)
        whole = {key: by_value.get(key, references.get(key)) for key in outputs}
        while largest and self._inline(whole) is None:
            key = largest.pop()
            whole[key] = references[key]
        return whole

    def add_series(self, outputs: dict[str, Output]) -> None:
        """
        Make the metrics that were logged with step numbers an output of their own, beside what the step returned.

        A step may have an output of that name itself: then its supervisor keeps the series under ``rescue/``.
        """
        path = self._work / SERIES_FILE
        if not path.exists():
            return
        if SERIES in outputs:
            print(f"mlx: the step has an output named {SERIES!r}: its metrics' series is under rescue/", flush=True)
            return
        reference = replace(self._store_value(SERIES, Series(path), CODECS[SERIES], called=SERIES), type="list")
        outputs[SERIES] = {"artifact": reference.to_wire(), "inline": False, "value": None}
        path.unlink()

    def _take_metrics(self, name: str, value: Any) -> None:
        problems = metric_problems(value)
        if problems:
            raise self._refused(
                name, value, f"{name!r} was to be metrics, and {'; '.join(problems)}",
                "return a dict of numbers by name, and other things as outputs of their own",
            )  # fmt: skip
        self.metrics.update({key: float(number) for key, number in value.items()})

    def _output(self, name: str, value: Any, annotation: Any) -> Output:
        if value is None:
            return {"artifact": None, "inline": True, "value": None}
        if isinstance(value, Dataset):
            value = self._as_it_is_now(value)
        if isinstance(value, ArtifactReference):
            return {"artifact": value.to_wire(), "inline": False, "value": None}
        codec, word = codec_for(value), word_about(annotation)
        if codec is None:
            raise self._refused(name, value, *_no_codec(value))
        if isinstance(word, Model) and codec.kind != MODEL:
            if codec.name not in MODEL_FORMS:
                raise self._refused(name, value, *_no_model(name, word, value))
            codec = CODECS[MODEL_FORMS[codec.name]]
        require(codec.packages_of(type_name(type(value))), f"to keep the result {name!r} ({type_name(type(value))})")
        try:
            reference = self._store_value(name, value, codec, called=word.name if word else name)
        except (ValueError, TypeError) as error:
            raise self._refused(
                name, value, f"the result {name!r} cannot be kept: {error}", "change the value as the message says"
            ) from error
        inline = self._inline(value) if codec.name in ("json", "text") else None
        if inline is None:
            print(*preview(name, value, codec, reference), sep="\n", flush=True)
            return {"artifact": reference.to_wire(), "inline": False, "value": None}
        return {"artifact": reference.to_wire(), "inline": True, "value": inline[0]}

    def _as_it_is_now(self, dataset: Dataset) -> Dataset:
        """With the version that the step has made of it, unless the step's code says one itself."""
        if dataset.version not in (None, self._versions_before.get(dataset.uri)):
            return dataset
        found = self._store.version(dataset.uri)
        if found is not None:
            self.versions[dataset.uri] = found
        return Dataset(dataset.uri, found)

    def _inline(self, value: Any) -> tuple[Any] | None:
        """The wire form, wrapped since it may be None, if it is small enough."""
        wire = encode(plain(value))
        try:
            size = len(json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode())
        except UnicodeEncodeError:
            return None  # a lone surrogate, which no other JSON reader takes: the artifact keeps it
        return (wire,) if size <= self._inline_bytes else None

    def _store_value(self, name: str, value: Any, codec: Codec, *, called: str) -> ArtifactReference:
        suffix = codec.suffix_of(value)
        stem = object_name(name)
        folder = join(self._root, OUTPUTS_FOLDER)
        uri = join(folder, f"{stem}{object_name(suffix) if suffix else ''}")
        hashing, written = self._save(uri, value, codec)
        if not written:
            # A lost node may run a step twice, and a job that was taken away starts again. Its results get a name by
            # content; result.json decides which count.
            uri = join(folder, f"{stem}-{hashing.sha256[:12]}{suffix}")
            hashing, written = self._save(uri, value, codec)
        if not written and not self._is_there(uri, hashing.sha256):
            # Who was killed while it wrote has left a part of it, on a mounted store that has no links; or the codec
            # writes the same value differently each time.
            uri = join(folder, f"{stem}-{hashing.sha256[:12]}-{os.urandom(4).hex()}{suffix}")
            hashing, written = self._save(uri, value, codec)
        step = self._context["step"]
        return ArtifactReference(
            uri=uri, sha256=hashing.sha256, size=hashing.size, codec=codec.name, type=type_name(type(value)),
            name=called, version=hashing.sha256[:12], producer={key: step.get(key) for key in _PRODUCER},
        )  # fmt: skip

    def _save(self, uri: str, value: Any, codec: Codec) -> tuple[HashingWriter, bool]:
        """Digest and size of what the codec writes, and whether this call made the object."""
        try:
            with self._store.writing(uri) as sink:
                hashing = HashingWriter(sink)
                codec.save(value, hashing)
        except AlreadyWritten:
            return hashing, False
        return hashing, True

    def _is_there(self, uri: str, sha256: str) -> bool:
        """Whether an object has this content."""
        with Path(os.devnull).open("wb") as nowhere:
            reading = HashingWriter(nowhere)
            self._store.read_into(uri, reading)
        return reading.sha256 == sha256

    def _refused(self, name: str, value: Any, what: str, remedy: str) -> StepFailed:
        return StepFailed(what, remedy, self._rescue(name, value))

    def _rescue(self, name: str, value: Any) -> list[dict[str, Any]]:
        """
        Keep a value that cannot be a result: its owner can read it by hand, we never do.

        The pickle may be large and is streamed; the text is there for values that do not pickle either.
        """
        import pickle
        import reprlib

        kept: list[dict[str, Any]] = []
        stem = join(self._root, RESCUE_FOLDER, object_name(name))
        with contextlib.suppress(ArtifactError):  # if the store gives no answer now, what follows says so
            if self._store.exists(f"{stem}.txt"):
                stem = f"{stem}-{os.urandom(4).hex()}"  # this attempt has run before

        def keep(uri: str, form: str, write: Any) -> None:
            try:
                with self._store.writing(uri) as sink:
                    hashing = HashingWriter(sink)
                    write(hashing)
            except Exception as error:
                print(f"mlx: the value was not rescued as {form}: {type(error).__name__}: {error}", flush=True)
                return
            kept.append({"uri": uri, "format": form, "sha256": hashing.sha256, "size": hashing.size})

        keep(f"{stem}.pickle", "pickle", lambda sink: pickle.Pickler(sink, protocol=4).dump(value))
        keep(f"{stem}.txt", "text", lambda sink: sink.write(reprlib.Repr().repr(value).encode("utf-8", "replace")))
        return kept


def check_return_type(annotation: Any) -> None:
    """
    Before the user's code starts: are the packages there that its annotated result will need?

    :raises JobMisconfigured: one is missing; better now than after nine hours.
    """
    kind = bare(annotation)
    for member in (kind, *map(bare, field_annotations(kind).values())):
        name = _annotated_name(member)
        row = codec_for_type_name(name) if name else None
        if row is None:
            continue
        try:
            require(row.packages_of(name), f"to keep a result of type {name}")
        except JobMisconfigured as error:
            raise JobMisconfigured(f"before the step's code was started: {error.what}", error.remedy) from None


def _annotated_name(annotation: Any) -> str:
    """The name by which the codec table knows an annotation; empty for what only a value can tell."""
    origin, member = typing.get_origin(annotation), argument(annotation, 1)
    if isinstance(origin, type) and issubclass(origin, dict):
        return f"dict[{type_name(member)}]" if isinstance(member, type) else "dict"
    return type_name(annotation) if isinstance(annotation, type) else ""


def object_name(name: str) -> str:
    """A name that every store and file system takes; different names stay different."""
    if re.fullmatch(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}", name) and not set(name) <= {"."}:
        return name
    import hashlib

    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:80]}-{digest[:12]}"


_HINTS = {
    "generator": "collect it into a list, or write a file",
    "async_generator": "collect it into a list, or write a file",
    "function": "return data, not code",
}


def _no_model(name: str, word: Model, value: Any) -> tuple[str, str]:
    return (
        f"the output {name!r} is annotated as the model {word.name!r}, and a {type_name(type(value))} is data",
        f"return a model of a known framework or a Path to the model's file or folder, or say Output({word.name!r})",
    )


def _no_codec(value: Any) -> tuple[str, str]:
    name = type_name(type(value))
    what = f"the step returned a value of type {name}, which no codec takes"
    if isinstance(value, (dict, list, tuple)):
        try:
            encode(plain(value))
        except NotPlain as error:
            what = f"the step returned a {name} that is not plain JSON: {error}"
        except RecursionError:
            what = f"the step returned a {name} that contains itself"
    members = value.values() if isinstance(value, dict) else ()
    hint = way_out(value) or next(filter(None, map(way_out, members)), "") or _HINTS.get(name)
    ways = "return a supported type (JSON, text, bytes, a pandas, polars or Arrow frame, a NumPy array, a model of a "
    ways += "known framework; a dict of them with multiple_outputs), or write a file and return its Path"
    return what, f"{hint}; or {ways}" if hint else ways
