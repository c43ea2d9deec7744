"""Steps in real pods: what no stand-in for Argo, its executor, Kubeflow's launcher and a kubelet can show."""

from __future__ import annotations

import time

from airflow_provider_mlx.backends.base import State
from airflow_provider_mlx.backends.kubeflow_pipelines.backend import KubeflowPipelinesBackend
from airflow_provider_mlx.step.resources import Resources
from airflow_provider_mlx.testing.steps import FIRST_LINE, ORIGIN

BUSYBOX = "lab.local/busybox-like:1"

TALKS = """
    import os, time

    def run(seconds):
        print("grüße · 你好", flush=True)
        time.sleep(seconds)
        print("done", flush=True)
        return {"gpus": os.environ.get("NVIDIA_VISIBLE_DEVICES"), "user": os.getuid()}
"""


def test_a_step_runs_and_its_log_is_there_meanwhile_and_afterwards(begin, backend):
    step = begin(TALKS, arguments={"seconds": 4}, resources=Resources(gpu=1, cpu=0.5))
    step.wait_for_line("grüße · 你好")
    assert step.wait(lambda status: status.running).state is State.ACTIVE
    assert step.finish().state is State.SUCCEEDED
    assert step.log == ["grüße · 你好", "done"]
    assert step.result["outputs"]["return_value"]["value"] == {"gpus": "GPU-fake-0", "user": 0}
    assert step.error is None
    by_server = KubeflowPipelinesBackend(backend.settings.model_copy(update={"kubernetes_conn_id": ""}))
    lines = [line for line in by_server.read_log(step.handle).lines if "::mlx::" not in line]
    assert lines == step.log, "the server has it from Argo's archive"


def test_a_step_that_fails_leaves_its_error(begin):
    step = begin("def run():\n    return 1 / 0\n")
    status = step.finish()
    assert status.state is State.FAILED
    error = step.error
    assert (error["reason"], error["type"]) == ("StepFailed", "ZeroDivisionError")
    assert [(frame["file"], frame["line"]) for frame in error["frames"] if frame["user"]] == [(ORIGIN, FIRST_LINE + 1)]
    assert step.result is None


def test_the_exit_code_of_a_command_is_in_its_log_alone(begin):
    step = begin(command=("sh", "-c", "echo out of luck; exit 7"), image=BUSYBOX)
    status = step.finish()
    assert (status.state, status.exit_code, status.failure) == (State.FAILED, 7, None)
    # lines of the launcher and of Argo's executor are left out, but for one that cannot be told from others
    assert step.whole_log == ["out of luck", "Error: exit status 1"]


def test_a_step_that_is_stopped_has_no_time_to_clean_up(begin):
    source = """
        import signal, sys, time

        def run():
            signal.signal(signal.SIGTERM, lambda *_: (print("told", flush=True), sys.exit(0)))
            print("started", flush=True)
            time.sleep(300)
    """
    step = begin(source)
    step.wait_for_line("started")
    step.backend.cancel(step.handle)
    assert step.finish().state is State.STOPPED
    assert step.log == ["started"]
    assert step.result is None


def test_a_step_that_takes_too_much_memory(begin):
    source = "def run():\n    held = [bytearray(64 * 1024 * 1024) for _ in range(64)]\n    return len(held)\n"
    status = begin(source, resources=Resources(memory="256Mi")).finish()
    assert (status.state, status.failure) == (State.FAILED, "OutOfMemory")


def test_a_step_that_takes_too_long_for_its_pod(begin):
    source = "import time\n\ndef run():\n    time.sleep(300)\n"
    status = begin(source, resources=Resources(timeout="10s"), native_limit=8).finish()
    assert (status.state, status.failure) == (State.FAILED, "JobTimeout")


def test_an_image_that_cannot_be_pulled_says_so_while_it_waits(begin):
    step = begin(image="registry.example.com/nobody:1")
    status = step.wait(lambda status: "Pull" in status.reason)
    assert (status.state, status.running) == (State.ACTIVE, False)
    assert "registry.example.com/nobody:1" in status.reason
    step.backend.cancel(step.handle)
    assert step.finish().state is State.STOPPED


def test_a_secret_that_is_not_there_says_so_while_it_waits(begin):
    step = begin(command=("true",), image=BUSYBOX, secrets={"TOKEN": {"name": "nobody", "key": "token"}})
    status = step.wait(lambda status: "nobody" in status.reason)
    assert (status.state, status.running) == (State.ACTIVE, False)


AGAIN = """
    import os, boto3

    def run(bucket, key):
        client = boto3.client("s3")
        if client.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"] == 0:
            client.put_object(Bucket=bucket, Key=key)
            raise OSError("the first time")
        return "the second time"
"""


def test_a_run_that_failed_and_is_retried_on_the_page(begin, kubeflow_in_pods):
    step = begin(AGAIN, arguments={"bucket": "artifacts", "key": "it-ran-before"})
    assert step.finish().state is State.FAILED
    before = kubeflow_in_pods.run(step.run_id)
    kubeflow_in_pods.request("POST", f"/apis/v2beta1/runs/{step.run_id}:retry", {}).raise_for_status()
    seen = step.wait(lambda status: status.state is State.ACTIVE, seconds=20)
    assert not seen.stopping
    assert step.finish().state is State.SUCCEEDED
    after = kubeflow_in_pods.run(step.run_id)
    assert after["finished_at"] > before["finished_at"]
    assert step.result["outputs"]["return_value"]["value"] == "the second time"
    assert step.error["type"] == "OSError", "what the first one has left stays"


def test_a_run_that_somebody_deleted_is_no_more(begin, kubeflow_in_pods):
    step = begin("import time\n\ndef run():\n    print('started', flush=True)\n    time.sleep(300)\n")
    step.wait_for_line("started")
    kubeflow_in_pods.request("DELETE", f"/apis/v2beta1/runs/{step.run_id}").raise_for_status()
    assert step.backend.find(step.handle.name) is None
    end = time.monotonic() + 30
    while kubeflow_in_pods.pods(step.run_id):
        assert time.monotonic() < end, "its pods go with it"
        time.sleep(0.2)


def test_a_command_that_succeeds_has_a_result(begin):
    step = begin(command=("true",), image=BUSYBOX)
    assert step.finish().state is State.SUCCEEDED
    assert step.result["outputs"]["return_value"]["value"] is None
