"""llama-index's workflows as agents: ``pn.launch(workflow, **fields)``, also where their ``run`` needs a running loop.

Rules: the fields of the start event are inputs, what the stop event holds is the result, and each event that a step
writes to the stream is a step.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any

from phasenb.core.steps import Result


def runnable(workflow: Any) -> WorkflowRun:
    """What runs a workflow as it is."""
    return WorkflowRun(workflow)


class WorkflowRun:
    """A workflow as a function of its start event's fields: an async generator of events."""

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        self.name = self.__name__ = type(workflow).__name__
        start: Any = getattr(workflow, "start_event_class", None)  # not of the first releases
        declared = start is not None and start.model_fields  # else it takes what comes
        self.__signature__ = inspect.signature(start if declared else _any_fields)

    async def __call__(self, /, **fields: Any) -> AsyncIterator[Any]:
        run = self._workflow.run(**fields)
        async for event in run.stream_events():
            if not any(cls.__name__ == "StopEvent" for cls in type(event).__mro__):
                yield event
        yield Result(await run)

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkflowRun, (self._workflow,)


def _any_fields(**fields: Any) -> None: ...
