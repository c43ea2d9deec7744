"""
Writes ``airflow_provider_mlx/backends/sagemaker/instances.json``: what each SageMaker instance type has.

Which types there are, and for which kind of job, says botocore's service model (the enums ``TrainingInstanceType`` and
``ProcessingInstanceType``). What a type has, says EC2: ``ml.g5.xlarge`` is EC2's ``g5.xlarge``. moto ships the answer
of EC2's DescribeInstanceTypes; newer answers come first::

    aws ec2 describe-instance-types --region us-east-1 > us-east-1.json
    python tools/instance_catalogue.py --ec2 us-east-1.json      # once per file; --check writes nothing

Types that EC2 does not describe are named by the table and left out of the choice: AWS has usually retired them.
"""

from __future__ import annotations

import argparse
import difflib
import gzip
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
TABLE: Final = ROOT / "airflow_provider_mlx" / "backends" / "sagemaker" / "instances.json"
COMMAND: Final = "python tools/instance_catalogue.py"

ENUMS: Final[Mapping[str, str]] = {"training": "TrainingInstanceType", "processing": "ProcessingInstanceType"}
"""Kind of job → the shape of SageMaker's service model that lists its instance types."""

FAMILIES: Final[Mapping[str, str]] = {"NVIDIA": "nvidia", "Habana": "habana"}
"""EC2's manufacturer of a GPU → the software that its users need. AWS's own chips are under ``NeuronInfo``."""

MODELS: Final[Mapping[tuple[str, int], str]] = {
    ("A100", 81_920): "A100-80GB",  # p4de; a p4d's A100 has 40 GB
    ("V100", 32_768): "V100-32GB",  # p3dn; a p3's V100 has 16 GB
    ("RTX PRO 4500", 32_768): "RTX-PRO-4500",  # a step's `gpu` takes no blanks
    ("RTX PRO Server 6000", 98_304): "RTX-PRO-6000",
}
"""EC2's name of a model and the memory of one in MiB → the name in ``gpu="L4:1"``, where it is another one."""

CORRECTIONS: Final[Mapping[str, Mapping[str, int]]] = {
    # EC2 says 524,288 MiB per chip. https://awsdocs-neuron.readthedocs-hosted.com/en/latest/nki/arch/trainium2_arch.html
    # says 96 GiB (read 2026-11-26), which makes the instance's 1.5 TB.
    "ml.trn2.48xlarge": {"gpu_memory_mib": 98_304},
}
"""Facts that EC2 has wrong, with the source that has them right."""

Facts = Mapping[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Write the table, or compare it; the exit status is 1 where it is stale and ``--check`` is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ec2", action="append", default=[], type=Path, metavar="FILE", help="a newer answer of EC2")
    parser.add_argument("--check", action="store_true", help="write nothing; fail with a diff where the table is stale")
    given = parser.parse_args(arguments)
    types, without_facts = tabulate(jobs_of_types(), {**shipped_facts(), **newer_facts(given.ec2)})
    now = render(types, without_facts, sources([path.name for path in given.ec2]))
    before = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    for name in without_facts:
        print(f"no facts about {name}: left out of the choice")
    if contents(now) == contents(before):
        return 0
    if given.check:
        diff = difflib.unified_diff(before.splitlines(), now.splitlines(), TABLE.name, "now", lineterm="")
        print("\n".join(diff), f"\n\nthe table is stale: run `{COMMAND}`", file=sys.stderr)
        return 1
    TABLE.write_text(now, encoding="utf-8")
    print(f"wrote {len(types)} types to {TABLE.relative_to(ROOT)}")
    return 0


def jobs_of_types() -> dict[str, list[str]]:
    """Every instance type of botocore's service model, and the kinds of job that take it."""
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    jobs: dict[str, list[str]] = {}
    for job, shape in ENUMS.items():
        for name in shapes[shape]["enum"]:
            jobs.setdefault(name, []).append(job)
    return jobs


def shipped_facts() -> dict[str, Facts]:
    """EC2's answer as moto ships it, by EC2's name."""
    packed = resources.files("moto").joinpath("ec2/resources/instance_types.json.gz").read_bytes()
    answer: dict[str, Facts] = json.loads(gzip.decompress(packed))
    return answer


def newer_facts(files: Sequence[Path]) -> dict[str, Facts]:
    """EC2's answers as its own command line writes them; of two about one type, the later file's holds."""
    answers = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    return {facts["InstanceType"]: facts for answer in answers for facts in answer["InstanceTypes"]}


def sources(files: Sequence[str]) -> dict[str, str]:
    """Where the table's facts come from, and when it was written."""
    moto = f"moto {metadata.version('moto')}, which ships EC2's DescribeInstanceTypes"
    return {
        "written": f"{datetime.now(UTC):%Y-%m-%d} by `{COMMAND}`: run it again instead of editing",
        "names and jobs": f"botocore {metadata.version('botocore')}, sagemaker, {' and '.join(ENUMS.values())}",
        "facts": ", before it ".join([moto, *(f"{name} (aws ec2 describe-instance-types)" for name in files)]),
    }


def tabulate(
    jobs: Mapping[str, list[str]], ec2: Mapping[str, Facts]
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """The rows of all types with facts, by family and size; and the jobs of those without."""
    found = {name: row(name, ec2[name.removeprefix("ml.")], jobs[name]) for name in jobs if name[3:] in ec2}
    in_order = sorted(found, key=lambda name: (name.split(".")[1], found[name]["vcpus"], name))
    return {name: found[name] for name in in_order}, {name: jobs[name] for name in sorted(set(jobs) - set(found))}


def row(name: str, facts: Facts, jobs: list[str]) -> dict[str, Any]:
    """One type's facts; what it does not have is left out."""
    found = {
        "vcpus": facts["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": facts["MemoryInfo"]["SizeInMiB"],
        **accelerators(name, facts),
        "storage_gb": facts.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        "efa_interfaces": facts["NetworkInfo"].get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
        "jobs": jobs,
    }
    return {key: value for key, value in {**found, **CORRECTIONS.get(name, {})}.items() if value}


def accelerators(name: str, facts: Facts) -> dict[str, Any]:
    """
    A type's GPUs or Neuron devices.

    :raises ValueError: it mixes models, or its manufacturer is not in :data:`FAMILIES`.
    """
    gpus = facts.get("GpuInfo", {}).get("Gpus", [])
    devices = gpus or facts.get("NeuronInfo", {}).get("NeuronDevices", [])
    if not devices:
        return {}
    if len(devices) > 1 or (gpus and gpus[0]["Manufacturer"] not in FAMILIES):
        raise ValueError(f"{name} has accelerators that this script does not know: {json.dumps(devices)}")
    (device,) = devices
    model, memory_mib = device["Name"], device["MemoryInfo"]["SizeInMiB"]
    return {
        "gpus": device["Count"],
        "gpu_model": MODELS.get((model, memory_mib), model),
        "gpu_memory_mib": memory_mib,
        "accelerator": FAMILIES[device["Manufacturer"]] if gpus else "neuron",
    }


def render(
    types: Mapping[str, Mapping[str, Any]], without_facts: Mapping[str, list[str]], facts_from: Mapping[str, str]
) -> str:
    """The file: one line per type, so that a diff shows which one changed."""

    def lines(rows: Mapping[str, object]) -> str:
        dump: Callable[[object], str] = json.dumps
        return ",\n".join(f"    {dump(key)}: {dump(value)}" for key, value in rows.items())

    parts = {"sources": facts_from, "without_facts": without_facts, "types": types}
    return "{\n" + ",\n".join(f'  "{name}": {{\n{lines(rows)}\n  }}' for name, rows in parts.items()) + "\n}\n"


def contents(text: str) -> object:
    """The table without its sources, which change with every day and every release."""
    return {key: value for key, value in json.loads(text or "{}").items() if key != "sources"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
