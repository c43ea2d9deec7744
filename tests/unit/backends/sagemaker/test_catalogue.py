"""SageMaker's instance types: the table against its sources, and what a stack's list of them means."""

from __future__ import annotations

import json

import pytest

from airflow_provider_mlx.backends.sagemaker.catalogue import (
    ALSO,
    FAMILIES,
    RELUCTANT,
    catalogue,
    list_problems,
    listed_types,
    types_for,
)
from tools import instance_catalogue as tool

RUN = f"the table is stale: run `{tool.COMMAND}` and read the diff"

GIB, GB = 2**30, 10**9


def test_every_type_of_botocores_enums_is_in_the_table_or_among_those_without_facts():
    table = catalogue()
    held = {name: list(each.jobs) for name, each in table.types.items()}
    held |= {name: list(jobs) for name, jobs in table.without_facts.items()}
    assert held == tool.jobs_of_types(), RUN


def test_the_table_is_what_its_script_writes():
    types, without_facts = tool.tabulate(tool.jobs_of_types(), tool.shipped_facts())
    file = json.loads(tool.TABLE.read_text())
    shipped_alone = "describe-instance-types" not in file["sources"]["facts"]
    assert shipped_alone, (
        "the table knows newer facts than moto: compare with those of moto only what they have in common"
    )
    assert (types, without_facts) == (file["types"], file["without_facts"]), RUN
    assert tool.TABLE.read_text() == tool.render(types, without_facts, file["sources"]), RUN


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_gib", "gpu", "gpu_memory_gib", "accelerator", "storage_gb", "jobs"),
    [  # https://aws.amazon.com/ec2/instance-types/, and the enums for the kinds of job
        pytest.param("ml.m5.xlarge", 4, 16, "", 0, "none", 0, "tp", id="a general type"),
        pytest.param("ml.c5n.18xlarge", 72, 192, "", 0, "none", 0, "t", id="one that only training takes"),
        pytest.param("ml.r5d.large", 2, 16, "", 0, "none", 75, "tp", id="NVMe and no GPU"),
        pytest.param("ml.g4dn.xlarge", 4, 16, "T4:1", 16, "nvidia", 125, "tp", id="T4"),
        pytest.param("ml.g5.12xlarge", 48, 192, "A10G:4", 22.4, "nvidia", 3800, "tp", id="A10G"),
        pytest.param("ml.g6.xlarge", 4, 16, "L4:1", 22.4, "nvidia", 250, "tp", id="L4"),
        pytest.param("ml.g6e.48xlarge", 192, 1536, "L40S:8", 44.7, "nvidia", 7600, "tp", id="L40S"),
        pytest.param("ml.p3dn.24xlarge", 96, 768, "V100-32GB:8", 32, "nvidia", 1800, "t", id="V100 of 32 GB"),
        pytest.param("ml.p4d.24xlarge", 96, 1152, "A100:8", 40, "nvidia", 8000, "t", id="A100 of 40 GB"),
        pytest.param("ml.p4de.24xlarge", 96, 1152, "A100-80GB:8", 80, "nvidia", 8000, "t", id="A100 of 80 GB"),
        pytest.param("ml.p5.4xlarge", 16, 256, "H100:1", 80, "nvidia", 3800, "tp", id="one H100"),
        pytest.param("ml.p5en.48xlarge", 192, 2048, "H200:8", 141, "nvidia", 30400, "t", id="H200"),
        pytest.param("ml.p6-b200.48xlarge", 192, 2048, "B200:8", 179, "nvidia", 30400, "t", id="B200"),
        pytest.param("ml.g7e.2xlarge", 8, 64, "RTX-PRO-6000:1", 96, "nvidia", 1900, "tp", id="a name without blanks"),
        pytest.param("ml.trn1.32xlarge", 128, 512, "Trainium:16", 32, "neuron", 7600, "t", id="Trainium"),
        pytest.param("ml.trn2.48xlarge", 192, 2048, "Trainium2:16", 96, "neuron", 7600, "t", id="EC2 is corrected"),
    ],
)
def test_facts(name, vcpus, memory_gib, gpu, gpu_memory_gib, accelerator, storage_gb, jobs):
    found = catalogue().types[name]
    assert (found.vcpus, found.memory_bytes / GIB, found.gpu) == (vcpus, memory_gib, gpu)
    assert found.gpu_memory_bytes / GIB == pytest.approx(gpu_memory_gib, rel=0.01)
    assert (found.accelerator, found.storage_bytes / GB) == (accelerator, storage_gb)
    assert "".join(job[0] for job in found.jobs) == jobs


def test_the_table_says_where_and_when_its_facts_are_from():
    sources = catalogue().sources
    assert sources["written"].startswith("20")
    assert sources["names and jobs"].startswith("botocore ")
    assert sources["facts"].startswith("moto ")


def test_every_alias_means_a_model_of_the_table_or_one_whose_types_have_no_facts():
    models = {each.gpu_model for each in catalogue().types.values()}
    means = {model for meant in ALSO.values() for model in meant}
    assert means - models == {"V100"}  # of p3, which EC2 describes no more
    assert all(alias == alias.casefold() for alias in ALSO)


def test_every_family_has_its_place_in_the_order():
    families = {each.family for each in catalogue().types.values()}
    assert families <= {*FAMILIES, *RELUCTANT}, "say in catalogue.py where the new families come"
    assert not {*FAMILIES} & {*RELUCTANT}


@pytest.mark.parametrize(
    ("model", "name", "is_it"),
    [
        pytest.param("L4", "ml.g6.xlarge", True, id="the model itself"),
        pytest.param("l40s", "ml.g6e.xlarge", True, id="capitals do not count"),
        pytest.param("L4", "ml.g6e.xlarge", False, id="L4 is no L40S"),
        pytest.param("A100", "ml.p4de.24xlarge", True, id="an A100 with 80 GB is an A100"),
        pytest.param("A100-40GB", "ml.p4de.24xlarge", False, id="unless 40 GB are asked for"),
        pytest.param("A100-80GB", "ml.p4d.24xlarge", False, id="an A100 with 40 GB has no 80"),
        pytest.param("V100", "ml.p3dn.24xlarge", True, id="a V100 with 32 GB is a V100"),
        pytest.param("H100-80GB", "ml.p5.48xlarge", True, id="the memory may be named"),
        pytest.param("L4", "ml.m5.xlarge", False, id="no GPU is no model"),
    ],
)
def test_models(model, name, is_it):
    assert catalogue().types[name].is_model(model) is is_it


@pytest.mark.parametrize(
    ("listed", "job", "names"),
    [
        pytest.param(
            ["ml.g5.2xlarge", "ml.m5.large"],
            "training",
            ["ml.g5.2xlarge", "ml.m5.large"],
            id="names keep their order",
        ),
        pytest.param(
            ["ml.g5.*"],
            "training",
            [f"ml.g5.{size}xlarge" for size in ("", 2, 4, 8, 16, 12, 24, 48)],
            id="a pattern stands for its types by number of GPUs and size",
        ),
        pytest.param(
            ["ml.g6.2xlarge", "ml.g6.?xlarge"],
            "processing",
            ["ml.g6.2xlarge", "ml.g6.4xlarge", "ml.g6.8xlarge"],
            id="each type comes once",
        ),
        pytest.param(["ml.p5*.*"], "processing", ["ml.p5.4xlarge"], id="a pattern means what the kind of job takes"),
        pytest.param(["ml.p3*"], "training", ["ml.p3dn.24xlarge"], id="a pattern passes over types without facts"),
    ],
)
def test_listed(listed, job, names):
    assert [each.name for each in listed_types(listed, job)] == names
    assert list_problems(listed, job) == []


@pytest.mark.parametrize(
    ("entry", "job", "message"),
    [
        pytest.param(
            "ml.g6.xlarg",
            "training",
            "instances: ml.g6.xlarg: there is no instance type `ml.g6.xlarg` → did you mean `ml.g6.xlarge`?",
            id="misspelt",
        ),
        pytest.param(
            "g5.xlarge",
            "training",
            "instances: g5.xlarge: there is no instance type `g5.xlarge` → did you mean `ml.g5.xlarge`?",
            id="EC2's own name",
        ),
        pytest.param(
            "ml.g9.*",
            "training",
            "instances: ml.g9.*: no instance type matches `ml.g9.*` → did you mean `ml.g7.*`?",
            id="a family that is none",
        ),
        pytest.param(
            "ml.p4d.24xlarge",
            "processing",
            "instances: ml.p4d.24xlarge: only training jobs take ml.p4d.24xlarge → use a target of training jobs",
            id="of another kind of job",
        ),
        pytest.param(
            "ml.p3.2xlarge",
            "training",
            "instances: ml.p3.2xlarge: training jobs take ml.p3.2xlarge, but what they have is not known, so no step "
            "can be fitted to them → take it off the list; the target's `request_override` may still name it",
            id="without facts",
        ),
    ],
)
def test_refused(entry, job, message):
    assert [str(problem) for problem in list_problems([entry], job)] == [message]


def test_what_looks_like_nothing_is_told_the_families():
    (problem,) = list_problems(["a-gpu"], "processing")
    assert "ml.m5.*" in problem.remedy
    assert "ml.c5n.*" not in problem.remedy


def test_all_problems_of_a_list_come_at_once_and_each_once():
    problems = list_problems(["ml.g6.xlarg", "ml.m5.xlarge", "ml.x.*", "ml.g6.xlarg"], "training")
    assert [problem.field for problem in problems] == ["instances: ml.g6.xlarg", "instances: ml.x.*"]


def test_types_without_accelerators_are_offered_first_and_reluctant_families_last():
    names = [each.name for each in types_for("training")]
    without = [name for name in names if not catalogue().types[name].gpus]
    assert names[: len(without)] == without
    assert names.index("ml.m5.large") < names.index("ml.m5.24xlarge") < names.index("ml.t3.medium")
    assert names.index("ml.g5.48xlarge") < names.index("ml.p3dn.24xlarge")


def described(name="g5.xlarge", **facts):
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 16_384},
        "NetworkInfo": {"EfaSupported": False},
        **facts,
    }


def gpus(manufacturer, name, count=1):
    device = {"Manufacturer": manufacturer, "Name": name, "Count": count, "MemoryInfo": {"SizeInMiB": 16_384}}
    return {"GpuInfo": {"Gpus": [device]}}


@pytest.mark.parametrize(
    ("facts", "row"),
    [
        pytest.param({}, {}, id="what a type does not have is left out"),
        pytest.param(
            gpus("NVIDIA", "T4"),
            {"gpus": 1, "gpu_model": "T4", "gpu_memory_mib": 16_384, "accelerator": "nvidia"},
            id="NVIDIA",
        ),
        pytest.param(
            gpus("Habana", "Gaudi HL-205", 8),
            {"gpus": 8, "gpu_model": "Gaudi HL-205", "gpu_memory_mib": 16_384, "accelerator": "habana"},
            id="Habana",
        ),
        pytest.param({"InstanceStorageInfo": {"TotalSizeInGB": 250}}, {"storage_gb": 250}, id="NVMe"),
        pytest.param(
            {"NetworkInfo": {"EfaInfo": {"MaximumEfaInterfaces": 4}}},
            {"efa_interfaces": 4},
            id="Elastic Fabric Adapter",
        ),
    ],
)
def test_a_row_of_the_script(facts, row):
    found = tool.row("ml.g5.xlarge", described(**facts), ["training"])
    assert found == {"vcpus": 4, "memory_mib": 16_384, **row, "jobs": ["training"]}


def test_the_script_stops_at_accelerators_that_it_does_not_know():
    with pytest.raises(ValueError, match="does not know"):
        tool.row("ml.g4ad.xlarge", described(**gpus("AMD", "Radeon Pro V520")), ["training"])


def test_newer_facts_come_first_and_complete_the_table(tmp_path, monkeypatch, capsys):
    newer = tmp_path / "us-east-1.json"
    newer.write_text(json.dumps({"InstanceTypes": [described("p3.2xlarge", **gpus("NVIDIA", "V100"))]}))
    table = tmp_path / "instances.json"
    monkeypatch.setattr(tool, "TABLE", table)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    assert tool.main(["--check", "--ec2", str(newer)]) == 1
    assert not table.exists()
    assert tool.main(["--ec2", str(newer)]) == 0
    written = json.loads(table.read_text())
    assert written["types"]["ml.p3.2xlarge"]["gpu_model"] == "V100"
    assert "ml.p3.2xlarge" not in written["without_facts"]
    assert "us-east-1.json" in written["sources"]["facts"]
    assert tool.main(["--check", "--ec2", str(newer)]) == 0
    assert tool.main(["--check"]) == 1
    assert f"the table is stale: run `{tool.COMMAND}`" in capsys.readouterr().err
