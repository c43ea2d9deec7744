"""The ``local`` backend: a step as a process of its worker's host, with the same bundle and runtime as anywhere."""
