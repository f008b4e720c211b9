"""Error codes as HTTP statuses, and errors as JSON bodies ``{"code", "message", "details"}``."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from tornado.web import HTTPError

from phasenb.errors import (
    ConfigError,
    LaunchesPaused,
    PhasenbError,
    QueueFull,
    RateLimited,
    StoreUnavailable,
    WorkerLost,
)
from phasenb.web.http_protocol import STATUS
from phasenb.web.message_handler import error_message

_HTTP_CODES = {
    400: "bad_message",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
}


_SOON_S = 5.0  # what nobody can know: when a queue has room, a store is mended, a worker can be started


def retry_after_s(error: BaseException | None, now: datetime) -> int | None:
    """The ``Retry-After`` of an answer, in whole seconds; None where to wait mends nothing."""
    if isinstance(error, RateLimited):
        wait_s = error.retry_after_s
    elif isinstance(error, LaunchesPaused):
        wait_s = (datetime.fromisoformat(error.until) - now).total_seconds()
    elif isinstance(error, QueueFull) and error.retry_after_s is not None:
        wait_s = error.retry_after_s
    elif isinstance(error, QueueFull | StoreUnavailable | WorkerLost):
        wait_s = _SOON_S
    else:
        return None
    return max(1, math.ceil(wait_s))


def as_response(error: BaseException | None, status: int) -> tuple[int, dict[str, Any]]:
    """(status, body) for what a handler raised; what nobody expected is logged, and told by the log's id only."""
    if isinstance(error, HTTPError):
        code = _HTTP_CODES.get(error.status_code, "internal")
        return error.status_code, {"code": code, "message": error.log_message or error.reason or code, "details": {}}
    if isinstance(error, ConfigError):
        body = {"code": "config_error", "message": str(error), "details": error.details}
        return STATUS["config_error"], body
    if isinstance(error, Exception):
        told = error_message(None, error)
        body = {"code": told.code, "message": told.message, "details": told.details}
        return (STATUS.get(told.code, 500) if isinstance(error, PhasenbError) else 500), body
    return status, {"code": _HTTP_CODES.get(status, "internal"), "message": "the request failed", "details": {}}
