"""The kernel's side of the widget: one model, what it is told, what its buttons ask for, what they are answered."""

from datetime import UTC, datetime

import pytest
from ipywidgets.widgets.widget import _instances

from phasenb.display.widget import TaskWidget, told
from phasenb.dto import events as ev
from phasenb.errors import Conflict

AT = datetime(2026, 1, 1, 14, 3, tzinfo=UTC)


class Page:
    """A widget and what its page is sent; ``asked`` is what was steered."""

    def __init__(self, task):
        self.asked, self.sent = [], []
        self.widget = TaskWidget(self._steer, told(task, (), ()), AT)
        self.widget.send = self.sent.append

    def _steer(self, command, fields, answer):
        self.asked.append((command, fields))
        self.answer = answer

    def press(self, request, **given):
        self.widget._handle_custom_msg({"id": 7, "request": request, "given": given}, [])


@pytest.fixture
def page(life):
    waiting = life().start("research").complete("research", {"rows": 344})
    return Page(waiting.add(ev.ApprovalRequested, phase="planning", output={"rows": 344.0}, revision=1).task)


def test_a_task_is_one_model(life):
    before = set(_instances)
    page = Page(life().task)
    assert set(_instances) - before == {page.widget.model_id}


def test_numbers_are_told_as_they_are(page):
    assert '"output":{"rows":344.0}' in page.widget.told


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        ({"type": "cancel", "task_id": "t"}, ("cancel", {})),
        ({"type": "pause", "task_id": "t"}, ("pause", {})),
        ({"type": "resume", "task_id": "t"}, ("resume", {})),
        ({"type": "retry", "task_id": "t", "if_seq": 9}, ("retry", {"if_seq": 9})),
        ({"type": "approve", "phase": "planning", "if_seq": 4}, ("approve", {"phase": "planning", "if_seq": 4})),
        (
            {"type": "deny", "phase": "planning", "if_seq": 4, "reason": "no", "redo": "research", "id": "x"},
            ("deny", {"phase": "planning", "if_seq": 4, "reason": "no", "redo": "research"}),
        ),
    ],
)
def test_a_button_asks_for_what_it_says(page, request_, asked):
    page.press(request_)
    assert page.asked == [asked]


def test_an_edit_is_taken_as_it_was_written(page):
    page.press({"type": "approve", "phase": "planning", "if_seq": 4}, edit='{"rows": 344.0, "seed": 12345678901234567}')
    (_, fields) = page.asked[0]
    assert repr(fields["edit"]) == "{'rows': 344.0, 'seed': 12345678901234567}"


def test_the_page_is_answered_when_it_is_done(page):
    page.press({"type": "cancel"})
    assert page.sent == []
    page.answer(None)
    assert page.sent == [{"id": 7, "error": None}]


def test_the_page_is_told_why_it_was_not_done(page):
    page.press({"type": "approve", "phase": "planning", "if_seq": 3})
    page.answer(Conflict("01K", "someone else answered"))
    (told,) = page.sent
    assert told["error"]["code"] == "conflict"
    assert "someone else answered" in told["error"]["message"]


@pytest.mark.parametrize(
    ("request_", "given"),
    [
        ({"type": "launch", "code": "evil"}, {}),
        ({}, {}),
        ({"type": "approve", "phase": "planning", "if_seq": 4}, {"edit": "{"}),
    ],
)
def test_what_no_button_asks_for_is_refused(page, request_, given):
    page.press(request_, **given)
    assert page.asked == []
    assert page.sent[0]["error"]["code"] == "bad_message"


def test_a_closed_widget_is_gone(page):
    model = page.widget.model_id
    page.widget.close()
    assert model not in _instances
