"""
The embedded store: what OpenLineage events say, in tables that answer what came from what. SQLAlchemy 2, nothing of
Airflow.
"""
