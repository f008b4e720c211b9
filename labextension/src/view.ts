// One task as somebody sees it: in a cell's output, in the panel, in a widget. It renders a model, and asks.
//
// Rules: it paints when its model says `changed`, and once a second where a time goes on; out of sight, progress waits for
// that second; it touches only what differs; what is not live says of which time it speaks; its buttons ask whoever tells
// of the task, and only for what the state allows.

import type { TranslationBundle } from '@jupyterlab/translation';
import { ANNOUNCER } from './announcer';
import type { Given, Request } from './client';
import { h, setAttribute, setHidden, setOptional, setOptionalAttribute, setText } from './dom';
import { ErrorText } from './errortext';
import { Gate } from './gate';
import { Inputs } from './inputs';
import { Log } from './log';
import type { TaskModel } from './model';
import { Output } from './output';
import type { State, TaskState } from './protocol';
import { connectionSentence, problemSentence, refusalSentence, UNREACHED } from './sentences';
import { seen } from './sight';
import type { Saved, Source } from './source';
import { Steps } from './steps';
import { TaskId } from './taskid';
import { TICKER } from './ticker';
import * as words from './words';

export const TONES: Partial<Record<State, string>> = {
  running: 'go',
  retrying: 'warn',
  awaiting_approval: 'warn',
  cancelling: 'warn',
  completed: 'good',
  failed: 'bad'
};
const BUTTONS = ['resume', 'give_up', 'pause', 'retry', 'cancel'] as const; // in the order in which they stand
const HEARD = new Set(['connected', 'busy']);

type Command = (typeof BUTTONS)[number];

export namespace TaskView {
  export interface IOptions {
    store: Source;
    taskId: string;
    saved?: Saved | null;
    trans: TranslationBundle;
  }
}

export class TaskView {
  readonly node: HTMLElement;
  readonly model: TaskModel;

  constructor(options: TaskView.IOptions) {
    this._store = options.store;
    this._trans = options.trans;
    this._epoch = options.saved?.epoch ?? null;
    this._owner = options.saved?.owner ?? null;
    this._steps = new Steps(this._trans);
    this._inputs = new Inputs(this._trans);
    this._error = new ErrorText(this._trans);
    this._id = new TaskId(this._trans);
    this._gate = new Gate(
      (request, given) => this._ask(request, given),
      () => this.paint(),
      this._trans
    );
    this._log = new Log(this._trans);
    this._output = new Output(this._store, this._trans);
    this.node = this._build();
    this.model = this._store.follow(options.taskId, options.saved ?? null);
    this.model.changed.connect(this._changed, this);
    this._tick = () => this.paint();
    this._observer = observeSight(this.node, inSight => this._see(inSight));
    this.paint();
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._observer?.disconnect();
      TICKER.remove(this._tick);
      ANNOUNCER.forget(this.model.taskId);
      this.model.changed.disconnect(this._changed, this);
      this._see(false);
      this._gate.dispose();
      this._error.dispose();
      this._output.dispose();
      this._store.release(this.model.taskId);
      this.node.remove();
    }
  }

  /** Bring the page up to date. */
  paint(): void {
    const { state: task, live } = this.model;
    const now = new Date();
    const focused = this._focused();
    this._painted = this.model.seq;
    this._paintConnection(task);
    setHidden(this._body, task === null);
    if (task === null || this._disposed) {
      return;
    }
    setAttribute(this.node, 'aria-label', this._trans.__('task %1', words.plain(task.name)));
    setAttribute(this.node, 'data-state', task.state);
    setAttribute(this.node, 'data-tone', live || words.isTerminal(task.state) ? (TONES[task.state] ?? 'idle') : 'idle');
    this._paintHead(task, live, now);
    this._inputs.update(task);
    this._steps.update(task, now);
    this._gate.update(task, this.model.decision);
    setOptional(this._says, this._activity(task, live, now));
    this._error.update(task);
    this._output.update(task, live && this._seen);
    this._log.update(this.model, live ? (task.line ?? null) : null);
    this._paintButtons(task, live);
    this._paintTimes(task, live);
    this._announce(task, live);
    if (focused !== null && !this._asking) {
      this._keepFocus(focused);
    }
  }

  private _changed(): void {
    if (this._inSight || !this._ticks || this.model.seq !== this._painted) {
      this.paint();
    }
  }

  private _see(inSight: boolean): void {
    if (inSight !== this._onScreen) {
      this._onScreen = inSight;
      seen(this.model.taskId, inSight);
    }
    this._inSight = inSight;
    if (inSight && !this._disposed) {
      this._seen = true;
      this.paint();
    }
  }

  // --- parts -----------------------------------------------------------------------------------------------------

  private _build(): HTMLElement {
    this._name = h('div', { class: 'phasenb-name', role: 'heading', 'aria-level': 4, dir: 'auto' });
    this._state = h('span', { class: 'phasenb-state' });
    this._facts = h('span', { class: 'phasenb-facts' });
    this._sentence = h('span', {});
    const retry = () => this._store.client.connect();
    this._tryAgain = h(
      'button',
      { type: 'button', class: 'phasenb-button', click: retry },
      this._trans.__('Try again')
    );
    this._connection = h('p', { class: 'phasenb-connection', hidden: true }, this._sentence, this._tryAgain);
    this._says = h('p', { class: 'phasenb-says', dir: 'auto', hidden: true });
    this._refusal = h('p', { class: 'phasenb-refusal', role: 'alert', hidden: true });
    this._row = h('div', { class: 'phasenb-buttons', role: 'group', 'aria-label': this._trans.__('steer the task') });
    for (const [command, [label, title]] of Object.entries(this._labels())) {
      const click = () => this._press(command as Command);
      const button = h('button', { type: 'button', class: 'phasenb-button', title, hidden: true, click }, label);
      this._buttons.set(command as Command, button);
      this._row.append(button);
    }
    this._foot = h('div', { class: 'phasenb-foot' }, this._id.node);
    this._body = h(
      'div',
      { class: 'phasenb-body' },
      h('div', { class: 'phasenb-head' }, this._name, this._state, this._facts),
      this._inputs.node,
      this._steps.node,
      this._says,
      this._error.node,
      this._gate.node,
      this._row,
      this._refusal,
      this._output.node,
      this._log.node,
      this._foot
    );
    return h('div', { class: 'phasenb-task', role: 'group' }, this._connection, this._body);
  }

  private _labels(): Record<Command, [label: string, title: string]> {
    const trans = this._trans;
    return {
      resume: [trans.__('Resume'), trans.__('Go on')],
      pause: [trans.__('Pause'), trans.__('Start nothing new after the running phase')],
      give_up: [trans.__('Give up'), trans.__('Don’t try this phase again: go on with what follows its last attempt')],
      retry: [trans.__('Retry'), trans.__('Run it again, from the phase that did not finish')],
      cancel: [trans.__('Cancel'), trans.__('End this task')]
    };
  }

  private _paintConnection(task: TaskState | null): void {
    const { connection } = this._store.client;
    const problem = HEARD.has(connection.kind) ? this.model.problem : null; // a server that is gone says nothing
    const goesOn = task !== null && !words.isTerminal(task.state);
    const elsewhere = this._epoch !== null && this._epoch !== this._store.client.welcome?.epoch;
    const sentence =
      problem === null
        ? connectionSentence(connection, Number(goesOn), this._trans)
        : problemSentence(problem, elsewhere, this._owners(), this._trans);
    const live = HEARD.has(connection.kind) && !('blocked' in connection);
    const finished = task !== null && !goesOn && !live && problem === null;
    setHidden(this._connection, sentence === null || finished); // what has ended is as true as ever
    setText(this._sentence, sentence ?? '');
    setHidden(this._tryAgain, !UNREACHED.has(connection.kind));
  }

  /** Whose the task is and who looks at it, where those are two. */
  private _owners(): [string, string] | null {
    const me = this._store.client.welcome?.owner;
    return this._owner === null || me === undefined || me === this._owner ? null : [words.plain(this._owner), me];
  }

  private _paintHead(task: TaskState, live: boolean, now: Date): void {
    const ended = words.isTerminal(task.state);
    setText(this._name, words.plain(task.name));
    const told = live || ended || this.model.asOf === null;
    const at = this.model.asOf ?? now;
    const short = (time: Date) => words.when(time, now);
    setText(this._state, told ? words.stateWord(task.state, this._trans) : words.asOf(task, at, this._trans, short));
    setOptionalAttribute(this._state, 'title', told ? null : words.dateAndClock(at));
    const facts: string[] = [];
    if (live && !ended && task.state !== 'queued') {
      facts.push(words.share(task, this._trans));
    }
    const took = live || ended ? words.elapsed(task.started_at, task.ended_at, now) : null;
    if (took !== null) {
      facts.push(ended ? took : this._trans.__('%1 so far', took));
    }
    if (live && !ended && task.eta_s !== null) {
      facts.push(this._trans.__('about %1 left in %2', words.seconds(Math.max(1, task.eta_s)), task.phase ?? ''));
    }
    if (ended) {
      facts.push(short(endOf(task)));
    }
    setText(this._facts, facts.join(' · '));
    const [begun, end] = [task.started_at, ended ? endOf(task) : null];
    const times = [begun && this._trans.__('started %1', words.dateAndClock(new Date(begun)))];
    times.push(end && this._trans.__('ended %1', words.dateAndClock(end)));
    setOptionalAttribute(this._facts, 'title', times.filter(Boolean).join('\n') || null);
    this._id.update(task.task_id);
    this._paintNotes(this.model.notes);
  }

  /** What it does, or waits for; an open gate says that itself. */
  private _activity(task: TaskState, live: boolean, now: Date): string | null {
    const told = (live && task.state !== 'awaiting_approval') || words.isTerminal(task.state);
    return told ? words.activity(task, now, this._trans) : null;
  }

  private _paintNotes(notes: readonly string[]): void {
    if (notes !== this._notes) {
      this._notes = notes;
      this._foot.replaceChildren(this._id.node, ...notes.map(note => h('span', { dir: 'auto' }, words.plain(note))));
    }
  }

  private _paintButtons(task: TaskState, live: boolean): void {
    const rests = !live || this._asking;
    for (const [command, button] of this._buttons) {
      setHidden(button, !task.actions.includes(command));
      button.disabled = rests;
    }
    this._gate.setDisabled(rests);
    setHidden(this._row, !BUTTONS.some(command => task.actions.includes(command)));
  }

  private _paintTimes(task: TaskState, live: boolean): void {
    this._ticks = live && !words.isTerminal(task.state) && (task.started_at !== null || task.retry_at !== null);
    if (this._ticks) {
      TICKER.add(this._tick);
    } else {
      TICKER.remove(this._tick);
    }
  }

  private _announce(task: TaskState, live: boolean): void {
    const word = words.stateWord(task.state, this._trans);
    const text = `${words.plain(task.name)}: ${task.state === 'running' ? task.phase : word}`;
    if (live && text !== this._announced) {
      if (this._announced !== null) {
        ANNOUNCER.say(task.task_id, text);
      }
      this._announced = text;
    }
  }

  // --- asking ----------------------------------------------------------------------------------------------------

  private _press(command: Command): void {
    const task = this.model.state;
    if (task !== null) {
      const about = command === 'retry' || command === 'give_up' ? { if_seq: task.seq } : {};
      void this._ask({ type: command, task_id: task.task_id, ...about } as Request);
    }
  }

  /** Ask for a command; the buttons rest until the server has answered. Whether it was done. */
  private async _ask(request: Request, given: Given = {}): Promise<boolean> {
    const focused = this._focused();
    this._asking = true;
    setOptional(this._refusal, null);
    this.paint();
    try {
      await this._store.client.request(request, undefined, given);
      return true;
    } catch (error) {
      setOptional(this._refusal, refusalSentence(error, this._trans));
      return false;
    } finally {
      this._asking = false;
      this.paint();
      if (focused !== null && document.activeElement === document.body) {
        this._keepFocus(focused);
      }
    }
  }

  private _focused(): HTMLElement | null {
    const { activeElement } = document;
    return activeElement instanceof HTMLElement && this.node.contains(activeElement) ? activeElement : null;
  }

  /** A button that is gone, hidden or at rest has no focus any more: then the keyboard goes on from the task itself. */
  private _keepFocus(focused: HTMLElement): void {
    const stays = this.node.contains(focused) && focused.closest('[hidden]') === null && !focused.matches(':disabled');
    const target = stays ? focused : this.node;
    if (target !== document.activeElement) {
      this.node.tabIndex = -1;
      target.focus({ preventScroll: true });
    }
  }

  private _store: Source;
  private _trans: TranslationBundle;
  private _epoch: string | null;
  private _owner: string | null;
  private _steps: Steps;
  private _inputs: Inputs;
  private _error: ErrorText;
  private _id: TaskId;
  private _gate: Gate;
  private _log: Log;
  private _output: Output;
  private _tick: () => void;
  private _buttons = new Map<Command, HTMLButtonElement>();
  private _notes: readonly string[] = [];
  private _announced: string | null = null;
  private _asking = false;
  private _disposed = false;
  private _ticks = false;
  private _painted = 0;
  private _inSight = true;
  private _onScreen = false;
  private _seen = false;
  private _observer: IntersectionObserver | null;
  private _name!: HTMLElement;
  private _state!: HTMLElement;
  private _facts!: HTMLElement;
  private _sentence!: HTMLElement;
  private _tryAgain!: HTMLElement;
  private _connection!: HTMLElement;
  private _says!: HTMLElement;
  private _refusal!: HTMLElement;
  private _row!: HTMLElement;
  private _foot!: HTMLElement;
  private _body!: HTMLElement;
}

function endOf(task: TaskState): Date {
  return new Date(task.ended_at ?? task.updated_at);
}

/** Calls `see` whenever the element comes into sight or goes; where nothing can tell, it is in sight. */
function observeSight(element: Element, see: (inSight: boolean) => void): IntersectionObserver | null {
  if (typeof IntersectionObserver === 'undefined') {
    queueMicrotask(() => see(true));
    return null;
  }
  const observer = new IntersectionObserver(entries => see(entries[entries.length - 1]?.isIntersecting ?? false));
  observer.observe(element);
  return observer;
}
