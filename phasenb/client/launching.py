"""A launch in the making: checked, packed and encoded, as far as possible before anything is sent.

Rules: what can be told to be wrong here is told here (arguments, code that can't travel, inputs that can't be stored);
values that are not small JSON become objects, written by their codec and streamed, so their size never passes the
socket; a launch has one idempotency key however often it is sent.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from phasenb.agents.packing import code_json, pack
from phasenb.agents.sources import sources
from phasenb.client.captured_secrets import captured_notes, refuse_captured
from phasenb.client.runtime import runtime
from phasenb.client.values import Values
from phasenb.client.variables import LaunchersVariables, launchers_variables
from phasenb.codecs import encode, json_object
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.launch_check import check_launch, check_named_phases, nearest
from phasenb.core.parent import current_lineage
from phasenb.core.phase_options import phase_options
from phasenb.core.policy_check import matching_nothing
from phasenb.core.secrets import given_names, too_short
from phasenb.dto.base import new_ulid
from phasenb.dto.launch import LAUNCHER, SHORTEST_SECRET, LaunchOptions, RecoveryOptions
from phasenb.dto.policies import RecoveryPolicy
from phasenb.dto.problems import problems
from phasenb.dto.task_state import State, TaskState
from phasenb.dto.values import Json, ObjectRef, as_reference, is_reference
from phasenb.errors import LaunchError

INLINE_INPUT_BYTES = 262_144
INLINE_TOTAL_BYTES = 2_000_000  # of a message's 4 MiB; beyond it inputs travel as objects, however small
INLINE_CODE_BYTES = 1_000_000
_MISSING: Any = object()
NOT_SENT = ("client", "session", "show")  # options of the launcher's own side


@dataclass(frozen=True)
class Prepared:
    """``command``: the fields of a message. ``uploads``: (hash, file) of objects to be there before it. ``notes``: what
    its launcher should be told, although it can be launched. ``variables``: those of this process that go along.
    """

    name: str
    command: dict[str, Any]
    uploads: tuple[tuple[str, Path], ...] = ()
    folder: Path | None = None
    notes: tuple[str, ...] = ()
    variables: LaunchersVariables | None = None

    def discard(self) -> None:
        """Remove the files to be uploaded. Idempotent."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


NOTHING = Prepared("", {})


def prepare(
    agent: Any, inputs: Mapping[str, Any], values: Values, options: Mapping[str, Any] | None = None
) -> Prepared:
    """Check, pack and encode a launch; ``agent`` is anything ExtendedAgent adapts, or a registered agent's name.

    ``options`` None: the agent's own. Blocks while large inputs are written. Raises LaunchError, UnpicklableCode,
    CapturedTooLarge, ValueNotStorable.
    """
    packed: list[tuple[ExtendedAgent, bytes]] = []
    prepared = _staged(values, lambda folder, written: _launch(agent, inputs, options, folder, written, packed))
    said = prepared.command["options"]
    prepared = _with_variables(prepared, values, said.env, said.secrets)
    notes = [note for extended, code in packed for note in captured_notes(extended, code, _unnamed(prepared, said))]
    return replace(prepared, notes=(*notes, *_notes(said)))


def _unnamed(prepared: Prepared, said: LaunchOptions) -> Collection[str]:
    """The variables of this process that look like secrets, or are its task's, and that the launch doesn't name."""
    found = prepared.variables or launchers_variables(said.env, said.secrets)
    lineage = current_lineage()
    return found.secret if lineage is None else {*found.secret, *lineage.secrets}.difference(said.env, said.secrets)


def _with_variables(prepared: Prepared, values: Values, env: Mapping[str, str], secrets: Collection[str]) -> Prepared:
    """With this process's variables, where the host is on its machine: elsewhere they would name paths of another."""
    if "runtime" not in prepared.command or not values.near:
        return prepared
    lineage = current_lineage()
    found = launchers_variables(env, secrets if lineage is None else {*secrets, *lineage.secrets})
    here = prepared.command["runtime"].changed(variables=found.name)
    return replace(prepared, command={**prepared.command, "runtime": here}, variables=found)


def _notes(options: LaunchOptions) -> tuple[str, ...]:
    try:
        said = RecoveryPolicy().overridden(options.recovery or {})
    except ValidationError:
        return ()  # the host refuses it, by its own policy's rules
    return tuple(f"recovery.{'.'.join(problem.path)}: {problem.told}" for problem in matching_nothing(said))


def attached_note(inputs: Mapping[str, Json], task: TaskState) -> str:
    """What to tell whoever launched ``inputs`` and got ``task``, which its key had launched before.

    Pickled inputs are not compared: equal values may have other bytes.
    """
    names = sorted({*inputs, *task.inputs})
    other = [name for name in names if _differs(inputs.get(name, _MISSING), task.inputs.get(name, _MISSING))]
    told = "attached: its key was launched before, with the code of then"
    if other:
        plural = "s" if len(other) > 1 else ""
        return f'{told} and other input{plural} ({", ".join(other)}): for these, take another key or if_exists="new"'
    if task.state in (State.FAILED, State.CANCELLED):
        return f'{told}, and {task.state}: task.retry(agent=...) runs it on with new code, if_exists="new" begins anew'
    return told


def _differs(given: Json, launched: Json) -> bool:
    if given is _MISSING or launched is _MISSING:
        return True
    if not is_reference(given) and not is_reference(launched):
        return bool(given != launched)
    # A host may keep as an object what was sent inline: the name of such an object tells what it holds.
    values = (value if is_reference(value) else json_object(value)[0].value for value in (given, launched))
    new, old = (ObjectRef.model_validate(value) for value in values)
    return new.hash != old.hash and not (new.codec == old.codec == "pickle" and new.type == old.type)


UNCHANGED: Any = type("Unchanged", (), {"__repr__": lambda self: "UNCHANGED"})()  # None is a value to edit to


def prepare_edit(value: Any, values: Values) -> Prepared:
    """Encode what replaces a phase's output. Raises ValueNotStorable."""

    def edit(folder: ObjectFolder, written: list[ObjectRef]) -> tuple[str, dict[str, Any]]:
        return "edit", {"edit": _inputs({"edit": value}, folder, written)["edit"]}

    return _staged(values, edit)


def prepare_code(agent: Any, values: Values, secrets: Collection[str]) -> Prepared:
    """Pack the code that a retry brings, which runs as this process would run it.

    ``secrets``: those of the retried task, whatever ``agent`` says of itself now. Raises LaunchError,
    UnpicklableCode, CapturedTooLarge.
    """
    extended = ExtendedAgent.of(agent)

    named = {*secrets, *_secret_names(extended.options.get("secrets"))}

    def code(folder: ObjectFolder, written: list[ObjectRef]) -> tuple[str, dict[str, Any]]:
        packed = pack(extended)
        refuse_captured(extended, packed, named)
        command = {"code": _code(packed, folder, written), "source": sources(extended)}
        if extended.options.keys() & RecoveryOptions.model_fields.keys():
            said = _options(extended.options)
            command["options"] = RecoveryOptions(retry=said.retry, timeout=said.timeout)
        return extended.name, {**command, "runtime": runtime()} if values.near else command

    return _with_variables(_staged(values, code), values, {}, named)


def _staged(values: Values, make: Callable[[ObjectFolder, list[ObjectRef]], tuple[str, dict[str, Any]]]) -> Prepared:
    """``make(folder, written)`` gives (name, command), with what it wrote into the folder."""
    folder, path = values.staging()
    written: list[ObjectRef] = []
    try:
        name, command = make(folder, written)
        uploads = {} if path is None else {reference.hash: folder.local_path(reference.hash) for reference in written}
    except BaseException:
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
        raise
    files = tuple((digest, file) for digest, file in uploads.items() if file is not None)
    return Prepared(name, command, files, path if files else None)


def _launch(
    agent: Any,
    inputs: Mapping[str, Any],
    options: Mapping[str, Any] | None,
    folder: ObjectFolder,
    written: list[ObjectRef],
    packed: list[tuple[ExtendedAgent, bytes]],
) -> tuple[str, dict[str, Any]]:
    """``packed`` gets the code, where the agent brings any."""
    command: dict[str, Any] = {"idempotency_key": new_ulid(), **_trace()}
    if isinstance(agent, str):
        command["agent"] = name = agent
        command["options"] = _options(options or {})
    else:
        extended = ExtendedAgent.of(agent)
        name = extended.name
        given = {**(extended.options if options is None else options), "agent": name}
        if extended.built:
            spec = extended.spec()
            check_launch(spec, inputs)
            given = {**given, "phases": spec.phases}
            command["phase_options"] = phase_options(spec)
        command["options"] = said = _options(given)
        code = pack(extended)
        refuse_captured(extended, code, said.secrets)
        packed.append((extended, code))
        command["code"] = _code(code, folder, written)
        command["source"] = sources(extended)
        command["runtime"] = runtime()
    command["inputs"] = _inputs(inputs, folder, written)
    values = secret_values(given_names(command["options"]))
    if values:
        command["secret_values"] = values
    return name, command


def _trace() -> dict[str, str]:
    """The span that this launch is made in, where this process uses OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return {"traceparent": carrier["traceparent"]} if "traceparent" in carrier else {}


def _options(given: Mapping[str, Any]) -> LaunchOptions:
    said = {name: value for name, value in given.items() if name not in NOT_SENT and value is not None}
    if "approve_before" in said:
        said["approve_before"] = _approve_before(said["approve_before"], said.get("phases"))
    if "env" in said:
        said["env"] = _env(said["env"])
    if "secrets" in said:
        said["secrets"] = _secrets(said["secrets"], said.get("env", {}))
    try:
        return LaunchOptions.model_validate(said)
    except ValidationError as error:
        first = problems(error, LaunchOptions, said)[0]
        raise LaunchError(f"the option `{first.place}` is not valid: {first.told}", argument=first.place) from None


def _names(option: str, given: Any) -> tuple[str, ...]:
    """A list of names; one name alone is meant as a list of one."""
    names = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise LaunchError(f"the option `{option}` is a list of names: {name!r:.80} is none", argument=option)
    return names


def _approve_before(names: Any, phases: Sequence[str] | None) -> tuple[str, ...]:
    """``phases`` None: those of an agent that only the host knows, and which it checks."""
    named = _names("approve_before", names)
    if phases is not None:
        check_named_phases("approve_before", named, phases)
    return named


def _env(wanted: Any) -> dict[str, str]:
    """{variable: value}: the values of named variables are this process's, as they are now."""
    if isinstance(wanted, Mapping):
        env = dict(wanted)
    else:
        env = {}
        for name in _names("env", wanted):
            if name not in os.environ:
                raise LaunchError(
                    f"the option `env` names the variable `{name}`, which is not set here: set it, or give its value, "
                    f"env={{{name!r}: ...}}.",
                    argument="env",
                    nearest=nearest(name, os.environ),
                )
            env[name] = os.environ[name]
    for name, value in env.items():
        if isinstance(value, str) and "\0" in value:
            raise LaunchError(f"the option `env` gives `{name}` a value with a null character", argument="env")
    return env


def _secrets(wanted: Any, env: Mapping[str, str]) -> dict[str, str]:
    """{variable: where it is found}. Never says a value: it may be the secret itself, put here by mistake."""
    secrets = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(_names("secrets", wanted), LAUNCHER)
    for name, source in secrets.items():
        if not isinstance(source, str) or not (source == LAUNCHER or source.startswith(("env:", "file:"))):
            raise LaunchError(
                f'the option `secrets` must say where `{name}` is found, "launcher", "env:NAME" or "file:PATH", and '
                "never the secret itself",
                argument="secrets",
            )
        if name in env:
            raise LaunchError(f"`{name}` is both in `env` and in `secrets`: name it in one", argument="secrets")
        if source == LAUNCHER:
            _check_given(name)
    return secrets


def _secret_names(wanted: Any) -> frozenset[str]:
    return frozenset((wanted,) if isinstance(wanted, str) else wanted or ())


def _check_given(name: str) -> None:
    """Raises LaunchError where this process can't give the secret ``name``."""
    if name not in os.environ:
        raise LaunchError(
            f"the option `secrets` takes the variable `{name}` from here, where it is not set: "
            f"os.environ[{name!r}] = getpass.getpass() sets it",
            argument="secrets",
            nearest=nearest(name, os.environ),
        )
    if len(os.environ[name]) < SHORTEST_SECRET:
        raise LaunchError(too_short(name), argument="secrets")


def secret_values(names: Iterable[str]) -> dict[str, SecretStr]:
    """What this process has of secrets, wrapped, so that no traceback shows it. It has none by a variable that is empty
    or too short to be one, as templates of environment files leave it.
    """
    values = {name: os.environ.get(name, "") for name in names}
    return {name: SecretStr(value) for name, value in values.items() if len(value) >= SHORTEST_SECRET}


def _code(code: bytes, folder: ObjectFolder, written: list[ObjectRef]) -> Any:
    if len(code) <= INLINE_CODE_BYTES:
        return code_json(code)
    digest, size = folder.put(code)
    reference = ObjectRef.model_validate({"$object": digest, "codec": "pickle", "type": "code", "bytes": size})
    written.append(reference)
    return reference.as_json()


def _inputs(inputs: Mapping[str, Any], folder: ObjectFolder, written: list[ObjectRef]) -> dict[str, Any]:
    left = INLINE_TOTAL_BYTES
    encoded = {}
    for name, value in inputs.items():
        made = encode(value, folder, inline_bytes=min(INLINE_INPUT_BYTES, left), where=f"input `{name}`")
        reference = as_reference(made.value)
        if reference is None:
            left -= made.bytes
        else:
            written.append(reference)
        encoded[name] = made.value
    return encoded
