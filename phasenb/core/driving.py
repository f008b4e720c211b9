"""Calling what a phase's function gives back to its end: a value, a generator, a coroutine, an async generator.

Everything here is synchronous to the caller, who may be a worker's main thread, a thread of a pool, or a notebook's
kernel whose event loop runs already: then the async part gets a thread with a loop of its own. A cancelled context
ends a generator at its next step and a coroutine at its next await, with Cancelled; their ``finally`` blocks run.
"""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

from phasenb.core.context import Cancelled, Context
from phasenb.core.known_shapes import unwrapped
from phasenb.core.steps import Steps, WhenCancelled


def drive(value: Any, ctx: Context, steps: Steps, *, iterators: bool = False) -> Any:
    """The result that ``value``, just returned by a phase's function, stands for. ``steps`` takes what it yields.

    ``iterators``: also drive an iterator that is no generator, as legacy ``process()`` and ``stream()`` return them.
    Raises what the function raises, and Cancelled.
    """
    if inspect.isgenerator(value) or (iterators and hasattr(value, "__next__")):
        return _generator(value, ctx, steps)
    if inspect.isasyncgen(value) or (iterators and hasattr(value, "__anext__")):
        return _in_loop(lambda: _async_generator(value, ctx, steps), ctx)
    if inspect.isawaitable(value):
        return _in_loop(lambda: _awaited(value, ctx, iterators, steps), ctx)
    return unwrapped(value)


def _generator(generator: Iterator[Any], ctx: Context, steps: Steps) -> Any:
    with ExitStack() as until_end:
        close = getattr(generator, "close", None)
        if close is not None:
            until_end.callback(close)
        while True:
            try:
                item = next(generator)
            except StopIteration as stop:
                return steps.result(stop.value)
            if isinstance(item, WhenCancelled):
                until_end.enter_context(ctx.on_cancel(item.call))
                continue
            if steps.take(item):
                return steps.result()
            if ctx.cancelled:
                raise Cancelled


async def _async_generator(generator: AsyncIterator[Any], ctx: Context, steps: Steps) -> Any:
    try:
        async for item in generator:
            if steps.take(item):
                break
            if ctx.cancelled:
                raise Cancelled
        return steps.result()
    finally:
        close = getattr(generator, "aclose", None)
        if close is not None:
            await close()


async def _awaited(value: Awaitable[Any], ctx: Context, iterators: bool, steps: Steps) -> Any:
    result = await value
    if inspect.isasyncgen(result) or (iterators and hasattr(result, "__anext__")):
        return await _async_generator(result, ctx, steps)
    return drive(result, ctx, steps, iterators=iterators)


def _in_loop(begin: Callable[[], Coroutine[Any, Any, Any]], ctx: Context) -> Any:
    """Run a coroutine to its end, here or, where this thread's loop is running, in a thread with another loop."""
    import asyncio  # late: most phases await nothing, and it takes its time

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        task = loop.create_task(begin())

        def cancel() -> None:
            if task.cancel():
                ctx.noticed = True

        with ctx.on_cancel(lambda: loop.call_soon_threadsafe(cancel)):
            try:
                return await task
            except asyncio.CancelledError:
                if ctx.cancelled:
                    raise Cancelled from None
                raise

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    return _in_thread(lambda: asyncio.run(main()), ctx)


def _in_thread(work: Callable[[], Any], ctx: Context) -> Any:
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # carried to the thread that waits, which raises it
            failure.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(body,), name="phasenb-async", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        ctx.cancel()
        thread.join()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
