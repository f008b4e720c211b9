"""Every error code: the same error on both sides of the wire, a status over HTTP, a sentence, no fact left out."""

import dataclasses
import inspect
import json

import pytest

from phasenb import errors
from phasenb.web.http_protocol import STATUS
from phasenb.web.message_handler import OF_SERVER, error_message

FACTS = {str: "x", int: 7, float: 1.5, list: ["a"], dict: {"a": "b"}}
SOCKET_ONLY = {"hello_required", "unsupported_protocol"}  # HTTP says no hello


def made(cls):
    """An error with some value in each of its facts."""
    hints = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    values = {}
    for name, hint in hints.items():
        kind = next(kind for kind in (list, dict, float, int, str) if hint.startswith(kind.__name__))
        values[name] = FACTS[kind]
    return cls(**values)


@pytest.mark.parametrize("code", sorted(errors.BY_CODE))
def test_an_error_of_each_code_crosses_the_wire_and_has_a_status(code):
    cls = errors.BY_CODE[code]
    error = made(cls)
    frame = json.loads(error_message("c1", error).model_dump_json())
    if cls is errors.StoreUnavailable:
        error = dataclasses.replace(error, store=OF_SERVER)  # no client is told of a path
    assert (frame["code"], frame["message"], frame["details"]) == (code, str(error), error.details)
    again = errors.from_wire(frame["code"], frame["message"], frame["details"])
    assert type(again) is cls
    assert (str(again), again.details) == (str(error), error.details)
    if code not in SOCKET_ONLY:
        assert 400 <= STATUS[code] < 600
        assert STATUS[code] != 500


def test_every_class_that_has_a_code_of_its_own_is_found_by_it():
    classes = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.PhasenbError)]
    own = {cls.code for cls in classes} - {"internal"}
    assert own == set(errors.BY_CODE)
    told = inspect.getdoc(errors)
    assert all(f"[{code}]" in told for code in own)


@pytest.mark.parametrize(
    ("code", "status"),
    [("launches_paused", 429), ("rate_limited", 429), ("secret_unavailable", 422), ("worker_lost", 503)],
)
def test_statuses_that_tell_a_client_what_to_do(code, status):
    assert STATUS[code] == status


def test_a_newer_servers_code_keeps_its_sentence():
    error = errors.from_wire("moon_phase", "not at full moon", {"a": 1})
    assert isinstance(error, errors.ServerError)
    assert str(error) == "not at full moon [moon_phase]"
