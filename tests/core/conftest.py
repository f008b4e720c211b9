"""A PhaseManager over fakes, with the agent that a test gives it, and a loop to run it on."""

import asyncio

import pytest

from tests.core.houses import House


@pytest.fixture
def make_house():
    return House


@pytest.fixture
def run():
    return lambda scenario: asyncio.run(asyncio.wait_for(scenario, 10))
