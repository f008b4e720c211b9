"""The card as HTML and as text: true in every state, escaped whatever a task says, honest about its time."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.cli.table import task_row
from phasenb.display import words
from phasenb.display.bundle import TASK_MIME, task_bundle
from phasenb.display.html import task_html
from phasenb.display.text import task_text
from phasenb.dto import events as ev
from phasenb.dto.phase import LogLine
from phasenb.dto.task_state import Approval

OURS = {
    "style",
    "section",
    "div",
    "strong",
    "span",
    "ol",
    "li",
    "p",
    "b",
    "bdi",
    "pre",
    "code",
    "time",
    "details",
    "summary",
}


class Tags(HTMLParser):
    """The elements and the visible text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attributes]

    def handle_data(self, data):
        self.text.append(data)


def read(page):
    return " ".join("".join(Tags(page.split("</style>")[-1]).text).split())


@given(st.text(max_size=200))
def test_nothing_that_a_task_says_becomes_markup(life, text):
    task = life(name=text or "x").start("research").updated(percent=5, message=text)
    failed = life(name=text or "x").start("research").fail("research", message=text).task
    ended = life(phases=("research",)).start("research").complete("research", text)
    done = ended.add(ev.TaskComplete, duration_s=1).task
    lines = [LogLine(stream="stdout", text=text, at=task.created_at)]
    for each in (task, failed, done):
        found = Tags(task_html(each, lines, now=task.updated_at, notes=[text]))
        assert set(found.tags) <= OURS
        assert not [name for _, name, _ in found.attributes if name.startswith("on")]


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt;", "' onload='x"]
)
def test_hostile_text_is_shown_as_it_is(life, text):
    task = life().start("research").updated(percent=5, message=text)
    page = task_html(task, now=task.updated_at)
    assert "".join(text.split()) in "".join(read(page).split())


def test_colours_cursor_and_direction_characters_are_left_out(life):
    task = life().start("research").updated(message="\x1b[31mred\x1b[0m \u202egnp.exe\x07")
    for shown in (task_html(task, now=task.updated_at), task_text(task, now=task.updated_at)):
        assert "red gnp.exe" in shown
        assert not re.search("[\x00-\x08\x1b\u202e]", shown)


def test_a_long_message_has_an_end(life):
    task = life().start("research").updated(message="x" * 1_000_000)
    assert len(task_html(task, now=task.updated_at)) < 20_000


def test_a_running_card(life):
    task = life().start("research").updated(percent=42, message="chunk 3 of 7", eta_s=80)
    page = task_html(task, now=task.started_at + timedelta(seconds=65))
    told = read(page)
    for part in ("penguins", "running, 14 %", "chunk 3 of 7"):
        assert part in told, told
    bars = [value for tag, name, value in Tags(page).attributes if name == "aria-valuenow"]
    assert bars == ["42", "0", "0"]


def test_a_retry_says_which_attempt_and_when(life):
    task = life().start("research").fail("research", then="retry").task
    told = read(task_html(task, now=task.updated_at))
    assert "waiting to try again" in told
    assert told.count("attempt 2 of 5") == 1
    assert f"attempt 2 of 5, next at {words.clock(task.retry_at)}" in read(task_html(task, now=task.updated_at))
    assert f"attempt 2 of 5, next at {words.clock(task.retry_at)}" in task_text(task, now=task.updated_at)


def test_a_failure_that_was_overcome_is_no_trouble_any_more(life):
    again = life().start("research").fail("research", then="retry").start("research", attempt=2)
    assert "KeyError" in read(task_html(again.task, now=again.now))
    done = again.complete("research", attempt=2).add(ev.ApprovalRequested, phase="planning", output=1, revision=1).task
    told = read(task_html(done, now=done.updated_at))
    assert "KeyError" not in told
    assert "?planning, waiting for approval" in told
    page = task_html(done, now=done.updated_at)
    assert 'class="pnb-step pnb-warn pnb-pending"' in page, "the phase that waits for a person stands out"


def test_a_fallback_is_named_in_every_display(life):
    task = life().start("research").fail("research", then="fallback", agent="own").task
    for told in (read(task_html(task, now=task.updated_at)), task_text(task, now=task.updated_at)):
        assert "fallback" in told


def test_a_failure_shows_the_persons_own_line(life):
    task = life().start("research").fail("research").task
    for told in (read(task_html(task, now=task.updated_at)), task_text(task, now=task.updated_at)):
        assert "KeyError" in told
        assert "no such column" in told
        assert "the notebook, line 5, in explore" in told
        assert 'table["weight"]' in told


def test_a_cancelled_task_does_not_look_failed(life):
    task = life().start("research").add(ev.CancelRequested, by="ada").add(ev.TaskCancelled, by="ada").task
    page = task_html(task, now=task.updated_at)
    assert "cancelled" in read(page)
    assert "failed" not in read(page)
    assert "pnb-bad" not in page.split("</style>")[-1]


def test_a_completed_card_shows_its_result(life):
    done = life()
    for phase in ("research", "planning", "implementation"):
        done.start(phase).complete(phase, {"accuracy": 0.97})
    task = done.add(ev.TaskComplete, duration_s=9).task
    assert '{"accuracy":0.97}' in read(task_html(task, now=task.updated_at))
    assert task_text(task, now=task.updated_at).count("100 %") == 3


def test_what_is_saved_says_of_which_time_it_speaks(life):
    task = life().start("research").updated(percent=36)
    now = datetime(2026, 1, 1, 15, 30, tzinfo=UTC)
    said = f"as of {words.date_and_clock(now)}: running, 12 %"
    bundle = task_bundle(task, now=now, epoch="e1")
    assert said in read(bundle["text/html"])
    assert said in bundle["text/plain"]
    card = read(bundle["text/html"])
    assert card.startswith(f"penguins{said}"), "and it says so first, not below"
    assert "so far" not in card, "time that goes on must not stand still in a saved card"
    assert " left" not in card
    assert 'class="pnb pnb-idle"' in bundle["text/html"]
    assert not re.search(r"<h\d", bundle["text/html"]), "JupyterLab's table of contents lists headings of outputs"
    assert bundle[TASK_MIME]["task_id"] == task.task_id
    assert bundle[TASK_MIME]["epoch"] == "e1"
    assert bundle[TASK_MIME]["snapshot"]["state"] == "running"
    assert bundle[TASK_MIME]["at"] == "2026-01-01T15:30:00.000000Z"


def test_only_a_task_of_the_pages_server_is_left_to_that_server(life):
    task = life().task
    assert TASK_MIME not in task_bundle(task, now=task.updated_at)


def test_a_bundle_keeps_no_data(life):
    task = life(inputs={"rows": list(range(10_000)), "path": "penguins.csv"}).task
    inputs = task_bundle(task, now=task.updated_at, epoch="e1")[TASK_MIME]["snapshot"]["inputs"]
    assert inputs["path"] == "penguins.csv"
    assert "bytes of JSON" in inputs["rows"]
    waiting = task.changed(approval=Approval(phase="research", revision=1, seq=3, output="x" * 10_000))
    assert (
        "bytes of JSON"
        in task_bundle(waiting, now=task.updated_at, epoch="e1")[TASK_MIME]["snapshot"]["approval"]["output"]
    )


def test_the_style_follows_the_theme_and_stands_alone(life):
    page = task_html(life().task, now=life().now)
    colours = re.findall(r"--pnb-(?:ink|ground|good|bad):([^;}]*)", page)
    assert len(colours) >= 8, "light and dark"
    for colour in colours:
        assert re.fullmatch(r"var\(--jp-.*#[0-9a-f]{6}\)\)", colour), "JupyterLab's own, and one for other pages"


@given(st.floats(0, 1e7))
def test_a_duration_is_short(seconds):
    assert len(words.duration(seconds)) <= 14


@given(st.floats(0, 100))
def test_no_percent_is_100_before_it_is(value):
    assert (words.percent(value) == "100 %") == (value == 100)


def test_a_list_of_tasks_says_which_attempt_comes_when(life):
    task = life().start("research").fail("research", then="retry").task
    assert "research: attempt 2 of 5, next in 8 s" in task_row(task, task.updated_at)


def test_inputs_are_one_line_and_those_beyond_three_are_folded(life):
    task = life(inputs={"path": "x.csv", "alpha": 0.1, "depth": 3, "seed": 7}).start("research").task
    line = "path=x.csv, alpha=0.1, depth=3, +1 more"
    assert line in task_text(task, now=task.updated_at).splitlines()[1]
    page = task_html(task, now=task.updated_at)
    assert f'<summary dir="auto" aria-label="inputs">{line}</summary>' in page
    assert "seed=7" in read(page)
    assert "pnb-inputs" not in task_html(life().task, now=task.updated_at, styled=False)


def test_an_input_that_the_line_cuts_is_behind_it(life):
    task = life(inputs={"text": "lorem " * 30, "n": 3, "all": "x" * 5000}).start("research").task
    page = task_html(task, now=task.updated_at, styled=False)
    behind = re.search(r'</summary><p dir="auto">(.*?)</p></details>', page, re.DOTALL)[1].splitlines()
    assert behind == ["text=" + ("lorem " * 30).strip(), f"all={'x' * 1999}…"]


def test_a_lost_attempt_is_the_reason_for_the_next_in_every_display(life):
    again = life().start("research").add(ev.TaskRecovered, host="h2", lost_attempt=1).start("research", attempt=2)
    for told in (read(task_html(again.task, now=again.now)), task_text(again.task, now=again.now)):
        assert "attempt 2, as the server or its machine stopped in attempt 1" in told


def test_a_gate_before_the_first_phase_shows_the_inputs(life):
    lived = life(inputs={"path": "x.csv", "alpha": 0.1})
    task = lived.add(ev.ApprovalRequested, phase="research", output=None, revision=1).task
    page = task_html(task, now=task.updated_at)
    assert '<pre dir="auto" aria-label="inputs to be approved">path=x.csv\nalpha=0.1</pre>' in page
    assert read(page).count("x.csv") == 1
