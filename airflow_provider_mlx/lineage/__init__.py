"""
What a step read, what it wrote and what became of it, as OpenLineage events.

``names``, ``scrub``, ``datasets``, ``facets``, ``events``, ``spool`` and ``emitter`` know nothing of Airflow;
``provider`` and ``operator_facets`` face its OpenLineage provider; ``port`` is what the life of a job tells.
"""
