"""Steps as one-task pipelines of Kubeflow Pipelines, and runs of pipelines, over plain HTTP and without its SDK."""
