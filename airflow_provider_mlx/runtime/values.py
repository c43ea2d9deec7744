"""The two references that a step's code may hold: an artifact (ours, hashed) and a dataset (the user's, by URI)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Iterator, Mapping  # noqa: UP035  (Python 3.9 evaluates these)

TAG = "mlx"
ARTIFACT_TAG = "artifact/1"
DATASET_TAG = "dataset/1"


@dataclass(frozen=True)
class Dataset:
    """
    Data by URI, passed by reference: neither copied nor hashed by us.

    :param uri: where the data lies, as ``s3://lake/churn.parquet`` or ``file:///data/churn.csv``.
    :param version: the store's own version or ETag, if it is known.

    As an argument it reaches the step as a ``Dataset``; the step's code opens ``.uri`` with the library of its choice.
    """

    uri: str
    version: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """The plain JSON that stands for this dataset in XCom and in ``context.json``."""
        return {TAG: DATASET_TAG, "uri": self.uri, "version": self.version}

    def serialize(self) -> dict[str, Any]:
        """Airflow shows and stores template fields by this method; the same JSON keeps the DAG's hash stable."""
        return self.to_wire()


@dataclass(frozen=True)
class ArtifactReference:
    """
    A typed, content-hashed reference to data in the artifact root.

    :param uri: the object's URI.
    :param sha256: hex digest of the object's bytes.
    :param size: bytes.
    :param codec: name of the codec that wrote it.
    :param type: dotted name of the value's type, as ``pandas.DataFrame``.
    :param name: the output's name, as ``return_value``.
    :param version: short form of the digest, for people and lineage.
    :param producer: the step identity that wrote it.
    """

    uri: str
    sha256: str
    size: int
    codec: str
    type: str
    name: str
    version: str
    producer: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """The plain JSON that stands for this artifact in XCom and in ``context.json``."""
        return {
            TAG: ARTIFACT_TAG,
            "uri": self.uri,
            "sha256": self.sha256,
            "size": self.size,
            "codec": self.codec,
            "type": self.type,
            "name": self.name,
            "version": self.version,
            "producer": dict(self.producer),
        }

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> ArtifactReference:
        """
        Read a reference, refusing anything that is not exactly one.

        :raises ValueError: a field is missing, unknown, or of the wrong type.
        """
        expected = {
            TAG: str, "uri": str, "sha256": str, "size": int, "codec": str, "type": str, "name": str, "version": str,
            "producer": dict,
        }  # fmt: skip
        wrong = sorted(
            {key for key, kind in expected.items() if not isinstance(value.get(key), kind)}
            | {str(key) for key in value if key not in expected}
        )
        if wrong or value[TAG] != ARTIFACT_TAG:
            raise ValueError(f"not an artifact reference: wrong or missing {', '.join(wrong) or TAG}")
        if len(value["sha256"]) != 64 or any(c not in "0123456789abcdef" for c in value["sha256"]):
            raise ValueError("not an artifact reference: sha256 is not 64 hex digits")
        return cls(**{key: value[key] for key in expected if key != TAG})


def datasets_in(value: Any) -> Iterator[Dataset]:
    """Every dataset in a value of lists, tuples, dicts and the fields of dataclasses."""
    if isinstance(value, Dataset):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        yield from datasets_in([getattr(value, item.name) for item in fields(value)])
    elif isinstance(value, dict):
        yield from datasets_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from datasets_in(item)
