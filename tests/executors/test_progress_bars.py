"""tqdm's bars in real workers and in threads: they drive the phase's progress; their lines are drawn in place."""

import pytest

from phasenb.executors.progress_bars import MODULE


@pytest.fixture
def one_process(house, on_slot):
    return lambda agent, **fields: on_slot(lambda slot: house.run(slot, agent, **fields))


@pytest.fixture
def one_inline(house, on_inline):
    async def scenario(executor, agent, fields):
        return await house.run(await executor.reserve("ada", None), agent, **fields)

    return lambda agent, **fields: on_inline(lambda executor: scenario(executor, agent, fields))


@pytest.fixture(params=["process", "inline"])
def one(request):
    """Run one attempt: its whole story."""
    return request.getfixturevalue(f"one_{request.param}")


def plain():
    from tqdm import tqdm

    for _ in tqdm(range(4), desc="fit"):
        pass


def trange():
    from tqdm import trange

    for _ in trange(4, desc="fit"):
        pass


def auto():
    from tqdm.auto import tqdm

    for _ in tqdm(range(4), desc="fit"):
        pass


def manual():
    from tqdm.std import tqdm

    with tqdm(total=4, desc="fit") as bar:
        for _ in range(4):
            bar.update()


def notebook():
    from tqdm.notebook import tqdm

    for _ in tqdm(range(4), desc="fit"):
        pass


def awaited():
    import asyncio

    from tqdm.asyncio import tqdm

    async def main():
        async for _ in tqdm(_items(), total=4, desc="fit"):
            pass

    async def _items():
        for item in range(4):
            yield item

    asyncio.run(main())


def rich():
    import warnings

    from tqdm.rich import tqdm

    warnings.simplefilter("ignore")
    for _ in tqdm(range(4), desc="fit"):
        pass


def of_a_library():
    """As huggingface_hub and datasets derive theirs."""
    from tqdm.auto import tqdm as base

    class tqdm(base):  # noqa: N801
        def __init__(self, *args, **kwargs):
            kwargs["disable"] = kwargs.get("disable", False)
            super().__init__(*args, **kwargs)

        def __delattr__(self, name):
            super().__delattr__(name)

    for _ in tqdm(range(4), desc="fit"):
        pass


def applied():
    import pandas as pd
    from tqdm import tqdm

    tqdm.pandas(desc="fit")
    pd.Series(range(4)).progress_apply(lambda value: value)


@pytest.mark.parametrize("phase", [plain, trange, auto, manual, notebook, awaited, rich, of_a_library, applied])
def test_every_kind_of_bar_drives_the_phase(one, phase):
    told = one(phase)
    assert told.outcome.error is None
    last = told.steps[-1]
    assert (last.percent, last.done, last.total, last.message) == (100.0, 4.0, 4.0, "fit")
    assert last.bar == 1


def test_a_bar_that_its_maker_disabled_is_none(one):
    def phase():
        from tqdm import tqdm

        for _ in tqdm(range(4), disable=True):
            pass

    told = one(phase)
    assert [step.percent for step in told.steps if step.percent is not None] == []
    assert told.lines == []


def test_a_bar_for_pages_writes_its_last_state(one_process):
    def phase():
        from tqdm.notebook import tqdm

        for _ in tqdm(range(4), desc="nb"):
            pass
        for _ in tqdm(range(4), desc="inner", leave=False):
            pass

    told = one_process(phase)
    assert [text.split("|")[0] for _, text in told.lines] == ["nb: 100%"]


def test_a_record_that_a_bar_writes_around_itself_is_one_line(one_process):
    def phase():
        import logging

        from tqdm import tqdm
        from tqdm.contrib.logging import logging_redirect_tqdm

        with logging_redirect_tqdm():
            for number in tqdm(range(2), leave=False):
                logging.warning("half %s", number)
        logging.warning("over")

    told = one_process(phase)
    assert sorted(text for _, text in told.lines) == [
        "WARNING root: half 0", "WARNING root: half 1", "WARNING root: over",
    ]  # fmt: skip


def test_nested_bars_write_their_last_states_alone(one):
    def phase():
        import time

        from tqdm import tqdm

        for _ in tqdm(range(3), desc="epoch"):
            for _ in tqdm(range(30), desc="batch", leave=False, mininterval=0):
                time.sleep(0.002)

    told = one(phase)
    assert [text.split("|")[0] for text in told.said("stderr")] == ["epoch: 100%"]
    percents = [step.percent for step in told.steps if step.percent is not None]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3  # what is inside refines it
    assert any("batch" in (step.line or "") for step in told.steps)


def test_a_line_that_is_not_ended_is_shown_and_is_one_line_in_the_end(one):
    def phase():
        import time

        for _ in range(20):
            print(".", end="")
            time.sleep(0.01)
        print("done")

    told = one(phase)
    assert told.said("stdout") == ["." * 20 + "done"]
    shown = [step.line for step in told.steps if step.line]
    assert shown
    assert all(set(line) == {"."} for line in shown)


def test_a_million_states_of_a_line_are_a_few_messages(one_process):
    def phase():
        import sys

        for number in range(1_000_000):
            sys.stdout.write(f"\r{number} of 1000000")
        sys.stdout.write("\n")

    told = one_process(phase)
    assert told.said("stdout") == ["999999 of 1000000"]


def test_what_is_half_a_secret_is_not_shown(one_process, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "correct-horse-battery")

    def phase():
        import os
        import time

        secret = os.environ["TOKEN"]
        print("it is", secret[:10], end="", flush=True)
        time.sleep(0.3)
        print(secret[10:], end=" ", flush=True)
        time.sleep(0.3)
        print("end")

    told = one_process(phase, secrets={"TOKEN": "env:TOKEN_OF_MINE"})
    shown = [step.line for step in told.steps if step.line]
    assert shown[0].strip() == "it is"
    assert not any("correct" in line for line in shown)
    assert told.said("stdout") == ["it is ***** end"] or "correct" not in told.said("stdout")[0]


def test_the_next_task_of_a_worker_has_its_own_bars(house, on_process):
    def first():
        from tqdm import tqdm

        for _ in tqdm(range(4), desc="first"):
            pass

    def second():
        import sys

        from tqdm import tqdm

        assert "tqdm.std" in sys.modules
        for _ in tqdm(range(2), desc="second"):
            pass

    async def scenario(executor):
        slot = await executor.reserve("ada", None)
        await house.run(slot, first)
        told = await house.run(slot, second)
        await slot.release()
        assert told.outcome.error is None
        assert {step.message for step in told.steps if step.bar} == {"second"}
        assert (told.steps[-1].bar, told.steps[-1].done) == (1, 2.0)

    on_process(scenario)


def test_a_notebooks_tqdm_is_its_own_again_when_its_executor_is_closed(one_inline):
    import sys

    from tqdm.std import tqdm

    one_inline(plain)
    assert MODULE in sys.modules
    assert not hasattr(tqdm.__init__, "__wrapped__") or tqdm.__init__.__module__ != "phasenb.executors.progress_bars"
    assert not any(type(finder).__name__ == "BarsToCome" for finder in sys.meta_path)
