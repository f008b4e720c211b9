"""What a server said with an exception, read from the exceptions that libraries raise."""

import email.message
import io
import types
import urllib.error
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import requests

from phasenb.executors.failures import error_info
from phasenb.executors.responses import http_status, retry_after_s


def of_requests(status, **headers):
    response = requests.Response()
    response.status_code, response.headers = status, requests.structures.CaseInsensitiveDict(headers)
    with pytest.raises(requests.HTTPError) as raised:
        response.raise_for_status()
    return raised.value


def of_httpx(status, **headers):
    response = httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://localhost"))
    with pytest.raises(httpx.HTTPStatusError) as raised:
        response.raise_for_status()
    return raised.value


def of_urllib(status, **headers):
    message = email.message.Message()
    for name, value in headers.items():
        message[name] = value
    return urllib.error.HTTPError("http://localhost", status, "no", message, io.BytesIO())


def of_an_api(status, **headers):
    """As openai and anthropic shape theirs: ``status_code``, a text as ``code``, and an httpx response."""
    error = Exception("no")
    error.status_code, error.code, error.response = status, "rate_limit", httpx.Response(status, headers=headers)
    return error


def of_botocore(status, **headers):
    """As botocore.exceptions.ClientError."""
    error = Exception("no")
    error.response = {
        "Error": {"Code": "InternalError"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {k.lower(): v for k, v in headers.items()}},
    }
    return error


def of_aiohttp(status, **headers):
    """As aiohttp.ClientResponseError: ``status`` and ``headers`` on itself."""
    error = Exception("no")
    error.status, error.headers = status, {name.title(): value for name, value in headers.items()}
    return error


SHAPES = [of_requests, of_httpx, of_urllib, of_an_api, of_botocore, of_aiohttp]


@pytest.mark.parametrize("made", SHAPES)
@pytest.mark.parametrize("status", [404, 429, 503])
def test_the_status_of_a_response_and_when_to_come_back(made, status):
    told = error_info(made(status, **{"Retry-After": "7"}))
    assert (told.http_status, told.retry_after_s) == (status, 7)
    plain = error_info(made(status))
    assert (plain.http_status, plain.retry_after_s) == (status, None)


@pytest.mark.parametrize("code", ["ThrottlingException", "SlowDown", "RequestTimeout"])
def test_a_throttled_call_of_botocore_is_one_whatever_its_status(code):
    error = of_botocore(400)
    error.response["Error"]["Code"] = code
    assert http_status(error) == 429


def test_a_date_and_an_exceptions_own_time_are_seconds():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < retry_after_s(of_requests(503, **{"Retry-After": soon})) <= 90
    assert retry_after_s(of_requests(503, **{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    error = of_requests(503, **{"Retry-After": "9"})
    error.retry_after = timedelta(seconds=2)
    assert retry_after_s(error) == 2, "what the exception says itself comes first"


def rude(self):
    raise RuntimeError("not yours")


Rude = type("Rude", (Exception,), {name: property(rude) for name in ("status", "response", "headers", "retry_after")})


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("no"), None),
        (SystemExit(503), None),
        (Rude(), None),
        (type("Odd", (Exception,), {"status_code": True, "code": "503", "status": 7})(), None),
        (type("Odd", (Exception,), {"response": {"ResponseMetadata": 5}, "code": print})(), None),
        (type("Odd", (Exception,), {"resp": types.SimpleNamespace(status=503, headers=5)})(), 503),
    ],
)
def test_nothing_is_read_into_what_is_no_response(error, status):
    assert (http_status(error), retry_after_s(error)) == (status, None)
