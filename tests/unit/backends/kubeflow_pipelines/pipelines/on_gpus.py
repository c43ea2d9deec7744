"""A step that needs a node with a GPU, a secret and a volume."""

from kfp import dsl, kubernetes


@dsl.component(base_image="registry.example.com/ml:1")
def work(mount: str) -> str:
    return mount


@dsl.pipeline(name="on-gpus")
def on_gpus(token: str = "hugging-face"):
    task = work(mount="/data").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
    kubernetes.add_node_selector(task, label_key="pool", label_value="gpu")
    kubernetes.mount_pvc(task, pvc_name="datasets", mount_path="/data")
    kubernetes.use_secret_as_env(task, secret_name=token, secret_key_to_env={"token": "HF_TOKEN"})
