"""Which session a notebook's path stands for; see core.notebooks. Jobs for the writer, but for ``known``."""

from __future__ import annotations

import secrets

from phasenb.core.notebooks import session_of
from phasenb.store import statements as sql
from phasenb.store.statements import Cursor


def known(cursor: Cursor, owner: str, path: str) -> str | None:
    """The session of the notebook at ``path``, if it is known."""
    row = sql.SESSION_OF_NOTEBOOK.one(cursor, owner=owner, path=path)
    return str(row[0]) if row else None


def session(cursor: Cursor, owner: str, path: str) -> str:
    """The same; one of its own is made where the path is not known."""
    found = known(cursor, owner, path)
    if found is not None:
        return found
    name = session_of(path)
    if sql.NOTEBOOK_OF_SESSION.one(cursor, owner=owner, session=name):
        name = session_of(path, end=secrets.token_hex(6))
    sql.INSERT_NOTEBOOK.run(cursor, owner=owner, session=name, path=path)
    return name


def move(cursor: Cursor, old: str, new: str | None) -> None:
    """``new`` None: they are nowhere any more."""
    if new == old:
        return
    sql.FORGET_NOTEBOOKS.run(cursor, **_there(new or old))
    if new is not None:
        sql.MOVE_NOTEBOOKS.run(cursor, **_there(old), new=new, rest=len(old) + 1)


def _there(path: str) -> dict[str, str]:
    return {"at": path, "below": f"{path}/", "above": f"{path}0"}
