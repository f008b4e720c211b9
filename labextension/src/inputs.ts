// A task's inputs on one line; those beyond the first few open.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setText } from './dom';
import type { TaskState } from './protocol';
import { FEW_INPUTS, inputs } from './words';

export class Inputs {
  readonly node: HTMLElement;

  constructor(private _trans: TranslationBundle) {
    this._text = h('span', { dir: 'auto' });
    this._more = h('button', { type: 'button', class: 'phasenb-fold', click: () => this._toggle() });
    const about = { class: 'phasenb-inputs', role: 'group', 'aria-label': _trans.__('inputs'), hidden: true };
    this.node = h('div', about, this._text, this._more);
  }

  update(task: TaskState): void {
    if (task.inputs !== this._inputs) {
      this._inputs = task.inputs;
      this._all = inputs(task);
      this._paint();
    }
  }

  private _toggle(): void {
    this._open = !this._open;
    this._paint();
  }

  private _paint(): void {
    const shown = this._open ? this._all : this._all.slice(0, FEW_INPUTS);
    const folded = this._all.length - FEW_INPUTS;
    setHidden(this.node, this._all.length === 0);
    setText(this._text, shown.join(', '));
    setHidden(this._more, folded <= 0);
    setText(this._more, this._open ? this._trans.__('Fewer inputs') : this._trans.__('+%1 more', folded));
    setAttribute(this._more, 'aria-expanded', String(this._open));
  }

  private _inputs: TaskState['inputs'] | null = null;
  private _all: string[] = [];
  private _open = false;
  private _text: HTMLElement;
  private _more: HTMLElement;
}
