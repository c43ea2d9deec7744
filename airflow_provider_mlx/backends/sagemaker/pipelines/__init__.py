"""Executions of SageMaker pipelines as jobs."""
