// One task as a row of a list: its name, its inputs, what it does. Without inputs the last has two lines.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setOptional, setShare, setText } from '../dom';
import type { State, TaskState } from '../protocol';
import { TONES } from '../view';
import * as words from '../words';
import { type Known, orderedBy } from './listing';

/** For who does not tell colours apart. */
const MARKS: Record<State, string> = {
  queued: '○',
  running: '●',
  retrying: '↻',
  awaiting_approval: '?',
  paused: '‖',
  cancelling: '●',
  completed: '✓',
  failed: '✕',
  cancelled: '–'
};

export class Row {
  readonly node: HTMLElement;

  constructor(private _trans: TranslationBundle) {
    this._name = h('span', { class: 'phasenb-row-name', dir: 'auto' });
    this._inputs = h('span', { class: 'phasenb-row-inputs', dir: 'auto' });
    this._when = h('span', { class: 'phasenb-row-when' });
    this._says = h('span', { class: 'phasenb-row-says', dir: 'auto' });
    this._fill = h('div', { class: 'phasenb-fill' });
    this._bar = h('div', { class: 'phasenb-bar', 'aria-hidden': 'true' }, this._fill);
    this._mark = h('span', { class: 'phasenb-mark', 'aria-hidden': 'true' });
    const first = h('div', { class: 'phasenb-row-first' }, this._mark, this._name, this._when);
    this.node = h('div', { class: 'phasenb-row', role: 'option' }, first, this._inputs, this._says, this._bar);
  }

  update(model: Known, today: string): void {
    const { state: task, live } = model;
    if (task === this._task && live === this._live && today === this._today) {
      return;
    }
    this._task = task;
    this._live = live;
    this._today = today;
    const ended = words.isTerminal(task.state);
    setAttribute(this.node, 'data-tone', live || ended ? (TONES[task.state] ?? 'idle') : 'idle');
    setText(this._mark, MARKS[task.state]);
    setText(this._name, words.plain(task.name));
    const launch = this._trans.__('launched %1', words.dateAndClock(new Date(task.created_at)));
    setAttribute(this.node, 'title', `${words.plain(task.name)}\n${launch}\n${task.task_id}`);
    const at = new Date(orderedBy(task));
    setText(this._when, ended || !live ? when(at, today) : words.share(task, this._trans));
    setAttribute(this._when, 'title', words.dateAndClock(at));
    setOptional(this._inputs, inputsLine(task, this._trans));
    setAttribute(this._inputs, 'title', words.inputs(task).join('\n'));
    const asOf = live ? null : model.asOf;
    setText(
      this._says,
      rowSays(task, asOf, this._trans, time => when(time, today))
    );
    setAttribute(this._says, 'title', rowSays(task, asOf, this._trans));
    setHidden(this._bar, ended || !live);
    setShare(this._fill, task.percent);
  }

  private _task: TaskState | null = null;
  private _live = false;
  private _today = '';
  private _mark: HTMLElement;
  private _name: HTMLElement;
  private _when: HTMLElement;
  private _inputs: HTMLElement;
  private _says: HTMLElement;
  private _bar: HTMLElement;
  private _fill: HTMLElement;
}

/** `path=x.csv, alpha=0.1, depth=3, +2 more`; null where it has none. */
function inputsLine(task: TaskState, trans: TranslationBundle): string | null {
  const all = words.inputs(task);
  const folded = all.length - words.FEW_INPUTS;
  const more = folded > 0 ? [trans.__('+%1 more', folded)] : [];
  return [...all.slice(0, words.FEW_INPUTS), ...more].join(', ') || null;
}

/** What it does. `asOf`: nothing is heard of the task since then. `told`: how a time is. */
export function rowSays(
  task: TaskState,
  asOf: Date | null,
  trans: TranslationBundle,
  told = words.dateAndClock
): string {
  if (asOf !== null && !words.isTerminal(task.state)) {
    return words.asOf(task, asOf, trans, told);
  }
  const word = words.stateWord(task.state, trans);
  switch (task.state) {
    case 'failed': {
      const error = task.error;
      const what = error === null ? '' : `${error.error.type}: ${words.plain(error.error.message)}`;
      return error?.phase ? trans.__('failed in %1: %2', error.phase, what) : `${word} ${what}`;
    }
    case 'queued':
      return [place(task, trans), task.queue?.reason].filter(Boolean).join(' · ') || word;
    case 'running':
      return [task.phase, words.activity(task, null, trans), failed(task)].filter(Boolean).join(' · ');
    case 'retrying': // the cause first: a row has little room
      return [failed(task) ?? task.phase, words.activity(task, null, trans)].filter(Boolean).join(' · ');
    case 'cancelling':
      return [word, task.phase, task.message && words.plain(task.message)].filter(Boolean).join(' · ');
    case 'awaiting_approval':
      return trans.__('waits for approval before %1', task.approval?.phase ?? '');
    case 'completed': {
      const took = words.elapsed(task.started_at, task.ended_at, new Date());
      return took === null ? word : trans.__('%1 in %2', word, took);
    }
    default:
      return word;
  }
}

function place({ queue }: TaskState, trans: TranslationBundle): string | null {
  return queue === null ? null : words.inLine(queue.position, trans);
}

/** What went wrong in the phase that is tried again. */
function failed(task: TaskState): string | null {
  const error = words.trouble(task)?.error;
  return error === undefined ? null : `${error.type}: ${words.plain(error.message)}`;
}

/** `14:03` today, `2026-11-24` before. */
function when(at: Date, today: string): string {
  return words.day(at) === today ? words.clock(at).slice(0, 5) : words.day(at);
}
