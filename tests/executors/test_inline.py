"""Phases in threads of this process: how they tell, and how they end."""

import threading

TOLD = threading.Event()  # here, so that the phases, which are packed by name, share it with the test


def broken(ctx):
    def flush():
        raise ZeroDivisionError

    ctx.flush = flush
    TOLD.wait(20)
    del ctx.flush
    return "its result"


def waiting(ctx):
    ctx.update(0.1, "first")
    ctx.update(0.2, "by the thread that flushes")
    TOLD.wait(20)


RAN = []


def test_a_phase_that_is_cancelled_before_its_thread_has_its_turn_does_not_begin(house, on_inline):
    let_go, whole = threading.Event(), []

    def before():
        whole.append(let_go.wait(20))
        return True

    async def scenario(executor):
        thread = executor.threads.take()
        thread.inbox.put(before)
        executor.threads.put(thread)
        slot = await executor.reserve("ada", None)
        run = slot.run(house.attempt(lambda: RAN.append(1)))
        await run.stop(0.02)
        let_go.set()
        told = await house.follow(run)
        assert told.outcome.status == "cancelled"
        await house.until(lambda: not thread.is_alive())
        assert whole == [True]  # what is raised in a thread comes up in whatever it does
        assert not RAN

    on_inline(scenario)


def test_one_phase_whose_progress_fails_does_not_silence_the_others(house, on_inline, caplog):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        first = slot.run(house.attempt(broken))
        await house.until(lambda: "can't be told any more" in caplog.text)
        second = slot.run(house.attempt(waiting))
        await house.until_message(second, "by the thread that flushes")
        TOLD.set()
        return await house.follow(first), await house.follow(second)

    first, second = on_inline(scenario)
    assert (first.outcome.status, first.outcome.output) == ("complete", "its result")
    assert second.outcome.status == "complete"
