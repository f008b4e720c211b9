"""The tables. One task is one row of ``tasks``, one of ``launches``, and its log in ``events``.

Rules:

* ``events.body`` and ``results.body`` are the JSON as it was made, never parsed by SQL; the columns beside it are what
  queries filter on.
* A task's inputs never change, and may be big: they are in ``launches``, not in the snapshot that each event rewrites.
* Code, and its source, is kept once for each content. Times are RFC 3339 text: text order is time order.
* ``events.id`` is the order of commits of the whole store; ``events.seq`` that of one task.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()

meta = Table("phasenb_meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

migrations = Table(
    "phasenb_migrations",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("applied_at", Text, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("reversed_id", Text, nullable=False, unique=True),  # a suffix is found as a prefix of this
    Column("owner", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("snapshot", Text, nullable=False),  # TaskState as JSON, without inputs
    Column("host", Text),  # whose it is while it lives: a host, "" for nobody's; null once it has ended
    Column("fence", Integer, nullable=False, server_default="0"),
    Column("executor", Text),
    Column("notebook", Integer),  # notebooks.id: where the notebook that launched it is now
    Column("name", Text, nullable=False, server_default=""),
    Index("tasks_of_host", "host"),
    Index("tasks_of_owner", "owner", "task_id"),
    Index("tasks_of_session", "owner", "session", "task_id"),
    Index("tasks_in_state", "owner", "state", "task_id"),
    Index("tasks_named", "owner", "name", "task_id"),
    Index("tasks_changed", "owner", "updated_at"),
)

notebooks = Table(
    "notebooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("path", Text),  # absolute; null once it was deleted
    UniqueConstraint("owner", "path"),
    UniqueConstraint("owner", "session"),
    Index("notebooks_at", "path"),
)

hosts = Table(
    "hosts",
    metadata,
    Column("host", Text, primary_key=True),
    Column("machine", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", Text, nullable=False),
    Column("counter", Integer, nullable=False),
)

launches = Table(
    "launches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.task_id"), nullable=False, unique=True),
    Column("owner", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("key", Text),
    Column("inputs", Text, nullable=False),
    Column("body", Text),  # Launch as JSON, without inputs and without code that is text
    Column("code_hash", Text, ForeignKey("code.hash")),
    UniqueConstraint("owner", "session", "idempotency_key"),
    Index("launches_by_key", "owner", "session", "key", "id"),
)

# Texts that launches share: their code, and its source. ``hash`` is that of ``body``, so that one who launches can give
# others nothing but what they gave themselves.
code = Table("code", metadata, Column("hash", Text, primary_key=True), Column("body", Text, nullable=False))

# What a task's launch, and its retries with other code, brought for people to read: {phase: the text of its function}.
sources = Table(
    "sources",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.task_id"), primary_key=True),
    Column("code", Text, primary_key=True),  # dto.launch.code_id
    Column("text_hash", Text, ForeignKey("code.hash"), nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.task_id"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("task_id", "seq"),
)

results = Table(
    "results",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.task_id"), nullable=False),
    Column("phase", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("task_id", "phase", "attempt", "kind", "revision"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.task_id"), primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("body", Text, nullable=False),
)

logs = Table(
    "logs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("task_id", Text, ForeignKey("tasks.task_id"), nullable=False),
    Column("phase", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("line", Integer, nullable=False),
    Column("stream", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("text", Text, nullable=False),
    Index("logs_of_task", "task_id", "id"),
)
