"""Commands that steer a task, from the socket and over HTTP: who may give them, and what PhaseManager is asked for.

Rules: the reply is ``ok`` once the change is durable; code and pickled objects need here what they need in a launch.
"""

from __future__ import annotations

from typing import Any

from phasenb.core.phase_manager import PhaseManager
from phasenb.dto.values import Json, is_reference
from phasenb.errors import BadMessage
from phasenb.web import message_protocol as protocol
from phasenb.web.identity import Identity
from phasenb.web.keeping import kept
from phasenb.web.launching import check_object, check_runtime

JsonObject = dict[str, Any]


def parse_steering(kind: str, task_id: str, body: JsonObject) -> protocol.SteeringCommand:
    """The command that an HTTP body is, whose path says ``kind`` and ``task_id``. Raises BadMessage."""
    said = {name: "the path says this already" for name in body if name in ("id", "type", "task_id")}
    if said:
        raise BadMessage(f"`{kind}` is not valid", said)
    command = protocol.parse_command({**body, "id": "http", "type": kind, "task_id": task_id})
    assert isinstance(command, protocol.SteeringCommand), kind
    return command


async def steer(manager: PhaseManager, identity: Identity, session: str, command: protocol.SteeringCommand) -> None:
    """Do what a command asks for. Raises Forbidden, CodeNotAllowed, UnknownObject, and what PhaseManager raises."""
    owner, by = identity.owner, identity.name
    await identity.require("write", command.task_id)
    if command.task_id is None:
        manager.resume_launches(owner, session)
        return
    task_id = await manager.resolve(owner, command.task_id, session=session, changes=True)
    if isinstance(command, protocol.Cancel):
        await manager.cancel(owner, task_id, by)
    elif isinstance(command, protocol.Pause):
        await manager.pause(owner, task_id, by)
    elif isinstance(command, protocol.Resume):
        await _check_secrets(identity, command.secret_values)
        await manager.resume(owner, task_id, by, protocol.plain(command.secret_values))
    elif isinstance(command, protocol.GiveUp):
        await manager.give_up(owner, task_id, by, command.if_seq)
    elif isinstance(command, protocol.Approve):
        edit = await _edit(manager, identity, command)
        await manager.approve(owner, task_id, by, command.phase, command.if_seq, command.note, edit)
    elif isinstance(command, protocol.Deny):
        await manager.deny(owner, task_id, by, command.phase, command.if_seq, command.reason, command.redo)
    elif isinstance(command, protocol.RetryTask):
        await _check_retry(manager, identity, command)
        secrets = protocol.plain(command.secret_values)
        await manager.retry(
            owner,
            task_id,
            by,
            command.from_phase,
            command.if_seq,
            command.code,
            command.runtime,
            command.source,
            secrets,
            command.options,
        )


async def _edit(manager: PhaseManager, identity: Identity, command: protocol.Approve) -> tuple[Json] | None:
    """The edited output as (value,); None where there is none: null is a value."""
    if "edit" not in command.model_fields_set:
        return None
    if is_reference(command.edit):
        if command.edit.get("codec") == "pickle":
            await identity.require("code", what="pickled objects (`edit`)")
        await check_object(manager.store, identity.owner, command.edit, "edit")
    values = await kept(manager.store, identity.owner, {"edit": command.edit}, manager.inline_bytes)
    return (values["edit"],)


async def _check_secrets(identity: Identity, values: protocol.SecretValues) -> None:
    if values:
        await identity.require("code", what="variables of the environment (`secret_values`)")


async def _check_retry(manager: PhaseManager, identity: Identity, command: protocol.RetryTask) -> None:
    """A retry runs a task, as a launch does; new code is code."""
    await identity.require("execute")
    await _check_secrets(identity, command.secret_values)
    if command.runtime is not None:
        await identity.require("code", what="another interpreter (`runtime`)")
        await check_runtime(manager.store, identity.owner, command.runtime)
    code = command.code
    if code is None:
        return
    await identity.require("code", what="code")
    if is_reference(code):
        await check_object(manager.store, identity.owner, code, "code")
    elif not isinstance(code, str):
        raise BadMessage("`retry` is not valid", {"code": "base64 text or an object reference is required"})
