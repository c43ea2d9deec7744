"""
ListTrainingJobs and ListProcessingJobs: filters, order, pages.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ListTrainingJobs.html and API_ListProcessingJobs.html.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from .errors import validation
from .jobs import Job

DEFAULT_RESULTS: Final = 10
_ORDERS: Final[Mapping[str, Callable[[Job], Any]]] = {
    "CreationTime": lambda job: (job.created, job.number),
    "Name": lambda job: (job.name,),
    "Status": lambda job: (job.status, job.created, job.number),
}
_TIMES: Final[Sequence[tuple[str, Callable[[Job, datetime], bool]]]] = (
    ("CreationTimeAfter", lambda job, at: job.created > at),
    ("CreationTimeBefore", lambda job, at: job.created < at),
    ("LastModifiedTimeAfter", lambda job, at: job.modified > at),
    ("LastModifiedTimeBefore", lambda job, at: job.modified < at),
)


def list_jobs(jobs: Iterable[Job], asked: Mapping[str, Any], *, status_after_page: bool) -> dict[str, Any]:
    """
    One page.

    The order by creation is stable while jobs come; pages in the order of status or name may miss or repeat a job that
    changes between them, as AWS's may.

    :param status_after_page: ListTrainingJobs says that "when StatusEquals and MaxResults are set at the same time, the
        MaxResults number of training jobs are first retrieved ignoring the StatusEquals parameter and then they are
        filtered": pages may be short or empty though there are more. ListProcessingJobs says nothing of the kind.
    """
    found = [job for job in jobs if _matches(job, asked)]
    wanted = asked.get("StatusEquals")
    late = status_after_page and "MaxResults" in asked
    if wanted and not late:
        found = [job for job in found if job.status == wanted]
    # the parameter's own page says that Ascending is the default; the example on the operation's page is of the newest first
    order = _ORDERS[asked.get("SortBy", "CreationTime")]
    found.sort(key=order, reverse=asked.get("SortOrder", "Ascending") == "Descending")
    start = _start(asked, found)
    page = found[start : start + asked.get("MaxResults", DEFAULT_RESULTS)]
    more = start + len(page) < len(found)
    shown = [job for job in page if job.status == wanted] if wanted and late else page
    prefix = "Training" if status_after_page else "Processing"
    answer: dict[str, Any] = {f"{prefix}JobSummaries": [job.summary() for job in shown]}
    if more:
        answer["NextToken"] = _token(asked, page[-1])
    return answer


def _matches(job: Job, asked: Mapping[str, Any]) -> bool:
    if asked.get("NameContains", "") not in job.name:
        return False
    for name, holds in _TIMES:
        if name in asked and not holds(job, datetime.fromtimestamp(asked[name], UTC)):
            return False
    wanted = asked.get("WarmPoolStatusEquals")
    return not wanted or job.summary().get("WarmPoolStatus", {}).get("Status") == wanted


def _token(asked: Mapping[str, Any], last: Job) -> str:
    return base64.urlsafe_b64encode(json.dumps([_question(asked), last.name]).encode()).decode()


def _start(asked: Mapping[str, Any], found: Sequence[Job]) -> int:
    """Where a token goes on: after a job, by its name; the rest of the request must be what it was."""
    if "NextToken" not in asked:
        return 0
    try:
        question, name = json.loads(base64.urlsafe_b64decode(asked["NextToken"]))
    except ValueError:
        raise validation("The pagination token is invalid") from None
    if question != _question(asked):
        raise validation("The pagination token is of another request")
    return next((place + 1 for place, job in enumerate(found) if job.name == name), len(found))


def _question(asked: Mapping[str, Any]) -> str:
    return json.dumps(
        {name: value for name, value in asked.items() if name not in ("NextToken", "MaxResults")}, sort_keys=True
    )
