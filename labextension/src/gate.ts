// An open gate: what there is to approve, an editor for it, and the two answers.
//
// Rules: a gate that is open on the screen is not painted over while somebody writes in it, and what they wrote can be
// read when somebody else was faster, or the view was closed; the answer names the gate that was seen (`if_seq`), so one
// that has moved on is refused, not answered by mistake; all of what is approved can be seen, and its text is sent as it
// was written (exact.ts).

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Given, Request } from './client';
import { h, setHidden, setOptional, setText } from './dom';
import { exactText } from './exact';
import type { Decision } from './model';
import type { Approval, Json, TaskState } from './protocol';
import { isReference } from './reducer';
import { inputs, LONG_INPUT, plain, printable, startsWithInputs } from './words';

/** Whether it was done. */
export type Steer = (request: Request, given?: Given) => Promise<boolean>;

interface Draft {
  text: string | null;
  reason: string;
}

let made = 0;
/** What was written in views that are closed, by task and gate. */
const DRAFTS = new Map<string, Draft>();

export class Gate {
  readonly node = h('div', { class: 'phasenb-gate', hidden: true });

  /** `again`: have the whole view painted, which minds the focus. */
  constructor(
    private _steer: Steer,
    private _again: () => void,
    private _trans: TranslationBundle
  ) {}

  /** `decision`: how its last gate was answered, where that was heard of. */
  update(task: TaskState, decision: Decision | null): void {
    if (this._answering) {
      return; // whether it was this answer that closed the gate is known when the server has told
    }
    const gate = task.state === 'awaiting_approval' || task.state === 'paused' ? task.approval : null;
    if (gate?.seq !== this._gate?.seq || task.task_id !== this._taskId) {
      const drafts = task.task_id === this._taskId ? this._drafts() : [];
      this._left = drafts.length > 0 ? this._leftover(drafts, decision) : this._left;
      this._gate = gate;
      this._taskId = task.task_id;
      this._first = startsWithInputs(task);
      this._inputs = inputs(task, LONG_INPUT).join('\n');
      this._paint(task);
    } else if (gate !== null && this._exact === null && !this._first) {
      this._show(gate); // it stood there as a notebook had kept it
    }
    setHidden(this.node, this._left === null && task.state !== 'awaiting_approval'); // one that is paused comes back
  }

  /** What can't be pressed while there is no connection, or while an answer is under way. */
  setDisabled(disabled: boolean): void {
    for (const button of this.node.querySelectorAll<HTMLButtonElement>('button[data-sends]')) {
      button.disabled = disabled;
    }
  }

  /** The view closes: what was not sent is there again when the gate is shown again. */
  dispose(): void {
    if (this._gate !== null && this._drafts().length > 0) {
      const text = this._isEdited() ? this._editor.value : null;
      DRAFTS.set(this._key, { text, reason: this._reason.value });
    }
  }

  private _paint(task: TaskState): void {
    const form = this._gate === null ? [] : this._form(task, this._gate);
    this.node.replaceChildren(...(this._left === null ? [] : [this._left]), ...form);
  }

  private _form(task: TaskState, gate: Approval): Node[] {
    const trans = this._trans;
    const id = `phasenb-gate-${++made}`;
    const keydown = onEscape(() => this._edits(false));
    this._sent = false;
    this._label = h('label', { for: id });
    this._editor = h('textarea', { id, class: 'phasenb-editor', spellcheck: 'false', hidden: true, keydown });
    this._preview = h('pre', { 'aria-label': trans.__('to be approved'), tabindex: 0, dir: 'auto' });
    this._wrong = h('p', { class: 'phasenb-refusal', role: 'alert', hidden: true });
    const edit = () => this._edits(true);
    this._edit = h('button', { type: 'button', class: 'phasenb-button', click: edit }, trans.__('Edit'));
    this._discard = h('button', { type: 'button', class: 'phasenb-button', click: () => this._forget() });
    this._discard.textContent = trans.__('Discard');
    this._discard.title = trans.__('Forget what was edited');
    const click = () => this._approve(task, gate);
    const looks = { type: 'button', class: 'phasenb-button phasenb-primary', 'data-sends': true, click };
    const approve = h('button', looks, trans.__('Approve'));
    const open = () => {
      setHidden(denial, false);
      this._reason.focus();
    };
    const deny = h('button', { type: 'button', class: 'phasenb-button', click: open }, trans.__('Deny…'));
    const denial = this._denial(task, gate, () => {
      setHidden(denial, true);
      deny.focus();
    });
    this._show(gate);
    this._restore();
    setHidden(denial, this._reason.value === '');
    const buttons = h('div', { class: 'phasenb-buttons' }, approve, this._edit, this._discard, deny);
    return [this._label, this._preview, this._editor, this._wrong, buttons, denial];
  }

  private get _key(): string {
    return `${this._taskId} ${this._gate?.seq}`;
  }

  private _restore(): void {
    const draft = DRAFTS.get(this._key);
    DRAFTS.delete(this._key);
    this._reason.value = draft?.reason ?? '';
    if (draft !== undefined && draft.text !== null) {
      this._editor.value = draft.text;
      this._turn(true);
    }
  }

  /** The output as the server wrote it; what only a notebook has kept of it can be read, not edited. */
  private _show(gate: Approval): void {
    this._exact = this._first || isReference(gate.output) ? null : exactText(gate);
    setText(this._preview, this._first ? this._inputs : (this._exact ?? printable(readingOf(gate.output))));
    this._editor.value = this._exact ?? '';
    this._editor.rows = rowsOf(this._editor.value);
    this._turn(false);
  }

  private _turn(editing: boolean): void {
    const phase = this._gate?.phase ?? '';
    const says = this._first
      ? this._inputs
        ? this._trans.__('%1 starts with these inputs once you approve:', phase)
        : this._trans.__('%1 starts once you approve.', phase)
      : editing
        ? this._trans.__('%1 goes on with this once you approve, as JSON:', phase)
        : this._trans.__('%1 goes on with this once you approve:', phase);
    setText(this._label, says);
    setHidden(this._preview, editing || (this._first && !this._inputs));
    setHidden(this._edit, editing || this._exact === null);
    setHidden(this._editor, !editing);
    setHidden(this._discard, !editing);
    this._tell(null);
  }

  /** Go to the editor, or back to reading: what was written is still there when somebody comes again. */
  private _edits(editing: boolean): void {
    this._turn(editing);
    (editing ? this._editor : this._edit).focus();
  }

  private _forget(): void {
    this._editor.value = this._exact ?? '';
    this._edits(false);
  }

  private _tell(problem: string | null): void {
    setOptional(this._wrong, problem);
    this._editor.setAttribute('aria-invalid', String(problem !== null));
  }

  private _approve(task: TaskState, gate: Approval): void {
    const about = { type: 'approve', task_id: task.task_id, phase: gate.phase, if_seq: gate.seq } as const;
    const text = this._editor.value;
    if (this._editor.hidden || text === this._exact) {
      void this._answer(about);
      return;
    }
    const problem = this._problem(text);
    this._tell(problem);
    if (problem === null) {
      void this._answer(about, { edit: text });
    } else {
      this._editor.focus();
    }
  }

  /** What is wrong with an edit, or only strange: that is said once. */
  private _problem(text: string): string | null {
    const flaw = flawOf(text);
    if (flaw !== null) {
      return this._trans.__('This is not JSON: %1', flaw);
    }
    const [was, is] = [kindOf(this._exact ?? 'null', this._trans), kindOf(text, this._trans)];
    if (was === is || text === this._doubted) {
      return null;
    }
    this._doubted = text;
    return this._trans.__('This was %1, and is %2 now. Approve again to go on with it all the same.', was, is);
  }

  private async _answer(request: Request, given?: Given): Promise<void> {
    const key = this._key;
    this._answering = true;
    this._sent = await this._steer(request, given);
    if (this._sent) {
      DRAFTS.delete(key); // of a view that was closed before the answer came
    }
    this._answering = false;
    this._again();
  }

  private _denial(task: TaskState, gate: Approval, back: () => void): HTMLElement {
    const trans = this._trans;
    const [reasonId, redoId] = [`phasenb-reason-${++made}`, `phasenb-redo-${made}`];
    const reason = h('textarea', { id: reasonId, rows: 2, class: 'phasenb-editor', required: true, maxlength: 10_000 });
    this._reason = reason;
    const before = task.phases.slice(
      0,
      task.phases.findIndex(phase => phase.name === gate.phase)
    );
    const asks = h('label', { for: reasonId });
    const ask = () =>
      setText(asks, redo.value ? trans.__('What should %1 do otherwise?', redo.value) : trans.__('Why not?'));
    const redo = h(
      'select',
      { id: redoId, class: 'phasenb-select', change: ask },
      h('option', { value: '' }, trans.__('end the task')),
      ...before.reverse().map(phase => h('option', { value: phase.name }, trans.__('run %1 again', phase.name)))
    );
    ask();
    const send = h('button', { type: 'submit', class: 'phasenb-button phasenb-danger', 'data-sends': true });
    send.textContent = trans.__('Deny');
    const keep = h('button', { type: 'button', class: 'phasenb-button', click: back }, trans.__('Back'));
    const submit = (event: Event) => {
      event.preventDefault();
      const about = { task_id: task.task_id, phase: gate.phase, if_seq: gate.seq };
      void this._answer({ type: 'deny', ...about, reason: reason.value, redo: redo.value || null });
    };
    return h(
      'form',
      { class: 'phasenb-denial', hidden: true, submit, keydown: onEscape(back) },
      asks,
      reason,
      h('label', { for: redoId }, trans.__('Then')),
      redo,
      h('div', { class: 'phasenb-buttons' }, send, keep)
    );
  }

  /** What was written for the gate and not sent. */
  private _drafts(): string[] {
    if (this._gate === null || this._sent) {
      return [];
    }
    return [this._isEdited() ? this._editor.value : '', this._reason.value].filter(text => text.trim() !== '');
  }

  private _isEdited(): boolean {
    return this._editor.value !== (this._exact ?? '');
  }

  /** What is left of a gate that was answered elsewhere. */
  private _leftover(drafts: string[], decision: Decision | null): HTMLElement {
    const click = () => {
      this._left?.remove();
      this._left = null;
      this._again();
    };
    return h(
      'div',
      { class: 'phasenb-left' },
      h('p', { role: 'status' }, this._decided(decision)),
      ...drafts.map(text => h('pre', { 'aria-label': this._trans.__('what you wrote'), tabindex: 0 }, printable(text))),
      h('button', { type: 'button', class: 'phasenb-button', click }, this._trans.__('Discard'))
    );
  }

  private _decided(decision: Decision | null): string {
    if (decision === null) {
      return this._trans.__('The task has moved on meanwhile. This is what you wrote, which was not sent:');
    }
    const { by, phase, approved } = decision;
    return approved
      ? this._trans.__('%1 approved %2 meanwhile. This is what you wrote, which was not sent:', plain(by), phase)
      : this._trans.__('%1 denied %2 meanwhile. This is what you wrote, which was not sent:', plain(by), phase);
  }

  private _gate: Approval | null = null;
  private _first = false; // before the first phase: nothing was made that could be edited
  private _inputs = '';
  private _taskId = '';
  private _exact: string | null = null;
  private _left: HTMLElement | null = null;
  private _answering = false;
  private _doubted: string | null = null;
  private _sent = false;
  private _label!: HTMLElement;
  private _editor!: HTMLTextAreaElement;
  private _preview!: HTMLElement;
  private _wrong!: HTMLElement;
  private _edit!: HTMLButtonElement;
  private _discard!: HTMLButtonElement;
  private _reason!: HTMLTextAreaElement;
}

/** Escape leaves what is written, and nothing around it. */
function onEscape(leave: () => void): (event: Event) => void {
  return event => {
    if ((event as KeyboardEvent).key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      leave();
    }
  };
}

/** An output as JavaScript reads it: JSON on several lines; a reference as its own preview. */
function readingOf(value: Json): string {
  return isReference(value) ? String(value.preview ?? '') : JSON.stringify(value, null, 2);
}

function rowsOf(text: string): number {
  return Math.max(3, Math.min(16, text.split('\n').length));
}

function kindOf(json: string, trans: TranslationBundle): string {
  const value: unknown = JSON.parse(json);
  if (value === null) {
    return 'null';
  }
  switch (typeof value) {
    case 'string':
      return trans.__('a text');
    case 'number':
      return trans.__('a number');
    case 'boolean':
      return trans.__('true or false');
    default:
      return Array.isArray(value) ? trans.__('a list') : trans.__('an object');
  }
}

/** What is wrong with `text` as JSON; null where nothing is. */
function flawOf(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
