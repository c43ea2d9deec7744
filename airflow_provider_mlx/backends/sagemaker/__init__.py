"""SageMaker training and processing jobs as a backend: pure plans, a table of instance types, one thin client."""
