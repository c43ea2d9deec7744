"""A folder that the step wrote."""

import os
from pathlib import Path


def make():
    root = Path("out")
    (root / "deep/empty").mkdir(parents=True, exist_ok=True)
    (root / "deep/a.txt").write_text("A" * 20000)
    (root / "run.sh").write_text("#!")
    (root / "run.sh").chmod(0o755)
    return root


def same(made, got):
    assert below(got) == below(made)


def below(root):
    return sorted(
        (str(path.relative_to(root)), path.read_bytes() if path.is_file() else None, os.access(path, os.X_OK))
        for path in root.rglob("*")
    )


def refused():
    root = Path("linked")
    root.mkdir(exist_ok=True)
    if not (root / "link").is_symlink():
        (root / "link").symlink_to("/etc")
    return {"one with a link in it": root}
