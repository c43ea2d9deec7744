"""The datasets of a step: found among its arguments, its outputs and what its code reported; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    dataset_type_dataset,
    dataset_version_dataset,
    datasource_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    symlinks_dataset,
)

from airflow_provider_mlx.runtime.codecs import MODEL, codec_named
from airflow_provider_mlx.runtime.values import ARTIFACT_TAG, DATASET_TAG, TAG, ArtifactReference, Dataset

from .custom_facets import PRODUCER, MlxModelDatasetFacet
from .names import DatasetName, canonical, output_name

Found = ArtifactReference | Dataset
D = TypeVar("D", InputDataset, OutputDataset)

_DEPTH: Final = 32
"""Of nested arguments that are looked through; deeper ones name no dataset."""


@dataclass(frozen=True)
class Traffic:
    """What a step reads and writes, each dataset once."""

    inputs: tuple[InputDataset, ...] = ()
    outputs: tuple[OutputDataset, ...] = ()


def references(value: Any, depth: int = 0) -> Iterator[Found]:
    """
    Every artifact and dataset in a value: our classes, their plain JSON, artifacts of plain tasks, Airflow's assets.

    Tolerant, since it looks at what was not checked yet: what is malformed is nothing.
    """
    if depth > _DEPTH or value is None or isinstance(value, (str, bytes, int, float)):
        return
    if isinstance(value, (ArtifactReference, Dataset)):
        yield value
    elif isinstance(value, Mapping):
        if isinstance(value.get(TAG), str):
            found = _tagged(value)
            if found is not None:
                yield found
            return
        for item in value.values():
            yield from references(item, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from references(item, depth + 1)
    elif isinstance(getattr(value, "reference", None), ArtifactReference):
        yield value.reference
    elif isinstance(getattr(value, "uri", None), str) and type(value).__module__.startswith("airflow"):
        yield Dataset(value.uri)


def _tagged(value: Mapping[str, Any]) -> Found | None:
    try:
        if value[TAG] == ARTIFACT_TAG:
            return ArtifactReference.from_wire(value)
        if value[TAG] == DATASET_TAG and isinstance(value["uri"], str):
            version = value.get("version")
            return Dataset(value["uri"], version if isinstance(version, str) else None)
    except (KeyError, ValueError):
        return None
    return None


def traffic(
    arguments: Any,
    *,
    outputs: Iterable[ArtifactReference] = (),
    reported: Any = None,
    task: tuple[str, str] | None = None,
) -> Traffic:
    """
    The datasets of one attempt.

    :param arguments: rendered arguments, in wire form or not.
    :param outputs: what it returned.
    :param reported: ``datasets`` of ``result.json``: what its code said it read and wrote.
    :param task: DAG and task; an artifact that another task made and that was handed on is no output.
    """
    said = reported if isinstance(reported, Mapping) else {}
    # What the job reported knows versions that the arguments do not; each dataset counts once, as it comes first.
    read = [*references(said.get("read")), *references(arguments)]
    made = [item for item in outputs if task is None or _made_by(item, task)]
    written = [*made, *references(said.get("written"))]
    inputs, results = map(as_input, read), map(as_output, written)
    return Traffic(unique(item for item in inputs if item), unique(item for item in results if item))


def _made_by(reference: ArtifactReference, task: tuple[str, str]) -> bool:
    producer = reference.producer
    return not producer or (producer.get("dag_id"), producer.get("task_id")) == task


def unique(found: Iterable[D]) -> tuple[D, ...]:
    """Each dataset once, the first that says it."""
    first: dict[tuple[str, str], D] = {}
    for item in found:
        first.setdefault((item.namespace, item.name), item)
    return tuple(first.values())


def as_input(found: Found) -> InputDataset | None:
    """An input; ``None`` for a URI that names nothing."""
    described = _described(found)
    if described is None:
        return None
    name, facets = described
    dataset = InputDataset(name.namespace, name.name, facets=facets)
    if isinstance(found, ArtifactReference):
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            size=found.size, fileCount=1, producer=PRODUCER
        )
        dataset.inputFacets = {"inputStatistics": statistics}
    return dataset


def as_output(found: Found) -> OutputDataset | None:
    """An output; ``None`` for a URI that names nothing."""
    described = _described(found)
    if described is None:
        return None
    name, facets = described
    dataset = OutputDataset(name.namespace, name.name, facets=facets)
    if isinstance(found, ArtifactReference):
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            size=found.size, fileCount=1, producer=PRODUCER
        )
        dataset.outputFacets = {"outputStatistics": statistics}
    return dataset


def _described(found: Found) -> tuple[DatasetName, dict[str, DatasetFacet]] | None:
    try:
        if isinstance(found, Dataset):
            name = place = canonical(found.uri)
        else:
            name, place = output_name(found)
    except ValueError:
        return None
    facets: dict[str, DatasetFacet] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(
            name=place.namespace, uri=place.uri, producer=PRODUCER
        )
    }  # fmt: skip
    version = found.version
    if version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=version, producer=PRODUCER
        )  # fmt: skip
    if name != place:
        same = symlinks_dataset.Identifier(namespace=place.namespace, name=place.name, type="FILE")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet(identifiers=[same], producer=PRODUCER)
    if isinstance(found, ArtifactReference):
        facets |= _kind_of(found)
    return name, facets


def _kind_of(reference: ArtifactReference) -> dict[str, DatasetFacet]:
    """Whether an artifact is a file or a model, and which model."""
    codec = codec_named(reference.codec)
    is_model = codec is not None and codec.kind == MODEL
    kind = dataset_type_dataset.DatasetTypeDatasetFacet(
        datasetType="MODEL" if is_model else "FILE", subType="ARTIFACT" if is_model else None, producer=PRODUCER
    )
    facets: dict[str, DatasetFacet] = {"datasetType": kind}
    if is_model:
        facets["mlx_model"] = MlxModelDatasetFacet(
            framework=reference.type.partition(".")[0] or reference.codec, format=reference.codec, name=reference.name,
            version=reference.version, digest=f"sha256:{reference.sha256}", size=reference.size,
            type=reference.type, producer=PRODUCER,
        )  # fmt: skip
    return facets
