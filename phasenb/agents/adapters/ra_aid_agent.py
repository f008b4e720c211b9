"""RA.Aid's CiaynAgent through its three phases: ``pn.adapters.ra_aid(make_agent)``.

Rules: each phase has an agent of its own, made where it runs, and is one stretch of work with the same goal and what
the phases before it said. The agent yields without end and tells nothing of it: after each step its context is asked
whether it is done (``task_completed``, ``plan_implementation_completed``) or has crashed, and the newest entry of its
history is the message. It is driven in the phase's own thread, as its context is a ContextVar: so a cancel interrupts
a tool. The result of a phase is what the agent said when it was done.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from phasenb.core.arguments import function_name, read_arguments
from phasenb.core.context import Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.dto.phase import DEFAULT_PHASES, Step
from phasenb.dto.texts import text_of
from phasenb.errors import AgentCrashed, AgentStopped, LaunchError

_TASKS = {
    "research": "Research only: find out what is needed to reach the goal, and change nothing.",
    "planning": "Plan only: say in which steps the goal is reached, from what the research found. Change nothing.",
    "implementation": "Reach the goal, as the plan says.",
}
_END = "When this is done, call the tool that completes your task; its message holds all that the next one must know."


def ra_aid(make_agent: Callable[..., Any], max_steps: int | None = 100, max_cost: float | None = None) -> ExtendedAgent:
    """RA.Aid's agent as a task of research, planning and implementation; its launch takes ``goal``.

    ``make_agent`` makes the CiaynAgent of a phase, where the phase runs; it may take ``phase`` and ``goal``. A phase of
    more than ``max_steps`` steps, or ``max_cost`` US dollars by RA.Aid's own count, fails with AgentStopped, which is
    not retried; an agent that crashed, by its own account, with AgentCrashed. Raises LaunchError for what can't be
    called, and for bounds that are none.
    """
    if not callable(make_agent):
        raise LaunchError(f"{make_agent!r:.80} can't be called: give a function that makes the agent of a phase")
    if max_cost is not None and not max_cost > 0:
        raise LaunchError(f"max_cost={max_cost!r} is no amount of US dollars", argument="max_cost")
    phases = {phase: phase for phase in DEFAULT_PHASES}
    return ExtendedAgent(
        RaAid(make_agent, max_cost), phases=phases, name=function_name(make_agent), max_steps=max_steps
    )


class RaAid:
    """The functions of the three phases."""

    def __init__(self, make_agent: Callable[..., Any], max_cost: float | None) -> None:
        self._make_agent = make_agent
        self._max_cost = max_cost

    def research(self, ctx: Context, goal: str) -> Iterator[Step]:
        return self._run(ctx, "research", goal)

    def planning(self, ctx: Context, goal: str, research: Any) -> Iterator[Step]:
        return self._run(ctx, "planning", goal, research=research)

    def implementation(self, ctx: Context, goal: str, research: Any, planning: Any) -> Iterator[Step]:
        return self._run(ctx, "implementation", goal, research=research, planning=planning)

    def _run(self, ctx: Context, phase: str, goal: str, **said: Any) -> Generator[Step, None, str]:
        # RA.Aid imports litellm, which asks the network for prices at its import otherwise.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        with _warnings_folded(ctx):
            args, kwargs = read_arguments(self._make_agent).bind({"phase": phase}, {"goal": goal})
            agent = self._make_agent(*args, **kwargs)
            if agent is None:
                raise LaunchError(f"`{function_name(self._make_agent)}` returned None, not an agent")
            return (yield from self._driven(agent, phase, _prompt(phase, goal, said)))

    def _driven(self, agent: Any, phase: str, prompt: str) -> Generator[Step, None, str]:
        from langchain_core.messages import HumanMessage  # where RA.Aid is, as it needs both
        from ra_aid.agent_context import agent_context

        bill = _Bill(agent, self._max_cost)
        with agent_context() as told:
            for count, chunk in enumerate(agent.stream({"messages": [HumanMessage(prompt)]}, {}), 1):
                yield Step(done=count, message=_newest(agent, chunk), metrics=bill.metrics())
                if told.is_completed:
                    break
                _raise_if_crashed(told, phase)
                bill.check(phase)
            _raise_if_crashed(told, phase)
            return str(told.completion_message or _newest(agent, None))


class _Bill:
    """What a phase costs, by RA.Aid's own count. Its counter is one for all agents of a process."""

    def __init__(self, agent: Any, most: float | None) -> None:
        self._counter = getattr(agent, "callback_handler", None)
        self._most = most
        if most is not None and self._counter is None:
            raise LaunchError(
                "max_cost needs RA.Aid's own count, which its config switches off: track_cost", "max_cost"
            )
        self._before = self._total()

    def metrics(self) -> dict[str, float]:
        return {} if self._counter is None else {"cost_usd": float(self._total() - self._before)}

    def check(self, phase: str) -> None:
        """Raises AgentStopped where it costs more than it may."""
        cost = self._total() - self._before
        if self._most is not None and cost > Decimal(str(self._most)):
            raise AgentStopped(
                f"RA.Aid's agent spent {cost:.2f} US dollars in the phase `{phase}` without an end; it may spend "
                f"{self._most:.2f}: give it more with max_cost="
            )

    def _total(self) -> Decimal:
        return Decimal(str(getattr(self._counter, "total_cost", 0)))


def _prompt(phase: str, goal: str, said: dict[str, Any]) -> str:
    found = "".join(f"\n\nWhat the {name} said:\n{text_of(text)}" for name, text in said.items())
    return f"Goal: {goal}\n\n{_TASKS[phase]} {_END}{found}"


def _newest(agent: Any, chunk: Any) -> str:
    """The chunk's own words, which it has for errors only, else the newest entry of the agent's history."""
    words = chunk.get("message") if isinstance(chunk, dict) else None
    if isinstance(words, str):
        return words
    history = getattr(agent, "chat_history", None)
    return text_of(getattr(history[-1], "content", history[-1])) if history else ""


def _raise_if_crashed(told: Any, phase: str) -> None:
    if told.is_crashed():
        raise AgentCrashed(f"RA.Aid's agent crashed in the phase `{phase}`: {told.agent_crashed_message}")


# --- its warnings ------------------------------------------------------------------------------------------------


@contextmanager
def _warnings_folded(ctx: Context) -> Iterator[None]:
    """Within: of what RA.Aid logs at one line of its code the first is in the phase's log, the others are counted.

    Without a database of its own around it, RA.Aid warns several times at each step that it can't keep a record.
    """
    logger = logging.getLogger("ra_aid")
    folded = _Folded(ctx)
    propagates = logger.propagate
    logger.addHandler(folded)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(folded)
        again = folded.seen.total() - len(folded.seen)
        if again:
            ctx.log(f"RA.Aid warned {again} more times of what stands above")


class _Folded(logging.Handler):
    def __init__(self, ctx: Context) -> None:
        super().__init__(logging.WARNING)
        self.seen: Counter[tuple[str, int]] = Counter()
        self._ctx = ctx

    def emit(self, record: logging.LogRecord) -> None:
        place = record.pathname, record.lineno
        self.seen[place] += 1
        if self.seen[place] == 1:
            self._ctx.log(f"{record.levelname} {record.name}: {record.getMessage()}")
