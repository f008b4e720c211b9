"""A launch, from the socket and over HTTP: may it bring code, are its objects here, then PhaseManager's turn."""

from __future__ import annotations

from pydantic import ValidationError

from phasenb.core.notebooks import OpenNotebook
from phasenb.core.phase_manager import Launched, PhaseManager
from phasenb.core.ports import Store
from phasenb.dto import problems
from phasenb.dto.launch import Launch, Runtime
from phasenb.dto.values import ObjectRef, as_reference, is_reference
from phasenb.errors import BadMessage, UnknownObject
from phasenb.web.identity import Identity
from phasenb.web.keeping import kept
from phasenb.web.message_protocol import LaunchRequest, plain


async def launch(
    manager: PhaseManager,
    identity: Identity,
    session: str,
    command: LaunchRequest,
    notebook: OpenNotebook | None = None,
) -> Launched:
    """Launch for a client; ``notebook``: where it runs, which it need not know itself after a rename.

    Raises Forbidden, CodeNotAllowed, UnknownObject, BadMessage, PhaseManager's.
    """
    await identity.require("execute")
    await _check_code(identity, command)
    await _check_objects(manager.store, identity.owner, command)
    runtime = command.runtime
    if runtime is not None and notebook is not None:
        runtime = runtime.changed(notebook=notebook.path or runtime.notebook)
    # The command was validated field by field: a second time would cost more than the launch's own commit.
    launch = Launch.model_construct(
        agent=command.agent,
        code=command.code,
        source=command.source,
        phase_options=command.phase_options,
        inputs=await kept(manager.store, identity.owner, command.inputs, manager.inline_bytes),
        options=command.options,
        runtime=runtime,
        idempotency_key=command.idempotency_key,
        traceparent=command.traceparent,
        parent=identity.task,
    )
    return await manager.launch(identity.owner, session, launch, plain(command.secret_values))


async def _check_code(identity: Identity, command: LaunchRequest) -> None:
    """Raises CodeNotAllowed where the launch brings code and this user may bring none (protocol.md)."""
    what = _code_of(command)
    if what is not None:
        await identity.require("code", what=what)


def _code_of(command: LaunchRequest) -> str | None:
    """What in a launch amounts to running the client's code."""
    if command.code is not None:
        return "code"
    if command.runtime is not None:
        return "another interpreter (`runtime`)"
    for name, value in command.inputs.items():
        if is_reference(value) and value.get("codec") == "pickle":
            return f"pickled objects (input `{name}`)"
    if command.options.env or command.options.secrets or command.secret_values:
        # A variable can change what a program loads; a source of a secret is a file of the worker's machine.
        return "variables of the environment (`env`, `secrets`)"
    return "importable names (`recovery`)" if _names_code(command.options.recovery) else None


def _names_code(recovery: object) -> bool:
    """Whether a fallback is named anywhere in a recovery option: that is a name to import."""
    if isinstance(recovery, dict):
        return any((key == "fallback" and value is not None) or _names_code(value) for key, value in recovery.items())
    return isinstance(recovery, list) and any(_names_code(value) for value in recovery)


async def _check_objects(store: Store, owner: str, command: LaunchRequest) -> None:
    """Raises UnknownObject for an object that this owner did not upload, BadMessage for a reference that is none."""
    if command.code is not None and not isinstance(command.code, str):
        if not is_reference(command.code):
            raise BadMessage("`launch` is not valid", {"code": "base64 text or an object reference is required"})
        await check_object(store, owner, command.code, "code")
    for name, value in command.inputs.items():
        if is_reference(value):
            await check_object(store, owner, value, f"inputs.{name}")
    await check_runtime(store, owner, command.runtime)


async def check_runtime(store: Store, owner: str, runtime: Runtime | None) -> None:
    """Raises UnknownObject where this owner has not the object that has the launcher's variables."""
    variables = runtime and runtime.variables
    if variables and not await store.has_object(owner, variables):
        raise UnknownObject(variables)


async def check_object(store: Store, owner: str, value: object, path: str) -> None:
    """Raises UnknownObject for an object that this owner has not, BadMessage for a reference that is none."""
    reference = _reference(value, path)
    if not await store.has_object(owner, reference.hash):
        raise UnknownObject(reference.hash)


def _reference(value: object, path: str) -> ObjectRef:
    try:
        reference = as_reference(value)
    except ValidationError as error:
        said = problems.fields(error, ObjectRef, value)
        told = {f"{path}.{field}": problem for field, problem in said.items()}
        raise BadMessage("an object reference is not valid", told) from None
    if reference is None:
        raise BadMessage("an object reference is not valid", {path: "an object reference is required"})
    return reference
