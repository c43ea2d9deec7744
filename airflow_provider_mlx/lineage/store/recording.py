"""A part of the graph in one HTML file: the page ``ML lineage``, and the answers that it would ask the API for."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .graph import Graph, origin
from .runs import runs_of, versions_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ORIGINS: Final = 3
"""Of each dataset, the latest versions whose origin is in the file."""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
</head>
<body>
<div id="root"></div>
<script type="application/json" id="mlx-lineage">{recorded}</script>
<script>{script}</script>
</body>
</html>
"""


def answers_of(connection: Connection, graph: Graph) -> Iterator[tuple[str, Any]]:
    """What the page asks about a graph's nodes, by path of the API, and what is answered."""
    for node in graph.nodes:
        if node.kind == "job":
            yield f"nodes/{node.key}/runs", runs_of(connection, node.key)
            continue
        versions = versions_of(connection, node.key)
        yield f"nodes/{node.key}/versions", versions
        for one in versions[:_ORIGINS]:
            made = [asdict(it) for it in origin(connection, node.key, one["version"])]
            yield f"nodes/{node.key}/versions/{quote(one['version'], safe=_UNQUOTED)}/origin", made


_UNQUOTED: Final = "!'()*~"
"""Besides letters, digits and ``-._``: what ``encodeURIComponent`` leaves as it is."""


def page_of(title: str, graph: Graph, answers: dict[str, Any], script: str) -> str:
    """
    The file.

    It may run its own script and the layout's worker, and may reach nothing, whatever is in the events.

    :param script: of the page, which is built from ``ui/``.
    """
    script = script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    recorded = json.dumps({"title": title, "graph": asdict(graph), "answers": answers})
    return _PAGE.format(
        policy=f"default-src 'none'; script-src 'sha256-{digest}' blob: data:; worker-src blob: data:; "
        "style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'",
        title=html.escape(title), recorded=recorded.replace("<", "\\u003c"), script=script,
    )  # fmt: skip
