// An open gate: what there is to approve, an editor for it, and the two answers.
//
// Rules: a gate that is open on the screen is not painted over while somebody writes in it; the answer names the gate
// that was seen (`if_seq`), so one that has moved on is refused, not answered by mistake; all of what is approved can be
// seen, and its text is sent as it was written (exact.ts).

import type { TranslationBundle } from '@jupyterlab/translation';
import type { Given, Request } from './client';
import { h, setHidden, setOptional, setText } from './dom';
import { exactText } from './exact';
import type { Approval, Json, TaskState } from './protocol';
import { isReference } from './reducer';
import { printable } from './words';

export type Steer = (request: Request, given?: Given) => Promise<void>;

let made = 0;

export class Gate {
  readonly node = h('div', { class: 'phasenb-gate', hidden: true });

  constructor(
    private _steer: Steer,
    private _trans: TranslationBundle
  ) {}

  update(task: TaskState): void {
    const gate = task.state === 'awaiting_approval' ? task.approval : null;
    if (gate?.seq === this._gate?.seq && task.task_id === this._taskId) {
      if (gate !== null && this._exact === null) {
        this._show(gate); // it stood there as a notebook had kept it
      }
      return;
    }
    this._gate = gate;
    this._taskId = task.task_id;
    setHidden(this.node, gate === null);
    this.node.replaceChildren(...(gate === null ? [] : this._form(task, gate)));
  }

  /** What can't be pressed while there is no connection, or while an answer is under way. */
  setDisabled(disabled: boolean): void {
    for (const button of this.node.querySelectorAll<HTMLButtonElement>('button[data-sends]')) {
      button.disabled = disabled;
    }
  }

  private _form(task: TaskState, gate: Approval): Node[] {
    const trans = this._trans;
    const id = `phasenb-gate-${++made}`;
    const editor = h('textarea', { id, class: 'phasenb-editor', spellcheck: 'false', hidden: true });
    const preview = h('pre', { 'aria-label': trans.__('to be approved'), tabindex: 0 });
    const label = h('label', { for: id, hidden: true }, trans.__('What to go on with, as JSON'));
    const wrong = h('p', { class: 'phasenb-refusal', role: 'alert', hidden: true });
    const edit = h('button', { type: 'button', class: 'phasenb-button' }, trans.__('Edit'));
    this._editor = editor;
    this._preview = preview;
    this._edit = edit;
    this._show(gate);
    const approve = h('button', { type: 'button', class: 'phasenb-button phasenb-primary', 'data-sends': true });
    approve.textContent = trans.__('Approve');
    const deny = h('button', { type: 'button', class: 'phasenb-button' }, trans.__('Deny…'));
    const denial = this._denial(task, gate, () => {
      setHidden(denial, true);
      deny.focus();
    });
    edit.addEventListener('click', () => {
      for (const element of [preview, edit]) {
        setHidden(element, true);
      }
      for (const element of [label, editor]) {
        setHidden(element, false);
      }
      editor.focus();
    });
    approve.addEventListener('click', () => {
      const about = { type: 'approve', task_id: task.task_id, phase: gate.phase, if_seq: gate.seq } as const;
      if (editor.hidden || editor.value === this._exact) {
        void this._steer(about);
        return;
      }
      const flaw = flawOf(editor.value);
      const problem = flaw === null ? null : trans.__('This is not JSON: %1', flaw);
      setOptional(wrong, problem);
      editor.setAttribute('aria-invalid', String(problem !== null));
      if (problem === null) {
        void this._steer(about, { edit: editor.value });
      } else {
        editor.focus();
      }
    });
    deny.addEventListener('click', () => {
      setHidden(denial, false);
      denial.querySelector('textarea')?.focus();
    });
    const buttons = h('div', { class: 'phasenb-buttons' }, approve, edit, deny);
    return [preview, label, editor, wrong, buttons, denial];
  }

  /** The output as the server wrote it; what only a notebook has kept of it can be read, not edited. */
  private _show(gate: Approval): void {
    this._exact = isReference(gate.output) ? null : exactText(gate);
    setText(this._preview, this._exact ?? printable(readingOf(gate.output)));
    setHidden(this._edit, this._exact === null);
    this._editor.value = this._exact ?? '';
    this._editor.rows = rowsOf(this._editor.value);
  }

  private _denial(task: TaskState, gate: Approval, back: () => void): HTMLElement {
    const trans = this._trans;
    const [reasonId, redoId] = [`phasenb-reason-${++made}`, `phasenb-redo-${made}`];
    const reason = h('textarea', { id: reasonId, rows: 2, class: 'phasenb-editor', required: true, maxlength: 10_000 });
    const before = task.phases.slice(
      0,
      task.phases.findIndex(phase => phase.name === gate.phase)
    );
    const redo = h(
      'select',
      { id: redoId, class: 'phasenb-select' },
      h('option', { value: '' }, trans.__('end the task')),
      ...before.reverse().map(phase => h('option', { value: phase.name }, trans.__('run %1 again', phase.name)))
    );
    const send = h('button', { type: 'submit', class: 'phasenb-button phasenb-danger', 'data-sends': true });
    send.textContent = trans.__('Deny');
    const keep = h('button', { type: 'button', class: 'phasenb-button', click: back }, trans.__('Back'));
    const submit = (event: Event) => {
      event.preventDefault();
      const about = { task_id: task.task_id, phase: gate.phase, if_seq: gate.seq };
      void this._steer({ type: 'deny', ...about, reason: reason.value, redo: redo.value || null });
    };
    return h(
      'form',
      { class: 'phasenb-denial', hidden: true, submit },
      h('label', { for: reasonId }, trans.__('Why not? The phase that runs again is told.')),
      reason,
      h('label', { for: redoId }, trans.__('Then')),
      redo,
      h('div', { class: 'phasenb-buttons' }, send, keep)
    );
  }

  private _gate: Approval | null = null;
  private _taskId = '';
  private _exact: string | null = null;
  private _editor!: HTMLTextAreaElement;
  private _preview!: HTMLElement;
  private _edit!: HTMLButtonElement;
}

/** An output as JavaScript reads it: JSON on several lines; a reference as its own preview. */
function readingOf(value: Json): string {
  return isReference(value) ? String(value.preview ?? '') : JSON.stringify(value, null, 2);
}

function rowsOf(text: string): number {
  return Math.max(3, Math.min(16, text.split('\n').length));
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
