"""A step that logs to MLflow and says nothing of where; the stack file beside this one is written by the test."""

from airflow.sdk import dag, task


@dag(schedule=None)
def tracked():
    @task.mlx
    def train():
        import os

        import mlflow

        with mlflow.start_run():
            mlflow.log_metric("auc", 0.91)
            mlflow.log_param("characters of the token", len(os.environ["MLFLOW_TRACKING_TOKEN"]))

    @task.mlx
    def evaluate():
        import mlflow

        with mlflow.start_run(run_name="mine"):
            mlflow.log_metric("auc", 0.87)

    train() >> evaluate()


tracked()
