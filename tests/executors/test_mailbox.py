"""What threads have for a loop: in order, all of it, in one turn."""

import asyncio
import threading

from phasenb.executors.mailbox import Mailbox


def test_what_comes_before_the_loops_turn_is_delivered_in_one_turn_and_in_order():
    async def scenario():
        loop = asyncio.get_running_loop()
        told, wakeups = [], []
        post = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args, **kwargs: (wakeups.append(args), post(*args, **kwargs))[1]
        mailbox = Mailbox(told.append)
        for name in ("first", "second", "third"):  # the loop has no turn while this coroutine waits for them
            thread = threading.Thread(target=lambda name=name: [mailbox.put((name, number)) for number in range(3)])
            thread.start()
            thread.join()
        assert told == [], "nothing is delivered in the thread that tells"
        await asyncio.sleep(0)
        assert told == [(name, number) for name in ("first", "second", "third") for number in range(3)]
        assert len(wakeups) == 1
        mailbox.put("later")
        await asyncio.sleep(0)
        assert (told[-1], len(wakeups)) == ("later", 2)

    asyncio.run(scenario())


def test_a_thread_that_tells_after_the_loops_end_is_not_troubled():
    async def make():
        return Mailbox(print)

    asyncio.run(make()).put("nobody listens")
