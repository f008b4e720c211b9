"""The live view: painted by one thread, only where something changed, and replaced by plain HTML at the end."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from phasenb.display import live, surroundings
from phasenb.dto import events as ev
from phasenb.dto.phase import LogLine

TASK = "application/vnd.phasenb.task+json"
WIDGET = "application/vnd.jupyter.widget-view+json"


class Shell:
    """What a kernel's display publisher is given; ``replaced`` is set when an output is replaced."""

    def __init__(self):
        self.published, self.replaced = [], threading.Event()
        self.display_pub = self

    def publish(self, *, data, metadata, transient, update):
        self.published.append((data, transient["display_id"], update))
        if update:
            self.replaced.set()

    def copies(self):
        return sum(update for *_, update in self.published)


@pytest.fixture
def shell(monkeypatch):
    made = Shell()
    monkeypatch.setattr(surroundings, "shell", lambda: made)
    return made


def steer_nothing(command, fields, answer):
    raise AssertionError(command)


def view_of(task, steer=steer_nothing, **more):
    return live.LiveView(task, steer=steer, **more)


def told(view):
    return json.loads(view._widget.told)


def press(view, kind, **fields):
    """As the page does when somebody presses a button."""
    view._widget._handle_custom_msg({"id": 1, "request": {"type": kind, **fields}}, [])


def finished(lived):
    return lived.complete("research", 1).add(ev.TaskComplete, duration_s=1).task


def test_a_view_shows_moves_and_leaves_plain_html(shell, life):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, notes=("a note",), passing=("another is live",))
    view.show()
    data, display_id, update = shell.published[0]
    assert data.keys() == {WIDGET, "text/html", "text/plain"}
    assert not update
    assert "another is live" in data["text/html"]
    assert told(view)["notes"] == ["a note", "another is live"]
    view.update(lived.updated(percent=50, message="half"))
    view.update(finished(lived))
    assert shell.replaced.wait(10)
    data, again, _ = shell.published[-1]
    assert again == display_id
    assert WIDGET not in data
    assert "completed" in data["text/html"]
    assert "a note" in data["text/html"]
    assert "another is live" not in data["text/html"], "it may have ended too"


def test_nothing_is_sent_where_nothing_changed(shell, life):
    task = life().start("research").updated(percent=10)
    view = view_of(task)
    sent = []
    view._widget.observe(lambda change: sent.append(change.name))
    for percent in (10, 10, 11, 11):
        view.update(task.changed(message=f"{percent} of 100"))
        view.paint()
    assert sent == ["told", "told"]


def test_a_page_hears_every_few_seconds_that_the_kernel_is_there(shell, life, monkeypatch):
    view = view_of(life().start("research").task)
    sent = []
    view._widget.observe(lambda change: sent.append(change.name))
    view.paint()
    assert sent == []
    monkeypatch.setattr(live, "BEAT_S", 0)
    view.paint()
    assert sent == ["at"]


def test_the_last_lines_are_told_and_of_large_inputs_the_size(shell, life):
    task = life(inputs={"rows": list(range(10_000))}).start("research").task
    view = view_of(task)
    lines = [LogLine(stream="stdout", text=f"line {n}", at=task.updated_at) for n in range(60)]
    view.update(task, lines)
    view.paint()
    assert [line["text"] for line in told(view)["tail"]] == [f"line {n}" for n in range(10, 60)]
    assert told(view)["snapshot"]["inputs"] == {"rows": "(48,891 bytes of JSON)"}


def test_a_task_that_has_ended_is_shown_at_once_without_a_widget(shell, life):
    task = life().start("research").fail("research").task
    view_of(task).show()
    data, _, update = shell.published[0]
    assert WIDGET not in data
    assert not update


def test_a_retry_that_the_widget_asked_for_is_shown_where_it_was(shell, life):
    asked = []
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, steer=lambda command, fields, answer: asked.append((command, fields)))
    view.show()
    view.update(lived.fail("research").task)
    assert shell.replaced.wait(10)
    shell.replaced.clear()
    press(view, "retry", if_seq=4)
    assert asked == [("retry", {"if_seq": 4})]
    view.update(lived.add(ev.TaskRetried, by="ada", from_phase="research").task)
    assert shell.replaced.wait(10)
    assert WIDGET in shell.published[-1][0]
    assert told(view)["snapshot"]["state"] == "queued"
    shell.replaced.clear()
    view.update(
        lived.start("research", attempt=2).add(ev.CancelRequested, by="ada").add(ev.TaskCancelled, by="ada").task
    )
    assert shell.replaced.wait(10), "the painter would go on in another test"
    assert WIDGET not in shell.published[-1][0]


def test_what_waits_for_a_person_is_copied_into_the_output_once(shell, life):
    lived = life().start("research")
    view = view_of(lived.task)
    view.show()
    view.update(lived.complete("research", 1).add(ev.ApprovalRequested, phase="planning", output=1, revision=1).task)
    assert shell.replaced.wait(10)
    data, display_id, _ = shell.published[-1]
    assert display_id == shell.published[0][1]
    assert WIDGET in data
    assert "waiting for approval" in data["text/plain"]
    assert "waits for approval before planning" in data["text/html"]
    for _ in range(3):
        view.paint()
    assert len(shell.published) == 2
    shell.replaced.clear()
    view.update(lived.add(ev.CancelRequested, by="ada").add(ev.TaskCancelled, by="ada").task)
    assert shell.replaced.wait(10), "the painter would go on in another test"


def test_a_short_wait_for_another_attempt_is_not_copied_a_long_one_is(shell, life):
    task = life().start("research").fail("research", then="retry").task
    view = view_of(life().start("research").task)
    for seconds, copies in ((5, 0), (3600, 1)):
        view.update(task.changed(retry_at=datetime.now(UTC) + timedelta(seconds=seconds), seq=task.seq + seconds))
        view.paint()
        assert shell.copies() == copies


def test_where_the_page_may_show_it_itself_all_forms_are_there_and_the_copy_follows(shell, life, monkeypatch):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, epoch="e1", notes=("a note",))
    view.show()
    monkeypatch.setattr(live, "COPY_S", 0)
    view.update(lived.updated(percent=12))
    assert shell.replaced.wait(10)
    for data, *_ in shell.published:
        assert data.keys() == {TASK, WIDGET, "text/html", "text/plain"}
        assert data[TASK]["notes"] == ["a note"]
    assert "running, 12 %" in shell.published[-1][0]["text/plain"]
    copies = len(shell.published)
    view.paint()
    assert len(shell.published) == copies, "nothing changed"
    shell.replaced.clear()
    view.update(finished(lived))
    assert shell.replaced.wait(10)
    assert WIDGET not in shell.published[-1][0]


def test_a_widget_that_a_page_has_drawn_is_not_drawn_anew_by_each_copy(shell, life, monkeypatch):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, epoch="e1")
    monkeypatch.setattr(live, "COPY_S", 0)
    view.update(lived.updated(percent=12))
    view.paint()
    view._widget._handle_custom_msg({"drawn": True}, [])
    view.update(lived.updated(percent=13))
    view.paint()
    assert shell.copies() == 1


def test_a_copy_is_not_made_at_each_step(shell, life):
    lived = life().start("research")
    view = view_of(lived.task, epoch="e1")
    for percent in (10, 20, 30):
        view.update(lived.updated(percent=percent))
        view.paint()
    assert shell.published == []


def test_a_saved_notebook_changes_at_transitions_and_between_them_once_a_minute(shell, life):
    lived = life().start("research")
    view = view_of(lived.task, epoch="e1")

    def copied(task, after_s):
        before = shell.copies()
        view._copied_at = datetime.now(UTC) - timedelta(seconds=after_s)
        view.update(task)
        view.paint()
        return shell.copies() - before

    assert copied(lived.updated(percent=10), 55) == 0
    assert copied(lived.updated(percent=20), 61) == 1
    assert copied(lived.complete("research").start("planning").task, 2) == 0
    assert copied(lived.task, 6) == 1
    assert copied(lived.task.changed(message="next"), 55) == 0


def test_a_task_that_has_ended_leaves_no_code_in_the_widget_and_a_retry_brings_it_back(shell, life):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task)
    code, look = view._widget._esm, view._widget._css
    view.update(lived.fail("research").task)
    view.paint()
    widget = view._widget
    assert len(widget._esm) < 100
    assert widget._css == widget.told == ""
    assert "no such column" in widget.copy
    assert "<style" not in widget.copy
    view.update(lived.add(ev.TaskRetried, by="ada", from_phase="research").task)
    view.paint()
    assert (widget._esm, widget._css, widget.copy) == (code, look, "")
    assert told(view)["snapshot"]["state"] == "queued"


def test_the_cards_of_one_place_share_a_style_sheet(shell, life, monkeypatch):
    task = life().start("research").fail("research").task
    monkeypatch.setattr(live, "_styled", set())
    for place, styles in ((1, True), (1, False), (2, True), (None, True), (None, False)):
        monkeypatch.setattr(surroundings, "output_place", lambda place=place: place)
        view_of(task).show()
        assert ("<style>" in shell.published[-1][0]["text/html"]) is styles


def test_a_cells_end_finds_what_has_ended_painted(shell, life):
    ended = []

    class Events:
        def register(self, name, call):
            ended.append((name, call))

    shell.events = Events()
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task)
    live.PAINTER.add(view)
    ((name, at_end),) = ended
    assert name == "post_run_cell"
    view.update(finished(lived))
    at_end(None)
    assert "completed" in shell.published[-1][0]["text/plain"]


def test_a_page_that_can_draw_no_widget_has_html_that_follows(shell, life, monkeypatch):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, steer=None)
    view.show()
    monkeypatch.setattr(live, "HTML_S", 0)
    view.update(lived.updated(percent=12))
    assert shell.replaced.wait(10)
    assert [data.keys() for data, *_ in shell.published] == [{"text/html", "text/plain"}] * 2
    assert "running, 12 %" in shell.published[-1][0]["text/html"]
    shell.replaced.clear()
    view.update(finished(lived))
    assert shell.replaced.wait(10)
