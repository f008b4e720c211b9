"""One attempt, performed here: load the agent, run the phase, encode what it gives back. Blocking; never raises.

Rules: only arguments that the function asks for are decoded; outputs, checkpoints and artifacts are encoded here,
so that what leaves is JSON or a reference; whatever the person's code does becomes an Outcome, always exactly one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from phasenb.codecs import Encoded, check_readable, decode, encode, encode_artifact, is_picture
from phasenb.codecs.objects import ObjectFolder
from phasenb.core.bars import Bars
from phasenb.core.context import Cancelled, Context
from phasenb.core.extended_agent import ExtendedAgent
from phasenb.core.reports import Attempt, Outcome, Report
from phasenb.dto.phase import Checkpoint
from phasenb.dto.phase_result import ErrorInfo, ResultStatus
from phasenb.dto.values import Artifact, Head, Json, ObjectRef, as_reference
from phasenb.errors import ValueNotStorable
from phasenb.executors.failures import error_info
from phasenb.executors.loading import Values, load_agent
from phasenb.executors.secrets import Masker, resolved

_PICTURE = "output"
Ref = TypeVar("Ref", bound=ObjectRef)
Load = Callable[[str | None, Json, ObjectFolder], ExtendedAgent]


@lru_cache(maxsize=16)
def folder_at(url: str) -> ObjectFolder:
    """The folder of an owner's objects."""
    return ObjectFolder(url)


class Performance:
    """One attempt in the making. ``ctx`` is None until its checkpoint is decoded.

    ``environment``: the host's variables, where secrets are looked for; None where the attempt may set none.
    """

    def __init__(
        self, attempt: Attempt, emit: Callable[[Report], None], environment: Mapping[str, str] | None = None
    ) -> None:
        self.attempt = attempt
        self.masker = Masker()
        self._environment = environment
        self.ctx: Context | None = None
        self.cancelled = False
        self.in_child = False
        self._emit = emit
        self._folder = folder_at(attempt.objects_url)
        self._artifacts: dict[str, Artifact] = {}
        self._heard = 0

    def cancel(self) -> None:
        """Ask the phase to stop, now or when it begins. Any thread may call it."""
        self.cancelled = True
        if self.ctx is not None:
            self.ctx.cancel()

    @property
    def noticed(self) -> bool:
        """Whether the phase has noticed the cancel: it is not interrupted any more."""
        return self.ctx is not None and self.ctx.noticed

    @property
    def bars(self) -> Bars | None:
        """What hears of the phase's own progress bars."""
        return None if self.ctx is None else self.ctx.bars

    def flush(self, heard: int = 0, unfinished: str = "") -> None:
        """Tell the newest progress; any thread may call it. ``heard``: how much it has written so far, which is a sign
        of life also where no line is complete: dots, or a bar. ``unfinished``: what of it is no line yet.
        """
        if self.ctx is not None:
            self.ctx.unfinished(self.masker.unfinished(unfinished))
            if heard > self._heard:
                self._heard = heard
                self.ctx.beat()
            self.ctx.flush()

    def perform(self, load: Load = load_agent) -> Outcome:
        """Run to the end, with the agent that ``load`` gives. What interrupts (KeyboardInterrupt, Cancelled) ends the
        attempt, not the caller. Raises what the phase raises in a child that it forked: that is no attempt's end.
        """
        encoded: Encoded | None = None
        error: ErrorInfo | None = None
        status = ResultStatus.COMPLETE
        try:
            encoded = self._run(load)
        except BaseException as raised:  # SystemExit included: it is a phase that fails, not a worker that leaves
            if self.in_child:
                raise
            if self.cancelled and isinstance(raised, KeyboardInterrupt | Cancelled):
                status, error = ResultStatus.CANCELLED, cancelled_error(self.attempt.phase)
            else:
                status, error = ResultStatus.FAILED, error_info(raised, self.masker.text)
        self.flush()
        return Outcome(
            status,
            output=self._shown(encoded.value) if encoded else None,
            output_type=self.masker.text(encoded.type) if encoded else None,
            output_bytes=encoded.bytes if encoded else None,
            error=error,
            metrics=self.ctx.metrics if self.ctx else {},
            artifacts=tuple(self._artifacts.values()),
        )

    def _run(self, load: Load) -> Encoded:
        attempt, folder = self.attempt, self._folder
        if self._environment is not None:
            set_variables(attempt.env, attempt.secrets, self._environment, self.masker)
        agent = load(attempt.agent, attempt.code, folder)
        self.ctx = ctx = self._context()
        if self.cancelled:
            ctx.cancel()
        run = agent.run_compensation if attempt.kind == "compensation" else agent.run_phase
        if attempt.fallback:
            run = agent.run_fallback
        with spans_under(attempt.traceparent):
            output = run(attempt.phase, ctx, Values(attempt.values, folder))
        if is_picture(output):
            self._keep_picture(output, ctx)
        where = f"the output of `{attempt.phase}`"
        encoded = encode(output, folder, inline_bytes=attempt.inline_bytes, where=where)
        if self._environment is not None:  # in a worker; inline, the notebook's own objects are in use
            check_readable(encoded, folder, where)
        return encoded

    def _context(self) -> Context:
        attempt = self.attempt
        return Context(
            self._emit,
            task_id=attempt.task_id,
            phase=attempt.phase,
            attempt=attempt.attempt,
            checkpoint=None if attempt.checkpoint is None else decode(attempt.checkpoint.value, self._folder),
            failure=attempt.failure,
            feedback=attempt.feedback,
            mask=self.masker.text if attempt.secrets else None,
            heartbeat_s=attempt.heartbeat_s,
            store_artifact=self._store_artifact,
            store_checkpoint=self._store_checkpoint,
        )

    def _store_artifact(self, name: str, value: Any, codec: str | None) -> Artifact:
        encoded = encode_artifact(name, value, self._folder, codec)
        artifact = self._artifacts[name] = self._masked(encoded)
        return artifact

    def _keep_picture(self, output: Any, ctx: Context) -> None:
        """A figure is returned as it is, pickled, which no page can show: its picture is the artifact ``output``.

        Not where the phase kept that name, or the same picture, itself.
        """
        try:
            picture = encode_artifact(_PICTURE, output, self._folder)
        except (ValueNotStorable, OSError) as error:  # the phase has done its work all the same
            ctx.log(f"no picture of the output: {error}")
        else:
            if all(picture.hash != kept.hash for kept in self._artifacts.values()):
                self._artifacts.setdefault(_PICTURE, picture)

    def _store_checkpoint(self, value: Any) -> None:
        attempt = self.attempt
        where = f"the checkpoint of `{attempt.phase}`"
        encoded = encode(value, self._folder, inline_bytes=attempt.inline_bytes, where=where)
        self._emit(Checkpoint(value=self._shown(encoded.value)))

    def _shown(self, value: Json) -> Json:
        """The value without secrets in its texts; of a reference only the preview, the class and the head have any."""
        reference = as_reference(value)
        if reference is None:
            return self.masker.value(value)
        return self._masked(reference).as_json()

    def _masked(self, reference: Ref) -> Ref:
        head = reference.head and Head.model_validate(self.masker.value(reference.head.model_dump(mode="json")))
        shown = self.masker.text
        return reference.changed(preview=shown(reference.preview), type=shown(reference.type), head=head)


def set_variables(
    env: Mapping[str, str], secrets: Mapping[str, str], environment: Mapping[str, str], masker: Masker
) -> None:
    """Set an agent's variables in this process, and have ``masker`` know the secret ones. Raises SecretUnavailable."""
    if not (env or secrets):
        return
    found = resolved(secrets, environment)
    masker.learn(found.values())
    os.environ.update({**env, **found})


@contextmanager
def spans_under(traceparent: str | None) -> Iterator[None]:
    """Within: spans that a phase's code starts belong under ``traceparent``, where OpenTelemetry is installed here."""
    if traceparent is None:
        yield
        return
    try:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:  # the launcher's environment need not have what the host's has
        yield
        return
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": traceparent}))
    try:
        yield
    finally:
        context.detach(token)


def cancelled_error(phase: str) -> ErrorInfo:
    return ErrorInfo(type="phasenb.Cancelled", message=f"`{phase}` was cancelled", retryable=False)
