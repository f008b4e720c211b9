"""The OpenAPI document holds against a real server: schemathesis makes requests, good ones and bad ones, from it."""

import json
import time

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import positive_data_acceptance

from phasenb.web.documents.openapi import openapi

AGENTS = """
import phasenb.agents.workflow

quick = phasenb.agents.workflow.Workflow("quick", phases=("work",))


@quick.phase("work")
def work(ctx, path="here"):
    ctx.artifact("table", {"rows": 3})
    print("looked at", path)
    return {"path": path}
"""


@pytest.fixture(scope="module")
def server(module_jupyter_process):
    """A server of its own with one registered agent, which takes no code."""
    start, folder = module_jupyter_process
    (folder / "openapi_agents.py").write_text(AGENTS)
    config = folder / "config" / "phasenb"
    config.mkdir(parents=True)
    chosen = {"agents": {"quick": "openapi_agents:quick"}, "allow_code": False, "executor": {"workers": 2}}
    (config / "server_config.json").write_text(json.dumps(chosen))
    server = start(environ={"PYTHONPATH": str(folder)})
    yield server
    assert "Traceback" not in server.log.read_text()


@pytest.fixture(scope="module")
def task_id(server):
    """A finished task with an artifact, a line and a result."""
    task_id = server.request("phasenb/api/tasks", {"agent": "quick"})["task_id"]
    deadline = time.monotonic() + 60
    while server.request(f"phasenb/api/tasks/{task_id}")["state"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return task_id


def test_the_document_is_openapi():
    validate(openapi())


BEYOND_A_SCHEMA = {
    "GET /phasenb/api/agents/{agent}", "POST /phasenb/api/tasks", "PUT /phasenb/api/objects/{sha256}",
    "POST /phasenb/api/connections/{connection}/send", "POST /phasenb/api/connections/{connection}/receive",
}  # fmt: skip
SCHEMA = schemathesis.openapi.from_dict(openapi())


@SCHEMA.parametrize()
@settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_request_is_answered_as_the_document_says(case, server, task_id):
    # Which agents, connections and hashes there are, no schema can say: such a request may be refused.
    excluded = [positive_data_acceptance] if case.operation.label in BEYOND_A_SCHEMA else []
    real = {"task_id": task_id, "phase": "work", "attempt": 1, "name": "table", "agent": "quick"}
    if len(str(case.path_parameters)) % 2:  # about half are about a task that is there
        case.path_parameters = {name: real.get(name, value) for name, value in case.path_parameters.items()}
    case.call_and_validate(
        base_url=server.url.rstrip("/"), headers={"Authorization": f"Bearer {server.token}"}, excluded_checks=excluded
    )
