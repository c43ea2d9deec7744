"""A dict with a key `mlx` of its own."""


def make():
    return {"mlx": "artifact/1", "n": float("inf"), "a": [{"mlx": None}]}
