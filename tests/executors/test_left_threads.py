"""Threads that one phase leaves behind, while the next one of its task runs in the same worker."""

import logging
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import cloudpickle

from phasenb.core.reports import Outcome

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def leaves_threads(ctx):
    stream = sys.stdout

    def go_on():
        number = 0
        while True:
            print("late", number)
            print("late, by an old name", file=stream)
            logging.warning("late")
            warnings.warn(f"late {number}", stacklevel=1)
            ctx.log("late")
            ctx.update(message="late")
            number += 1
            time.sleep(0.002)

    def tick():
        print("late tick")
        timer = threading.Timer(0.002, tick)
        timer.daemon = True
        timer.start()

    threading.Thread(target=go_on, daemon=True).start()
    tick()
    print("mine")


def works(ctx):
    for number in range(50):
        print("line", number)
        time.sleep(0.005)
    thread = threading.Thread(target=print, args=("by a thread of its own",))
    thread.start()
    thread.join()
    ctx.update(1.0, "done")


def test_what_they_write_is_not_in_the_next_phases_log(house, on_process):
    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        first = await house.run(slot, leaves_threads)
        assert "mine" in first.said("stdout")
        second = await house.run(slot, works)
        assert second.lines == [("stdout", f"line {number}") for number in range(50)] + [
            ("stdout", "by a thread of its own")
        ]
        assert [step.message for step in second.steps] == ["done"]
        worker = slot.worker
        await slot.release()
        other = await executor.reserve("ada", None)
        assert other.worker != worker
        assert isinstance((await house.run(other, works)).outcome, Outcome)
        await other.release()

    on_process(scenario)


def keeps_a_pool(module):
    pool = sys.modules[module].POOL = ThreadPoolExecutor(2)
    list(pool.map(print, ["first"]))


def uses_the_pool(module):
    list(sys.modules[module].POOL.map(print, ["second", "third"]))


def test_an_idle_pool_works_for_the_next_phase(house, on_slot):
    async def scenario(slot):
        where = {"module": "concurrent.futures"}  # as a library keeps one for its process
        assert (await house.run(slot, keeps_a_pool, where)).said("stdout") == ["first"]
        assert sorted((await house.run(slot, uses_the_pool, where)).said("stdout")) == ["second", "third"]

    on_slot(scenario)
