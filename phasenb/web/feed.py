"""The feed: snapshots of the tasks in scope, in pages, then the events of all of them.

Rules: the feed hears of events before the first page is read, so none is missed; a task's events are given out only
after the page that holds its snapshot, and start behind that snapshot. A cursor is opaque to clients: the newest
``updated_at`` in scope before the first page was read; a task that changed at that very time, or while the pages were
read, is told twice rather than never. It counts for a client that has read the last page.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import orjson

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.base import format_time
from phasenb.dto.task_state import TERMINAL, State, TaskState
from phasenb.errors import BadMessage
from phasenb.web.message_protocol import Feed as FeedPage
from phasenb.web.message_protocol import SubscribeFeed
from phasenb.web.pages import texts_of
from phasenb.web.subscriber import Feed, Subscriber

PAGE_TASKS = 100
_VERSION = "1"  # of the cursor
_LIVE_STATES = tuple(state for state in State if state not in TERMINAL)
_BEGINNING = datetime.fromtimestamp(0, UTC)
_Seen = tuple[int, bool]  # a told snapshot's seq, and whether it is terminal


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
    subscriber: Subscriber, manager: PhaseManager, command: SubscribeFeed, session: str | None, *, over_wire: bool
) -> None:
    """Send the pages, then let the events go. ``subscriber.feed`` is set and announced by the hub already.

    ``over_wire``: as JSON text, in pages that are bounded in bytes too.
    """
    feed = subscriber.feed
    send = partial(_send_text if over_wire else _send, subscriber, command.id)
    since = time_of(command.after) if command.after is not None else None
    seen: dict[str, _Seen] = {}
    cursor = cursor_of(await _changed_at(manager, subscriber.owner, session, since))
    page: list[TaskState] = []
    async for task in _in_scope(manager, subscriber.owner, session, since):
        if task.task_id in seen:
            continue
        if len(page) == PAGE_TASKS:
            await send(page, cursor, more=True)
            page = []
            await subscriber.outbox.room()
        seen[task.task_id] = (task.seq, task.state.terminal)
        page.append(task)
    for task in await _changed_meanwhile(subscriber, manager, seen):
        seen[task.task_id] = (task.seq, task.state.terminal)
        page.append(task)
    await send(page, cursor, more=False)
    if feed is not None and subscriber.feed is feed:
        _let_go(subscriber, feed, seen)


async def _changed_at(manager: PhaseManager, owner: str, session: str | None, since: datetime | None) -> datetime:
    newest = await manager.store.changed_at(owner, session=session)
    return max(since or _BEGINNING, newest or _BEGINNING)


async def _in_scope(
    manager: PhaseManager, owner: str, session: str | None, since: datetime | None
) -> AsyncIterator[TaskState]:
    """Tasks that are not terminal, and those changed at ``since`` or later."""
    picks: list[tuple[State | None, datetime | None]] = [(state, None) for state in _LIVE_STATES]
    for state, changed in picks if since is None else [*picks, (None, since)]:
        before: str | None = None
        while True:
            tasks = await manager.store.tasks(
                owner, session=session, state=state, limit=PAGE_TASKS, before=before, changed_since=changed
            )
            for task in tasks:
                yield manager.with_progress(task)
            if len(tasks) < PAGE_TASKS:
                break
            before = tasks[-1].task_id


async def _changed_meanwhile(subscriber: Subscriber, manager: PhaseManager, seen: dict[str, _Seen]) -> list[TaskState]:
    """Tasks that had an event while the pages were read, and are in none of them: one that moved between two states."""
    found = []
    for task_id, subscription in list(subscriber.subscriptions.items()):
        if not subscription.explicit and task_id not in seen:
            stored = await manager.store.find(task_id)
            if stored is not None:
                found.append(manager.with_progress(stored.task))
    return found


async def _send(subscriber: Subscriber, reply_to: str, tasks: list[TaskState], cursor: str, *, more: bool) -> None:
    page = FeedPage(reply_to=reply_to, tasks=tuple(tasks), cursor=cursor, next=cursor if more else None)
    subscriber.outbox.reply(page)


async def _send_text(subscriber: Subscriber, reply_to: str, tasks: list[TaskState], cursor: str, *, more: bool) -> None:
    said, cursor = orjson.dumps(reply_to).decode(), orjson.dumps(cursor).decode()
    while True:
        texts = await texts_of(tasks)
        tasks = tasks[len(texts) :]
        following = cursor if more or tasks else "null"
        text = f'{{"type":"feed","reply_to":{said},"tasks":[{",".join(texts)}],"cursor":{cursor},"next":{following}}}'
        subscriber.outbox.reply(text)
        if not tasks:
            return
        await subscriber.outbox.room()


def _let_go(subscriber: Subscriber, feed: Feed, seen: dict[str, _Seen]) -> None:
    """Start every subscription of the feed behind its snapshot. No awaiting: nothing is announced in between."""
    feed.opening = False
    for task_id, (seq, terminal) in seen.items():
        subscription = subscriber.subscriptions.get(task_id)
        if subscription is None and not terminal:
            subscription = subscriber.subscribe(task_id, explicit=False)
        if subscription is not None and not subscription.explicit:
            subscriber.start(subscription, seq, seq)
    for task_id, subscription in list(subscriber.subscriptions.items()):
        if not subscription.explicit and task_id not in seen:
            # It began after the last look: all of its events, from the log.
            subscriber.start(subscription, 0, subscription.announced)
