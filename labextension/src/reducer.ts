// The same fold as phasenb/core/task_schema.py: (task, event) -> task, pure. tests/vectors/ holds what Python's gives.
//
// Rules: a given task is never changed, and parts that an event leaves alone are the same objects afterwards, so that a
// view can compare by identity. What an event's data must be was checked by the host that wrote it; here only its place
// in the log and the table are.

import type {
  ApprovalGiven,
  ErrorInfo,
  Failures,
  Json,
  Phase,
  PhaseFailed,
  PhaseStatus,
  PhaseUpdate,
  State,
  TaskCreated,
  TaskEvent,
  TaskFailure,
  TaskState
} from './protocol';
import { ACTIONS, TRANSITIONS } from './transitions';

const NO_PROGRESS = { done: null, total: null, bar: 0, line: null }; // of the attempt that runs
const LIVE = ['message', 'eta_s', 'done', 'total', 'bar', 'line'] as const;
const RECENT = 5;
const PREVIEW_CHARACTERS = 200;

/** An event that can't follow on this task: the log that was seen is not whole, or newer than this page. */
export class IllegalTransition extends Error {
  constructor(task: TaskState | null, event: TaskEvent, reason = 'it is not possible') {
    super(`task ${event.task_id} is ${task?.state ?? 'not created'}: ${event.type}: ${reason}`);
    this.name = 'IllegalTransition';
  }
}

type Change = Partial<TaskState>;

// --- what the event changes, beside the state ------------------------------------------------------------------------

function withPhase(task: TaskState, name: string, change: Partial<Phase>): Phase[] {
  return task.phases.map(phase => (phase.name === name ? { ...phase, ...change } : phase));
}

/** Phases from `first` on start over; attempt numbers go on, since they are never used twice. */
function resetFrom(task: TaskState, first: string, status: PhaseStatus): Phase[] {
  const start = task.phases.findIndex(phase => phase.name === first);
  const clean = {
    status,
    percent: 0,
    started_at: null,
    ended_at: null,
    output_preview: null,
    fallback: null,
    maximum_attempts: null
  };
  return task.phases.map((phase, index) =>
    index >= start && phase.attempt ? { ...phase, ...clean, set_aside: phase.attempt } : phase
  );
}

function failOpen(task: TaskState, endedAt: string): Phase[] {
  return task.phases.map(phase =>
    phase.status === 'running' || phase.status === 'retrying'
      ? { ...phase, status: 'failed', ended_at: endedAt }
      : phase
  );
}

/** A line for people, at most 200 characters: an inline value's JSON, a reference's own preview. */
export function preview(value: Json): string {
  const text = isReference(value)
    ? String(value.preview || `${value.type} (${Number(value.bytes ?? 0).toLocaleString('en-US')} bytes)`)
    : JSON.stringify(value);
  return shortened(text);
}

function shortened(text: string): string {
  const characters = Array.from(text); // code points, as Python counts them
  return characters.length <= PREVIEW_CHARACTERS ? text : `${characters.slice(0, PREVIEW_CHARACTERS - 1).join('')}…`;
}

/** Whether a value is a reference to stored bytes (dto/values.py). */
export function isReference(value: Json): value is { [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && '$object' in value;
}

function givenChange(task: TaskState, event: ApprovalGiven): Change {
  const before = task.phases[task.phases.findIndex(phase => phase.name === event.phase) - 1];
  if (event.revision === null || before === undefined) {
    return { approval: null };
  }
  return { approval: null, phases: withPhase(task, before.name, { output_preview: preview(event.edited) }) };
}

function changeOf(task: TaskState, event: TaskEvent): Change {
  switch (event.type) {
    case 'phase_started': {
      const { phase, attempt, at } = event;
      const phases = withPhase(task, phase, { status: 'running', attempt, percent: 0, started_at: at, ended_at: null });
      return { phases, retry_at: null, started_at: task.started_at ?? at, message: null };
    }
    case 'phase_complete': {
      const status = event.kind === 'compensation' ? 'rolled_back' : 'complete';
      const shown = preview(event.result.output);
      const change = { status, percent: 100, ended_at: event.at, output_preview: shown } as const;
      return { phases: withPhase(task, event.phase, change), message: null, eta_s: null };
    }
    case 'phase_failed': {
      const { phase, attempt, error } = event;
      const phases = withPhase(task, phase, { status: 'failed', ended_at: event.at });
      const failures = event.given_up ? task.failures : failuresAfter(task.failures, event);
      const change = { phases, error: { phase, attempt, error }, eta_s: null, given_up: null, failures };
      return event.next === 'rollback' ? { ...change, rolling_back: phase } : change;
    }
    case 'phase_retrying': {
      const change = { status: 'retrying', maximum_attempts: event.maximum_attempts } as const;
      return { phases: withPhase(task, event.phase, change), retry_at: event.due_at };
    }
    case 'retry_given_up':
      return { phases: withPhase(task, event.phase, { status: 'failed' }), retry_at: null, given_up: event.phase };
    case 'phase_rolled_back':
      return { rolling_back: null, phases: resetFrom(task, event.to, 'rolled_back') };
    case 'phase_fallback':
      return {
        phases: withPhase(task, event.phase, { status: 'pending', fallback: event.agent, maximum_attempts: null })
      };
    case 'approval_requested': {
      const { phase, revision, seq, output } = event;
      return { approval: { phase, revision, seq, output } };
    }
    case 'approval_given':
      return givenChange(task, event);
    case 'approval_denied': {
      const { by, phase, reason, redo } = event;
      return redo
        ? { approval: null, phases: resetFrom(task, redo, 'pending') }
        : { approval: null, stopped: { by, phase, reason } };
    }
    case 'task_paused':
    case 'cancel_requested':
      return { stopped: { by: event.by, phase: null, reason: null } };
    case 'task_resumed':
      return { stopped: null };
    case 'task_recovered': {
      const phases = task.phases.map(phase =>
        phase.status === 'running' ? { ...phase, status: 'pending' as const, percent: 0 } : phase
      );
      return { phases, by_host: event.host };
    }
    case 'task_complete':
      return { ended_at: event.at, error: null, eta_s: null, stopped: null };
    case 'task_error': {
      return { ...endedChange(task, event.at), error: failureOf(task, event.phase, event.error), stopped: null };
    }
    case 'task_cancelled': {
      // Who asked for it, or denied it, is known already; `error` is new in the protocol, and older logs have none.
      const stopped = task.stopped ?? { by: event.by, phase: null, reason: null };
      const error = event.error && task.rolling_back ? failureOf(task, task.rolling_back, event.error) : task.error;
      return { ...endedChange(task, event.at), stopped, error };
    }
    case 'task_retried':
      return {
        ...{ phases: resetFrom(task, event.from_phase, 'pending'), error: null, ended_at: null },
        ...{ failures: null, rolling_back: null, stopped: null, code: event.code ?? task.code }
      };
    default:
      return {};
  }
}

function failureOf(task: TaskState, phase: string | null, error: ErrorInfo): TaskFailure {
  return { phase, attempt: task.phases.find(each => each.name === phase)?.attempt ?? null, error };
}

function endedChange(task: TaskState, at: string): Change {
  return { phases: failOpen(task, at), ended_at: at, retry_at: null, given_up: null, approval: null, eta_s: null };
}

function failuresAfter(before: Failures | null, { phase, attempt, error, at }: PhaseFailed): Failures {
  const line = error.message.split('\n', 1)[0] ?? '';
  const newest = { phase, attempt, type: error.type, message: shortened(line), at };
  return { count: (before?.count ?? 0) + 1, first: before?.first ?? newest, newest };
}

function created(event: TaskCreated): TaskState {
  const { task_id, session, name, agent, at, inputs, labels, key, notebook, secrets, parent, code } = event;
  const phases = event.phases.map(phase => ({
    name: phase,
    status: 'pending' as const,
    attempt: 0,
    maximum_attempts: null,
    percent: 0,
    started_at: null,
    ended_at: null,
    output_preview: null,
    fallback: null,
    set_aside: 0
  }));
  return {
    ...{
      task_id,
      session,
      name,
      agent,
      phases,
      inputs,
      labels,
      key,
      notebook,
      secrets,
      parent,
      code,
      created_at: at,
      updated_at: at
    },
    ...{ phase: phases[0]?.name ?? null, percent: 0, message: null, eta_s: null, started_at: null, ended_at: null },
    ...NO_PROGRESS,
    ...{
      retry_at: null,
      given_up: null,
      failures: null,
      approval: null,
      rolling_back: null,
      error: null,
      stopped: null,
      by_host: null
    },
    ...derived('queued', event, [])
  };
}

function derived(state: State, event: TaskEvent, recent: string[]) {
  return {
    state,
    seq: event.seq,
    recent: [...recent, `${event.seq} ${event.type}`].slice(-RECENT),
    actions: [...ACTIONS[state]],
    queue: null // laid over a snapshot by its host; once something happened it is not true any more
  };
}

/** The current phase, and the percent of the task: phases weigh the same. */
function progress(phases: Phase[]): { phase: string | null; percent: number } {
  const current = phases.find(phase => phase.status !== 'complete') ?? phases[phases.length - 1];
  const total = phases.reduce((sum, phase) => sum + phase.percent, 0);
  return { phase: current?.name ?? null, percent: total / phases.length };
}

/** Where the event leads; several targets mean that its data decides. */
function target(task: TaskState, event: TaskEvent, targets: readonly State[]): State {
  if (event.type === 'approval_denied') {
    return event.redo ? 'queued' : 'cancelling';
  }
  if (event.type === 'task_resumed') {
    if (running(task) !== undefined) {
      return 'running';
    }
    return task.retry_at !== null ? 'retrying' : task.approval !== null ? 'awaiting_approval' : 'queued';
  }
  return targets[0] ?? task.state;
}

/** The phase whose attempt runs now, if one does. */
export function running(task: TaskState): Phase | undefined {
  return task.phases.find(phase => phase.status === 'running');
}

/** The task after `event`. Throws IllegalTransition; the given task is never changed. */
export function apply(task: TaskState | null, event: TaskEvent): TaskState {
  const targets = TRANSITIONS[task?.state ?? ''][event.type];
  if (targets === undefined) {
    throw new IllegalTransition(task, event);
  }
  const next = (task?.seq ?? 0) + 1;
  if (event.seq !== next) {
    throw new IllegalTransition(task, event, `its seq is ${event.seq}, the next one is ${next}`);
  }
  if (task === null) {
    return created(event as TaskCreated); // the table knows no other first event
  }
  if (event.task_id !== task.task_id) {
    throw new IllegalTransition(task, event, `it belongs to another task than ${task.task_id}`);
  }
  const change = changeOf(task, event);
  const moved = change.phases === undefined ? {} : { ...progress(change.phases), ...NO_PROGRESS };
  return {
    ...task,
    ...change,
    ...moved,
    updated_at: event.at,
    ...derived(target(task, event, targets), event, task.recent)
  };
}

/** `task` with live progress laid over it; the same object where nothing changes.
 *
 * Percent never falls within an attempt, and a bar of it: an update that says less keeps the higher one.
 */
export function withUpdate(task: TaskState, update: PhaseUpdate): TaskState {
  const now = running(task);
  if (now === undefined || now.name !== update.phase || now.attempt !== update.attempt) {
    return task;
  }
  const percent = Math.max(update.bar === task.bar ? now.percent : 0, Math.min(update.percent, 100));
  const live = Object.fromEntries(LIVE.map(name => [name, update[name]])) as Pick<PhaseUpdate, (typeof LIVE)[number]>;
  if (percent === now.percent && LIVE.every(name => task[name] === live[name])) {
    return task;
  }
  const phases = percent === now.percent ? task.phases : withPhase(task, now.name, { percent });
  return { ...task, phases, ...progress(phases), ...live };
}
