"""What a phase shows, logs, asks and yields where nobody sits before it: kept, told, or refused with words."""

import time

import pytest

from phasenb.dto.phase import Step
from phasenb.dto.phase_result import ResultStatus


def test_each_open_figure_is_kept_once_by_plt_show_and_closed(one):
    def phase():
        import matplotlib.pyplot as plt

        plt.plot([1, 2])
        plt.figure("loss")
        plt.plot([2, 1])
        plt.show()
        assert plt.get_fignums() == []
        plt.show()
        plt.figure()
        plt.show(block=False)

    told = one(phase)
    assert told.outcome.error is None
    assert [(each.name, each.codec) for each in told.outcome.artifacts] == [
        ("figure 1", "png"), ("loss", "png"), ("figure 3", "png"),
    ]  # fmt: skip
    assert "phasenb: what was shown is kept as an artifact: task.artifact('loss')" in told.said("log")


def test_figures_of_one_label_are_each_kept(one):
    def phase():
        import matplotlib.pyplot as plt

        for label in ("loss", "loss", "figure 4", None, "loss"):
            plt.figure(label) if label else plt.figure()
            plt.show()

    told = one(phase)
    assert told.outcome.error is None
    assert [each.name for each in told.outcome.artifacts] == ["loss", "loss 2", "figure 4", "figure 5", "loss 3"]


def test_display_keeps_pictures_and_prints_all_else(one):
    def phase():
        import matplotlib.pyplot as plt
        import pandas as pd
        from IPython.display import display

        figure, _ = plt.subplots()
        display(figure, pd.DataFrame({"weight": [3750]}))

    told = one(phase)
    assert [each.name for each in told.outcome.artifacts] == ["figure 1"]
    assert [text.split() for text in told.said("stdout")] == [["weight"], ["0", "3750"]]


def test_every_way_to_show_a_picture_keeps_it(one):
    def phase():
        import matplotlib.pyplot as plt
        import plotly.graph_objects as go
        from IPython.display import HTML, display
        from PIL import Image

        figure, _ = plt.subplots()
        figure.show()
        go.Figure(data=[go.Bar(y=[2, 3])]).show()
        Image.new("RGB", (4, 3)).show()
        display(HTML("<b>bold</b>"), HTML("<i>again</i>"))

    told = one(phase)
    assert told.outcome.error is None
    found = [(each.name, each.codec, each.type) for each in told.outcome.artifacts]
    assert [name for name, _, _ in found] == ["figure 1", "figure 2", "figure 3"]
    assert [codec for _, codec, _ in found] == ["png", "pickle", "png"]
    missed = [line for line in told.said("log") if "no page shows" in line]
    assert missed == ["phasenb: no page shows what a phase displays: ctx.artifact(name, value) keeps it (IPython.HTML)"]
    assert not [line for line in told.said("stderr") if "xdg-open" in line or "not found" in line]


def test_a_phase_that_draws_nothing_has_loaded_nothing_for_it(one):
    def phase():
        import sys

        return [name for name in ("matplotlib", "tqdm", "IPython") if name in sys.modules]

    assert one(phase).value() == []


def by_configuration():
    import logging

    logging.basicConfig(level=logging.DEBUG)
    logging.getLogger("mylab").debug("wanted")


def by_force():
    import logging

    logging.basicConfig(level=logging.DEBUG, force=True, format="%(levelname)s:%(name)s:%(message)s")
    logging.getLogger("mylab").debug("wanted")


def by_dict():
    import logging.config

    console = {"class": "logging.StreamHandler", "formatter": "f"}
    logging.config.dictConfig(
        {
            "version": 1, "handlers": {"console": console}, "root": {"level": "DEBUG", "handlers": ["console"]},
            "formatters": {"f": {"format": "%(levelname)s:%(name)s:%(message)s"}},
        }
    )  # fmt: skip
    logging.getLogger("mylab").debug("wanted")


def by_level():
    import logging

    logging.getLogger("mylab").setLevel(logging.DEBUG)
    logging.getLogger("mylab").debug("wanted")


@pytest.mark.parametrize(
    ("phase", "line"),
    [
        (by_configuration, ("stderr", "DEBUG:mylab:wanted")),
        (by_force, ("stderr", "DEBUG:mylab:wanted")),
        (by_dict, ("stderr", "DEBUG:mylab:wanted")),
        (by_level, ("log", "DEBUG mylab: wanted")),
    ],
)
def test_debug_records_that_a_phase_asks_for_come_through_once(one, phase, line):
    assert one(phase).lines == [line]


def test_nobody_asked_for_debug_records(one):
    def phase():
        import logging

        logging.getLogger("mylab").debug("not wanted")
        logging.getLogger("mylab").info("wanted")
        logging.getLogger().setLevel(logging.WARNING)
        logging.info("not wanted")

    assert one(phase).lines == [("log", "INFO mylab: wanted")]


def test_the_next_attempt_finds_logging_as_it_was(house, on_slot):
    def other():
        import logging

        assert logging.basicConfig.__module__ == "logging"
        logging.getLogger("mylab").debug("not wanted")
        logging.info("wanted")

    async def scenario(slot):
        await house.run(slot, by_configuration)
        assert (await house.run(slot, other)).lines == [("log", "INFO root: wanted")]

    on_slot(scenario)


def rows():
    for number in range(5):
        yield {"row": number}


def steps_and_a_row():
    yield 0.5
    yield {"row": 1}


def returns():
    yield {"row": 1}
    yield {"row": 2}
    return [1, 2]


@pytest.mark.parametrize(("phase", "says"), [(rows, True), (steps_and_a_row, False), (returns, False)])
def test_a_generator_whose_values_are_lost_says_so(one, phase, says):
    told = one(phase)
    line = "phasenb: `rows` yielded 5 values that are no steps, and only the last is its result: `return` a list of all"
    assert any(text.startswith(line) for text in told.said("log")) is says
    assert told.said("log") == [] or says


def asks():
    return input("name? ")


def asks_for_a_password():
    import getpass

    return getpass.getpass()


def asks_by_click():
    import click

    return click.prompt("name")


def confirms_by_click():
    import click

    return click.confirm("sure?")


def asks_by_rich():
    from rich.prompt import Prompt

    return Prompt.ask("name")


@pytest.mark.parametrize("phase", [asks, asks_for_a_password, asks_by_click, confirms_by_click, asks_by_rich])
def test_who_asks_is_told_that_a_phase_cannot(one, phase):
    outcome = one(phase).outcome
    assert outcome.status is ResultStatus.FAILED
    assert "a phase can't ask" in outcome.error.message
    assert not outcome.error.retryable


def test_what_was_printed_before_a_call_that_holds_the_interpreter_is_shown_meanwhile(house, on_slot):
    def phase(ctx):
        import ctypes

        ctx.update(message="go")
        print("before")
        ctypes.PyDLL(None).usleep(4_000_000)
        print("after")

    async def scenario(slot):
        came = {}

        def hear(report):
            if isinstance(report, Step):
                came.setdefault(report.message, time.monotonic())
            for line in getattr(report, "lines", ()):
                came.setdefault(line.text, time.monotonic())

        told = await house.follow(slot.run(house.attempt(phase)), hear)
        assert told.said("stdout") == ["before", "after"]
        assert came["before"] - came["go"] < came["after"] - came["before"]

    on_slot(scenario)


def test_what_the_host_reads_for_a_call_that_holds_the_interpreter_keeps_the_attempts_bound(house, on_slot):
    def phase():
        import ctypes

        print("before")
        ctypes.PyDLL(None).system(b"yes 'a line of thirty-two characters' | head -c 2000000")
        for number in range(5000):
            print("by Python", number)
        print("after")

    async def scenario(slot):
        told = await house.run(slot, phase, log_bytes=100_000)
        lines = told.said("stdout")
        assert (lines[0], lines[-1]) == ("before", "after")
        assert "a line of thirty-two characters" in lines
        assert sum(len(line) + 64 for line in [*lines, *told.said("log")]) <= 101_000
        assert any("only its last lines are kept" in line for line in told.said("log"))

    on_slot(scenario)


def test_of_an_attempt_with_secrets_nothing_is_shown_unmasked(house, on_slot, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_MINE", "correct-horse-battery")

    def phase():
        import ctypes
        import os

        print(os.environ["TOKEN"])
        ctypes.PyDLL(None).usleep(1_500_000)

    async def scenario(slot):
        told = await house.run(slot, phase, secrets={"TOKEN": "env:TOKEN_OF_MINE"})
        assert told.said("stdout") == ["***"]

    on_slot(scenario)
