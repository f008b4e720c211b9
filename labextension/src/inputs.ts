// A task's inputs on one line. A button opens those that the line leaves out or cuts. A gate before the first phase shows
// them itself.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setText } from './dom';
import type { TaskState } from './protocol';
import { FEW_INPUTS, inputs, LONG_INPUT, startsWithInputs } from './words';

export class Inputs {
  readonly node: HTMLElement;

  constructor(private _trans: TranslationBundle) {
    this._text = h('span', { dir: 'auto' });
    this._more = h('button', { type: 'button', class: 'phasenb-fold', click: () => this._toggle() });
    const about = { class: 'phasenb-inputs', role: 'group', 'aria-label': _trans.__('inputs'), hidden: true };
    this.node = h('div', about, this._text, ' ', this._more);
  }

  update(task: TaskState): void {
    if (task.inputs !== this._inputs) {
      this._inputs = task.inputs;
      this._few = inputs(task).slice(0, FEW_INPUTS);
      this._all = inputs(task, LONG_INPUT);
      this._paint();
    }
    setHidden(this.node, this._all.length === 0 || startsWithInputs(task));
  }

  private _toggle(): void {
    this._open = !this._open;
    this._paint();
  }

  private _paint(): void {
    const others = this._all.length - this._few.length;
    const cut = this._few.some((text, index) => text !== this._all[index]);
    const opens = others > 0 ? this._trans.__('+%1 more', others) : this._trans.__('More');
    setText(this._text, this._open ? this._all.join('\n') : this._few.join(', '));
    this._text.classList.toggle('phasenb-open', this._open);
    setHidden(this._more, others === 0 && !cut);
    setText(this._more, this._open ? this._trans.__('Less') : opens);
    setAttribute(this._more, 'aria-expanded', String(this._open));
  }

  private _inputs: TaskState['inputs'] | null = null;
  private _few: string[] = [];
  private _all: string[] = [];
  private _open = false;
  private _text: HTMLElement;
  private _more: HTMLElement;
}
