"""What a server said with an exception: the status of a response, and when to ask again.

Rules: nothing here raises, whatever the exception's own attributes do; no library is imported. Libraries differ in
where they keep the two:

* ``status_code``: openai, anthropic, azure; ``status``: aiohttp, urllib; ``code``: urllib, google.api_core;
* ``response.status_code``: requests, httpx, huggingface_hub; ``response.status``, ``resp.status``: googleapiclient;
* ``response["ResponseMetadata"]["HTTPStatusCode"]``: botocore, whose throttled calls may say 400 and a code.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

TOO_MANY_REQUESTS = 429
_STATUS_FIELDS = ("status_code", "status", "code")
_RESPONSE_FIELDS = ("response", "resp")
# botocore/retries/standard.py, throttled and transient error codes: services send them with 400, 403 and 509 too.
_THROTTLED = frozenset(
    {
        "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottledException", "RequestThrottled",
        "TooManyRequestsException", "ProvisionedThroughputExceededException", "TransactionInProgressException",
        "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown",
        "PriorRequestNotComplete", "EC2ThrottledException", "RequestTimeout", "RequestTimeoutException",
    }
)  # fmt: skip


def http_status(error: BaseException) -> int | None:
    """The HTTP status that ``error`` carries, or None."""
    if isinstance(error, SystemExit):
        return None  # its code is the process's
    for holder in _holders(error):
        if isinstance(holder, Mapping):
            status = _status_of_reply(holder)
        else:
            status = next((found for name in _STATUS_FIELDS if (found := _status(_get(holder, name)))), None)
        if status is not None:
            return status
    return None


def retry_after_s(error: BaseException) -> float | None:
    """Seconds until one may ask again: the exception's own ``retry_after``, else the header of its response."""
    own = _seconds(_get(error, "retry_after"))
    if own is not None:
        return own
    for holder in _holders(error):
        headers = _headers(holder)
        for name in ("retry-after", "Retry-After"):
            seconds = _seconds(_item(headers, name))
            if seconds is not None:
                return seconds
    return None


def _holders(error: BaseException) -> Iterator[Any]:
    """The exception, and the responses that it may carry."""
    yield error
    for name in _RESPONSE_FIELDS:
        response = _get(error, name)
        if response is not None:
            yield response


def _status_of_reply(reply: Mapping[Any, Any]) -> int | None:
    """Of a reply as botocore parses it."""
    if _item(_item(reply, "Error"), "Code") in _THROTTLED:
        return TOO_MANY_REQUESTS
    return _status(_item(_item(reply, "ResponseMetadata"), "HTTPStatusCode"))


def _headers(holder: Any) -> Any:
    if isinstance(holder, Mapping):
        return _item(_item(holder, "ResponseMetadata"), "HTTPHeaders")
    return _get(holder, "headers")


def _status(found: Any) -> int | None:
    return int(found) if isinstance(found, int) and not isinstance(found, bool) and 100 <= found <= 599 else None


def _seconds(wanted: Any) -> float | None:
    """Seconds of a number, a timedelta, or a header's text: a number or a date (RFC 9110, 10.2.3)."""
    with contextlib.suppress(Exception):  # a person put it there: it may be anything, and do what it likes
        if isinstance(wanted, timedelta):
            wanted = wanted.total_seconds()
        elif isinstance(wanted, str) and not wanted.strip().replace(".", "", 1).isdigit():
            wanted = max(0.0, (parsedate_to_datetime(wanted) - datetime.now(UTC)).total_seconds())
        seconds = float(wanted)
        return seconds if 0 <= seconds < float("inf") else None
    return None


def _get(holder: Any, name: str) -> Any:
    with contextlib.suppress(Exception):  # a property of theirs may raise what it likes
        return getattr(holder, name, None)
    return None


def _item(holder: Any, name: str) -> Any:
    with contextlib.suppress(Exception):  # likewise a mapping of theirs
        return holder.get(name) if holder is not None else None
    return None
