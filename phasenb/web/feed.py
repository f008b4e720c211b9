"""The feed: snapshots of the tasks in scope, in pages, then the events of all of them.

Rules: the feed hears of events before the first page is read, so none is missed; a task's events are given out only
after the page that holds its snapshot, and start behind that snapshot. A cursor is opaque to clients: the newest
``updated_at`` at the time of reading; a task that changed at that very time is told twice rather than never.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.base import format_time
from phasenb.dto.task_state import TERMINAL, State, TaskState
from phasenb.errors import BadMessage
from phasenb.web.message_protocol import Feed as FeedPage
from phasenb.web.subscriber import Feed, Subscriber

PAGE_TASKS = 100
_ALL = 2**31 - 1
_VERSION = "1"  # of the cursor
_LIVE_STATES = tuple(state for state in State if state not in TERMINAL)


def cursor_of(at: datetime) -> str:
    return base64.urlsafe_b64encode(f"{_VERSION}:{format_time(at)}".encode()).decode()


def time_of(cursor: str) -> datetime:
    """Raises BadMessage for what no server of ours gave out."""
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        version, _, at = text.partition(":")
        return datetime.fromisoformat(at if version == _VERSION else "another version").astimezone(UTC)
    except (ValueError, binascii.Error):
        raise BadMessage("`subscribe_feed` is not valid", {"after": "not a cursor of this server"}) from None


async def open_feed(
    subscriber: Subscriber, manager: PhaseManager, reply_to: str, session: str | None, after: str | None
) -> None:
    """Send the pages, then let the events go. ``subscriber.feed`` is set and announced by the hub already."""
    feed = subscriber.feed
    since = time_of(after) if after is not None else None
    seen: dict[str, TaskState] = {}
    newest = since or datetime.fromtimestamp(0, UTC)
    page: list[TaskState] = []
    async for task in _in_scope(manager, subscriber.owner, session, since):
        if task.task_id in seen:
            continue
        if len(page) == PAGE_TASKS:
            _send(subscriber, reply_to, page, newest, more=True)
            page = []
            await subscriber.outbox.room()
        seen[task.task_id] = task
        newest = max(newest, task.updated_at)
        page.append(task)
    for task in await _changed_meanwhile(subscriber, manager, seen):
        seen[task.task_id] = task
        newest = max(newest, task.updated_at)
        page.append(task)
    _send(subscriber, reply_to, page, newest, more=False)
    if feed is not None and subscriber.feed is feed:
        _let_go(subscriber, feed, seen)


async def _in_scope(
    manager: PhaseManager, owner: str, session: str | None, since: datetime | None
) -> AsyncIterator[TaskState]:
    """Tasks that are not terminal, and those changed at ``since`` or later."""
    for state in _LIVE_STATES:
        before: str | None = None
        while True:
            tasks = await manager.store.tasks(owner, session=session, state=state, limit=PAGE_TASKS, before=before)
            for task in tasks:
                yield manager.with_progress(task)
            if len(tasks) < PAGE_TASKS:
                break
            before = tasks[-1].task_id
    if since is not None:
        # In one piece: an index of times can't be read in pages of ids.
        for task in await manager.store.tasks(owner, session=session, limit=_ALL, changed_since=since):
            yield manager.with_progress(task)


async def _changed_meanwhile(
    subscriber: Subscriber, manager: PhaseManager, seen: dict[str, TaskState]
) -> list[TaskState]:
    """Tasks that had an event while the pages were read, and are in none of them: one that moved between two states."""
    found = []
    for task_id, subscription in list(subscriber.subscriptions.items()):
        if not subscription.explicit and task_id not in seen:
            stored = await manager.store.find(task_id)
            if stored is not None:
                found.append(manager.with_progress(stored.task))
    return found


def _send(subscriber: Subscriber, reply_to: str, tasks: list[TaskState], newest: datetime, *, more: bool) -> None:
    cursor = cursor_of(newest)
    page = FeedPage(reply_to=reply_to, tasks=tuple(tasks), cursor=cursor, next=cursor if more else None)
    subscriber.outbox.reply(page)


def _let_go(subscriber: Subscriber, feed: Feed, seen: dict[str, TaskState]) -> None:
    """Start every subscription of the feed behind its snapshot. No awaiting: nothing is announced in between."""
    feed.opening = False
    for task_id, task in seen.items():
        subscription = subscriber.subscriptions.get(task_id)
        if subscription is None and not task.state.terminal:
            subscription = subscriber.subscribe(task_id, explicit=False)
        if subscription is not None and not subscription.explicit:
            subscriber.start(subscription, task.seq, task.seq)
    for task_id, subscription in list(subscriber.subscriptions.items()):
        if not subscription.explicit and task_id not in seen:
            # It began after the last look: all of its events, from the log.
            subscriber.start(subscription, 0, subscription.announced)
