// What a person reads of a task, as words; the same as phasenb/display/words.py by shared vectors, and translatable.
//
// Pure. Numbers are as coarse as they are of use, so that a view which shows them seldom changes.

import type { TranslationBundle } from '@jupyterlab/translation';
import {
  type Json,
  type Phase,
  type PhaseStatus,
  type State,
  type TaskFailure,
  type TaskState,
  TERMINAL_STATES
} from './protocol';
import { isReference, running } from './reducer';

export const FEW_INPUTS = 3;
export const LONG_INPUT = 2000; // characters of an input that is shown at length
const LONGEST = 2000;
const INPUT_CHARACTERS = 40;
// ECMA-48 control sequences (colours, cursor) and the characters that are none: a page shows boxes for them.
const CONTROL =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/** A task's own text as it can be shown: no control or direction characters, and not without end. */
export function plain(text: string): string {
  const shown = Array.from(printable(text));
  return shown.length <= LONGEST ? shown.join('') : `${shown.slice(0, LONGEST - 1).join('')}…`;
}

/** Without control and direction characters. */
export function printable(text: string): string {
  return text.replace(CONTROL, '');
}

/** The end of an id, which commands take for it: its beginning is a time. */
export function short(taskId: string): string {
  return taskId.slice(-8);
}

/** `path=x.csv`, `alpha=0.1`: each on one line; of what is no JSON, what it is. */
export function inputs(task: TaskState, longest = INPUT_CHARACTERS): string[] {
  return Object.entries(task.inputs).map(([name, value]) => `${plain(name)}=${inputValue(value, longest)}`);
}

function inputValue(value: Json, longest: number): string {
  const line = printable(inputText(value))
    .split(/\s+/)
    .filter(part => part !== '')
    .join(' ');
  const characters = Array.from(line);
  return characters.length <= longest ? line : `${characters.slice(0, longest - 1).join('')}…`;
}

function inputText(value: Json): string {
  if (isReference(value)) {
    return `${value.type} ${Array.isArray(value.shape) ? value.shape.join(' × ') : ''}`;
  }
  if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    return `≈${value.toPrecision(6)}`; // its last digits did not come through JavaScript
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Whether a gate before the first phase is open: the inputs are what there is to approve. */
export function startsWithInputs(task: TaskState): boolean {
  return task.approval !== null && task.approval.phase === task.phases[0]?.name;
}

export function isTerminal(state: State): boolean {
  return TERMINAL_STATES.includes(state);
}

/** `12 %`; never 100 before it is. */
export function percent(value: number): string {
  return `${value < 100 ? Math.min(Math.trunc(value), 99) : 100} %`;
}

/** How far a running phase is: `12 %`, or without a total `1,204 so far`. */
export function progress(task: TaskState, phase: Phase, trans: TranslationBundle): string {
  return counts(task, phase)
    ? trans.__('%1 so far', Math.round(task.done ?? 0).toLocaleString('en-US'))
    : percent(phase.percent);
}

/** As `progress`, of the whole task: a count only where nothing else is there to be told. */
export function share(task: TaskState, trans: TranslationBundle): string {
  const [alone, ...others] = task.phases;
  const single = alone !== undefined && others.length === 0;
  return single ? progress(task, { ...alone, percent: task.percent }, trans) : percent(task.percent);
}

/** Whether all that is known of a running phase is how many steps it has made: nobody knows of how many. */
export function counts(task: TaskState, phase: Phase): boolean {
  const counted = typeof task.done === 'number' && !task.total; // a copy of an older release says nothing of it
  return counted && !phase.percent && running(task)?.name === phase.name;
}

/** `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) {
    return `${Math.max(0, seconds).toFixed(1)} s`;
  }
  const whole = Math.trunc(seconds);
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.trunc(whole / 60);
  if (whole < 3600) {
    return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  }
  return `${Math.trunc(whole / 3600)} h ${minutes % 60} min`;
}

/** In whole seconds, for what goes on. */
export function seconds(value: number): string {
  return duration(Math.max(0, Math.trunc(value))).replace('.0 s', ' s');
}

/** How long it took, or takes so far in whole seconds; null where it has not begun. */
export function elapsed(start: string | null, end: string | null, now: Date): string | null {
  if (start === null) {
    return null;
  }
  const begun = Date.parse(start);
  return end === null ? seconds((now.getTime() - begun) / 1000) : duration((Date.parse(end) - begun) / 1000);
}

/** The local time of day, to the second. */
export function clock(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The local date. */
export function day(at: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export function stateWord(state: State, trans: TranslationBundle): string {
  const words: Record<State, string> = {
    queued: trans.__('queued'),
    running: trans.__('running'),
    retrying: trans.__('waiting to try again'),
    awaiting_approval: trans.__('waiting for approval'),
    paused: trans.__('paused'),
    cancelling: trans.__('cancelling'),
    completed: trans.__('completed'),
    failed: trans.__('failed'),
    cancelled: trans.__('cancelled')
  };
  return words[state];
}

export function statusWord(status: PhaseStatus, trans: TranslationBundle): string {
  const words: Record<PhaseStatus, string> = {
    pending: trans.__('not started'),
    running: trans.__('running'),
    retrying: trans.__('waiting to try again'),
    complete: trans.__('complete'),
    failed: trans.__('failed'),
    rolled_back: trans.__('rolled back')
  };
  return words[status];
}

/** `2026-11-25 14:03:12`: a copy is read on any day. */
export function dateAndClock(at: Date): string {
  return `${day(at)} ${clock(at)}`;
}

/** `23:17` of today, `2026-11-24 23:17` of another day: where all of it is in a tooltip. */
export function when(at: Date, now: Date): string {
  const time = clock(at).slice(0, 5);
  return day(at) === day(now) ? time : `${day(at)} ${time}`;
}

/** `as of 2026-11-25 14:03:12: running, 12 %`, `completed 2026-11-25 14:05:31`: what can honestly be said of a task that
 * nobody tells about just now. `told`: how a time is. */
export function asOf(task: TaskState, at: Date, trans: TranslationBundle, told = dateAndClock): string {
  const word = stateWord(task.state, trans);
  if (isTerminal(task.state)) {
    return trans.__('%1 %2', word, told(new Date(task.ended_at ?? task.updated_at)));
  }
  return trans.__('as of %1: %2, %3', told(at), word, share(task, trans));
}

/** `attempt 2`, and `attempt 2 of 3` while it is waited for: only a failure that was just judged says how many there can
 * be. Null for a first attempt, which is nothing to speak of. */
export function attempt(phase: Phase, trans: TranslationBundle): string | null {
  const { attempt: number, maximum_attempts: most } = phase;
  if (phase.status === 'retrying') {
    return most ? trans.__('attempt %1 of %2', number + 1, most) : trans.__('attempt %1', number + 1);
  }
  return number < 2 ? null : trans.__('attempt %1', number);
}

/** `attempt 2 · fallback`: which attempt it is, why there is one more where nothing failed, and what runs. While a phase
 * waits to be tried again, `activity` says which attempt comes. */
export function tried(task: TaskState, phase: Phase, trans: TranslationBundle): string | null {
  const waits = task.state === 'retrying' && phase.status === 'retrying';
  const which = interrupted(task, phase)
    ? trans.__('attempt %1, as the server or its machine stopped in attempt %2', phase.attempt, phase.attempt - 1)
    : attempt(phase, trans);
  return [waits ? null : which, instead(phase, trans)].filter(each => each !== null).join(' · ') || null;
}

/** Whether the attempt before the one that runs was lost with its host, as far as the newest events tell. */
function interrupted(task: TaskState, phase: Phase): boolean {
  const types = task.recent.map(each => each.split(' ')[1]);
  const started = types.lastIndexOf('phase_started');
  const failed = task.failures?.newest; // an attempt that failed was not lost: its host was while the next one waited
  return (
    phase.status === 'running' &&
    phase.attempt > 1 &&
    types[started - 1] === 'task_recovered' &&
    types[started - 2] === 'phase_started' && // else nothing ran when the host was lost: a retry waited for a place
    !(failed?.phase === phase.name && failed.attempt === phase.attempt - 1)
  );
}

/** What runs in the place of a phase's own function. */
export function instead(phase: Phase, trans: TranslationBundle): string | null {
  if (phase.fallback === null) {
    return null;
  }
  return phase.fallback === 'own' ? trans.__('fallback') : trans.__('fallback %1', phase.fallback);
}

/** A place in the queue, as "4th in line". */
export function inLine(position: number, trans: TranslationBundle): string {
  if (position === 1) {
    return trans.__('Next in line');
  }
  const number = position.toLocaleString('en-US');
  switch ([11, 12, 13].includes(position % 100) ? 0 : position % 10) {
    case 1:
      return trans.__('%1st in line', number);
    case 2:
      return trans.__('%1nd in line', number);
    case 3:
      return trans.__('%1rd in line', number);
    default:
      return trans.__('%1th in line', number);
  }
}

/** What it is doing, or waits for. `at`: for a view that goes on; without it the time of day is told. */
export function activity(task: TaskState, at: Date | null, trans: TranslationBundle): string | null {
  if (task.state === 'queued' && task.queue !== null) {
    return `${task.queue.reason}. ${inLine(task.queue.position, trans)}.`;
  }
  if (task.state === 'retrying' && task.retry_at !== null) {
    return retryingActivity(task, Date.parse(task.retry_at), at, trans);
  }
  if (task.state === 'awaiting_approval' && task.approval !== null) {
    return trans.__('waits for approval before %1', task.approval.phase);
  }
  if (task.state === 'paused') {
    return pausedActivity(task, trans);
  }
  if (task.state === 'cancelling') {
    return trans.__('cancelling: the running attempt is being stopped');
  }
  if (task.state === 'cancelled') {
    return stoppedActivity(task, trans);
  }
  const now = running(task);
  if (task.rolling_back !== null && now !== undefined) {
    const undoing = trans.__('undoing %1, as %2 failed', now.name, task.rolling_back);
    return task.message ? trans.__('%1: %2', undoing, plain(task.message)) : undoing;
  }
  return isTerminal(task.state) || !task.message ? null : plain(task.message);
}

/** The newest failure, unless it is history: its phase is complete by now, or a cancel ended the task (unless in the
 * middle of a rollback, of which something stays undone). */
export function trouble(task: TaskState): TaskFailure | null {
  const failure = task.error;
  if (failure === null || task.state === 'failed') {
    return failure;
  }
  if (task.state === 'cancelled') {
    return task.rolling_back !== null ? failure : null;
  }
  const overcome = task.phases.some(phase => phase.name === failure.phase && phase.status === 'complete');
  return overcome ? null : failure;
}

/** `attempt 2 of 5, next in 8 s`. */
function retryingActivity(task: TaskState, due: number, now: Date | null, trans: TranslationBundle): string {
  const waits = task.phases.find(phase => phase.status === 'retrying');
  const told = (waits === undefined ? null : attempt(waits, trans)) ?? trans.__('next attempt');
  if (now === null) {
    return trans.__('%1, next at %2', told, clock(new Date(due)));
  }
  const left = Math.ceil((due - now.getTime()) / 1000); // a countdown that ends at 0 would stand there for a second
  return left > 0 ? trans.__('%1, next in %2', told, seconds(left)) : trans.__('%1, about to start', told);
}

function pausedActivity(task: TaskState, trans: TranslationBundle): string {
  const error = trouble(task)?.error;
  if (error?.type === 'phasenb.SecretUnavailable') {
    return trans.__('paused, as a secret is missing: %1', plain(error.message));
  }
  const now = running(task);
  const by = task.stopped ? trans.__('paused by %1', plain(task.stopped.by)) : trans.__('paused');
  return now === undefined
    ? trans.__('%1: nothing new starts until it is resumed', by)
    : trans.__('%1: nothing new starts until it is resumed; %2 finishes first', by, now.name);
}

/** `denied before planning by ada: too dear`, `cancelled by ada`. */
function stoppedActivity(task: TaskState, trans: TranslationBundle): string | null {
  if (!task.stopped) {
    return null; // a release that did not tell who
  }
  const { by, phase, reason } = task.stopped;
  const told =
    phase === null ? trans.__('cancelled by %1', plain(by)) : trans.__('denied before %1 by %2', phase, plain(by));
  return reason ? trans.__('%1: %2', told, plain(reason)) : told;
}

/** The innermost line of the user's own code in a traceback. `where`: `helpers.py, line 3, in explore`. */
export interface OwnLine {
  where: string;
  code: string;
}

const FRAME = /^\s*File "([^"]+)", line (\d+), in (.+)$/;
const NOT_OWN = /[/\\](?:site-packages|dist-packages|phasenb)[/\\]|[/\\]lib[/\\]python3|^<frozen/;
const CELL = /ipykernel_\d+[/\\]|^<ipython-input/;

/** Null where the traceback has no line of the user's own. */
export function ownLine(traceback: string, trans: TranslationBundle): OwnLine | null {
  const lines = traceback.split(/\r\n|\r|\n/);
  let found: OwnLine | null = null;
  lines.forEach((line, index) => {
    const [, file, number, name] = FRAME.exec(line) ?? [];
    if (file === undefined || NOT_OWN.test(file)) {
      return;
    }
    const following = (lines[index + 1] ?? '').trim();
    const place = CELL.test(file) ? trans.__('the notebook') : (file.split(/[/\\]/).pop() ?? file);
    found = {
      where: trans.__('%1, line %2, in %3', place, number, name),
      code: FRAME.test(following) ? '' : following
    };
  });
  return found;
}
