"""Spans of tasks: over fakes for their shape, over a real worker for the context that a phase's own spans get."""

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.launch import Launch, LaunchOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.telemetry.spans import Spans
from phasenb.testing import FakeClock, FakeStore, RecordingPublisher, ScriptedExecutor, failed, finished

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider.get_tracer("test"))


def carried(script, spans, *, traceparent=None, **options):
    """Run a task over fakes to its end, with the clock moved past every delay; (the executor, the task)."""

    async def scenario():
        clock, store, executor = FakeClock(), FakeStore(), ScriptedExecutor(script)
        policy = RecoveryPolicy.model_validate({"defaults": {"retry": {"jitter": 0, "maximum_attempts": 2}}})
        manager = PhaseManager(
            store,
            {"process": executor},
            RecordingPublisher(),
            clock,
            policy=policy,
            observers=[spans],
            roll=lambda: 0.5,
        )
        launch = Launch(code="eA==", options=LaunchOptions(phases=("plan", "fit"), **options), traceparent=traceparent)
        task = (await manager.launch("ada", "nb", launch)).task
        ended = asyncio.ensure_future(manager.ended(task.task_id))
        while not ended.done():
            if clock.sleeping:
                clock.advance(60)
            await asyncio.sleep(0)
        return executor, (await store.find(task.task_id)).task

    return asyncio.run(scenario())


def tree(exporter):
    """{span name: parent's name} in the order in which the spans ended."""
    found = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in found}
    return [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in found]


def test_a_task_has_a_span_with_its_phases_and_their_attempts_below(spans, exporter):
    carried(None, spans)

    assert tree(exporter) == [
        ("attempt 1", "phase plan"),
        ("phase plan", "task agent"),
        ("attempt 1", "phase fit"),
        ("phase fit", "task agent"),
        ("task agent", None),
    ]
    found = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in found}) == 1
    assert len({span.attributes["phasenb.task_id"] for span in found}) == 1
    assert all(span.start_time <= span.end_time for span in found)


def test_a_retried_attempt_is_an_error_in_a_phase_that_is_none(spans, exporter):
    script = {"fit": [[failed("ValueError", "boom: 4711")], [finished(1)]]}
    _, task = carried(script, spans)

    assert task.state == "completed"
    found = {(span.name, span.status.status_code) for span in exporter.get_finished_spans()}
    assert ("attempt 1", StatusCode.ERROR) in found
    assert ("attempt 2", StatusCode.UNSET) in found
    assert ("phase fit", StatusCode.UNSET) in found
    assert "4711" not in str([span.to_json() for span in exporter.get_finished_spans()])


def test_a_failed_task_fails_its_spans(spans, exporter):
    _, task = carried({"plan": [[failed("ValueError", "no")]] * 2}, spans)

    assert task.state == "failed"
    status = {span.name: span.status.status_code for span in exporter.get_finished_spans()}
    assert status == {
        "attempt 1": StatusCode.ERROR,
        "attempt 2": StatusCode.ERROR,
        "phase plan": StatusCode.ERROR,
        "task agent": StatusCode.ERROR,
    }


def test_a_task_belongs_under_its_launcher_and_a_worker_under_its_attempt(spans, exporter):
    executor, _ = carried(None, spans, traceparent=PARENT)

    found = exporter.get_finished_spans()
    assert {format(span.context.trace_id, "032x") for span in found} == {PARENT.split("-")[1]}
    task = next(span for span in found if span.name == "task agent")
    assert format(task.parent.span_id, "016x") == PARENT.split("-")[2]
    attempts = [format(span.context.span_id, "016x") for span in found if span.name == "attempt 1"]
    assert [attempt.traceparent.split("-")[2] for attempt in executor.attempts] == attempts


def test_an_observer_that_fails_harms_no_task(exporter, caplog):
    class Broken(Spans):
        def events(self, owner, task, events):
            raise KeyError("a bug of its own")

    _, task = carried(None, Broken())

    assert task.state == "completed"
    assert [record.message for record in caplog.records] == ["Broken could not follow a task; said once"]
