"""Shared by all tests: pytest-jupyter's real server, and hypothesis without deadlines on a noisy machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

settings.register_profile("phasenb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("phasenb")
