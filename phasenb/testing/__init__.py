"""What tests of agents, of policies and of phasenb itself need: ``run`` plays a whole workflow, the fakes its world."""

from phasenb.testing.fakes import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished
from phasenb.testing.running import Approve, Deny, Ran, run

__all__ = [
    "Approve",
    "Deny",
    "FakeClock",
    "FakeStore",
    "Ran",
    "RecordingPublisher",
    "ScriptedExecutor",
    "failed",
    "finished",
    "run",
]
