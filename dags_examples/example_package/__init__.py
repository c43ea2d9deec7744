"""A package beside the DAG files: what a step imports of it travels with the step."""
