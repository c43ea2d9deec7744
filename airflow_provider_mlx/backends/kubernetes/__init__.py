"""Kubernetes Jobs and TrainJobs as backends: pure plans and status tables, one thin client."""
