"""The live card: painted by one thread, only where something changed, and replaced by plain HTML at the end."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from phasenb.display import live, surroundings
from phasenb.dto import events as ev


class Shell:
    """What a kernel's display publisher is given; ``replaced`` is set when an output is replaced."""

    def __init__(self):
        self.published, self.replaced = [], threading.Event()
        self.display_pub = self

    def publish(self, *, data, metadata, transient, update):
        self.published.append((data, transient["display_id"], update))
        if update:
            self.replaced.set()


@pytest.fixture
def shell(monkeypatch):
    made = Shell()
    monkeypatch.setattr(surroundings, "shell", lambda: made)
    return made


def view_of(task, **more):
    return live.LiveView(task, steer=more.pop("steer", lambda command, task: None), **more)


def test_a_view_shows_moves_and_leaves_plain_html(shell, life):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, notes=("a note",), passing=("another is live",))
    view.show()
    data, display_id, update = shell.published[0]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert {"text/html", "text/plain"} <= data.keys()
    assert not update
    assert "another is live" in data["text/html"]
    view.update(lived.updated(percent=50, message="half"))
    view.update(lived.complete("research", 1).add(ev.TaskComplete, duration_s=1).task)
    assert shell.replaced.wait(10)
    data, again, _ = shell.published[-1]
    assert again == display_id
    assert "application/vnd.jupyter.widget-view+json" not in data
    assert "completed" in data["text/html"]
    assert "a note" in data["text/html"]
    assert "another is live" not in data["text/html"], "it may have ended too"


def test_nothing_is_repainted_where_nothing_changed(shell, life):
    task = life().start("research").updated(percent=10)
    view = view_of(task.changed(started_at=None))
    painted = []
    view._card.html.observe(lambda change: painted.append(change.new), "value")
    for _ in range(5):
        view.update(task.changed(started_at=None))
        view.paint()
    assert len(painted) == 1


def test_a_task_that_has_ended_is_shown_at_once_without_a_widget(shell, life):
    task = life().start("research").fail("research").task
    view_of(task).show()
    data, _, update = shell.published[0]
    assert "application/vnd.jupyter.widget-view+json" not in data
    assert not update


def shown(view):
    return [name for name, button in view._card.buttons.items() if button.layout.display != "none"]


def test_buttons_follow_what_the_state_allows_and_ask_once(shell, life):
    asked = []
    running = life().start("research")
    view = view_of(running.task, steer=lambda command, task: asked.append((command, task.seq)))
    view.paint()
    assert shown(view) == ["pause", "cancel"]
    view._card.buttons["cancel"].click()
    view.paint()
    assert asked == [("cancel", running.task.seq)]
    assert view._card.buttons["cancel"].disabled
    assert not view._card.buttons["pause"].disabled
    view.update(running.add(ev.CancelRequested, by="ada").task)
    view.paint()
    assert shown(view) == []


def test_a_gate_offers_to_approve_and_to_deny(shell, life):
    waiting = life().start("research").complete("research", {"rows": 344})
    waiting.add(ev.ApprovalRequested, phase="planning", output={"rows": 344}, revision=1)
    view = view_of(waiting.task)
    view.paint()
    assert shown(view) == ["approve", "deny", "pause", "cancel"]
    assert "waits for approval before planning" in view._card.html.value
    assert "{&quot;rows&quot;:344}" in view._card.html.value


def test_what_waits_for_a_person_is_copied_into_the_output_once(shell, life):
    lived = life().start("research")
    view = view_of(lived.task)
    view.show()
    view.update(lived.complete("research", 1).add(ev.ApprovalRequested, phase="planning", output=1, revision=1).task)
    assert shell.replaced.wait(10)
    data, display_id, _ = shell.published[-1]
    assert display_id == shell.published[0][1]
    assert "application/vnd.jupyter.widget-view+json" in data
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
        assert sum(update for *_, update in shell.published) == copies


def test_where_the_page_shows_it_no_widget_is_made_and_the_copy_follows(shell, life, monkeypatch):
    lived = life(phases=("research",)).start("research")
    view = view_of(lived.task, epoch="e1")
    view.show()
    monkeypatch.setattr(live, "COPY_S", 0)
    view.update(lived.updated(percent=12))
    assert shell.replaced.wait(10)
    for data, *_ in shell.published:
        assert data.keys() == {"application/vnd.phasenb.task+json", "text/html", "text/plain"}
    assert "running, 12 %" in shell.published[-1][0]["text/plain"]
    copies = len(shell.published)
    view.paint()
    assert len(shell.published) == copies, "nothing changed"
    shell.replaced.clear()
    view.update(lived.complete("research", 1).add(ev.TaskComplete, duration_s=1).task)
    assert shell.replaced.wait(10)


def test_a_copy_is_not_made_at_each_step(shell, life):
    lived = life().start("research")
    view = view_of(lived.task, epoch="e1")
    for percent in (10, 20, 30):
        view.update(lived.updated(percent=percent))
        view.paint()
    assert shell.published == []
