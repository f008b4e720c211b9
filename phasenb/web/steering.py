"""Commands that steer a task: who may give them, and what PhaseManager is asked for.

Rules: the reply is ``ok`` once the change is durable; code and pickled objects need here what they need in a launch.
"""

from __future__ import annotations

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.values import Json, is_reference
from phasenb.errors import BadMessage
from phasenb.web import message_protocol as protocol
from phasenb.web.identity import Identity
from phasenb.web.launching import check_object

Steering = protocol.Cancel | protocol.Pause | protocol.Resume | protocol.Approve | protocol.Deny | protocol.RetryTask


async def steer(manager: PhaseManager, identity: Identity, session: str, command: Steering) -> None:
    """Do what a command asks for. Raises Forbidden, CodeNotAllowed, UnknownObject, and what PhaseManager raises."""
    owner, by = identity.owner, identity.name
    task_id = command.task_id
    await identity.require("write", task_id)
    if task_id is None:
        manager.resume_launches(owner, session)
    elif isinstance(command, protocol.Cancel):
        await manager.cancel(owner, task_id, by)
    elif isinstance(command, protocol.Pause):
        await manager.pause(owner, task_id, by)
    elif isinstance(command, protocol.Resume):
        await manager.resume(owner, task_id, by)
    elif isinstance(command, protocol.Approve):
        edit = await _edit(manager, identity, command)
        await manager.approve(owner, task_id, by, command.phase, command.if_seq, command.note, edit)
    elif isinstance(command, protocol.Deny):
        await manager.deny(owner, task_id, by, command.phase, command.if_seq, command.reason, command.redo)
    elif isinstance(command, protocol.RetryTask):
        await _check_retry(manager, identity, command.code)
        await manager.retry(owner, task_id, by, command.from_phase, command.if_seq, command.code)


async def _edit(manager: PhaseManager, identity: Identity, command: protocol.Approve) -> tuple[Json] | None:
    """The edited output as (value,); None where there is none: null is a value."""
    if "edit" not in command.model_fields_set:
        return None
    if is_reference(command.edit):
        if command.edit.get("codec") == "pickle":
            await identity.require("code", what="pickled objects (`edit`)")
        await check_object(manager.store, identity.owner, command.edit, "edit")
    return (command.edit,)


async def _check_retry(manager: PhaseManager, identity: Identity, code: Json) -> None:
    """A retry runs a task, as a launch does; new code is code."""
    await identity.require("execute")
    if code is None:
        return
    await identity.require("code", what="code")
    if is_reference(code):
        await check_object(manager.store, identity.owner, code, "code")
    elif not isinstance(code, str):
        raise BadMessage("`retry` is not valid", {"code": "base64 text or an object reference is required"})
