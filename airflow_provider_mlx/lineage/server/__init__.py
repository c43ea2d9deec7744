"""The receiver of OpenLineage events and the questions about them, in Airflow's API server (3.2 and newer)."""
