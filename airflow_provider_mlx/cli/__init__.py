"""Commands: ``python -m airflow_provider_mlx …`` everywhere, ``airflow mlx …`` from Airflow 3.2."""
