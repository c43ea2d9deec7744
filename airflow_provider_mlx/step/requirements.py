"""What must be installed besides the image's packages: what the step names, and what its codecs need; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from airflow_provider_mlx.runtime.codecs import SAME_PACKAGES, codec_named, packages_for
from airflow_provider_mlx.runtime.requirements import normal_name, requirement_name
from airflow_provider_mlx.runtime.values import ArtifactReference


def with_codec_packages(
    own: Sequence[str], *, return_types: Iterable[str], inputs: Iterable[ArtifactReference]
) -> tuple[str, ...]:
    """
    A step's requirements, with the packages that the codecs of its inputs and of its results need.

    None if the step names none: then the image has everything, and the job checks for those packages before it starts.
    """
    if not own:
        return ()
    needed = {package for dotted in return_types for package in packages_for(dotted)}
    for reference in inputs:
        codec = codec_named(reference.codec)
        needed |= set(codec.packages_of(reference.type)) if codec else set()
    present = {SAME_PACKAGES.get(name, name) for name in map(requirement_name, own)}
    return (*own, *sorted(package for package in needed if normal_name(package) not in present))
