"""Times as this API writes them: to the second, and 1970 for one that is not set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_UNSET: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(text: object) -> datetime | None:
    """A time of the API or of a Workflow, aware; ``None`` for one that is not set."""
    if not isinstance(text, str) or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return None if found == _UNSET else found


def wire_time(time: datetime) -> str:
    """An aware time as the API takes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
