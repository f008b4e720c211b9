// The last lines of a task's output; all that are at hand when somebody asks for them.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setOptional, setText } from './dom';
import { TAIL_LINES, type TailLine, type TaskModel } from './model';
import { plain } from './words';

const FEW = 6;

export class Log {
  readonly node: HTMLElement;

  constructor(private _trans: TranslationBundle) {
    this._more = h('button', { type: 'button', class: 'phasenb-more', click: () => this._toggle() });
    this._text = h('pre', { 'aria-label': _trans.__('log'), tabindex: 0, dir: 'auto' });
    const heading = h('p', { class: 'phasenb-well', 'aria-hidden': 'true' }, _trans.__('Log'));
    this._lost = h('p', { class: 'phasenb-sub', hidden: true });
    this.node = h('div', { class: 'phasenb-log', hidden: true }, heading, this._text, this._lost, this._more);
  }

  /** `unfinished`: what was written that is no line yet, such as a bar that is being drawn. */
  update({ tail, dropped, skipped }: TaskModel, unfinished: string | null): void {
    const missing = missingWord(dropped, skipped, this._trans);
    if (tail === this._tail && missing === this._missing && unfinished === this._unfinished) {
      return;
    }
    this._tail = tail;
    this._missing = missing;
    this._unfinished = unfinished;
    this._paint();
  }

  private _toggle(): void {
    this._all = !this._all;
    this._paint();
  }

  private _paint(): void {
    const { _text: text, _tail: tail } = this;
    setHidden(this.node, tail.length === 0 && this._unfinished === null);
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 8;
    const lines = this._all ? tail : tail.slice(-FEW);
    const drawn = this._unfinished === null ? [] : this._unfinished.split('\n');
    setText(text, [...lines.map(line => line.text), ...drawn].map(plain).join('\n'));
    if (atEnd) {
      text.scrollTop = text.scrollHeight; // whoever has scrolled up reads on undisturbed
    }
    const trans = this._trans;
    setOptional(this._lost, this._missing);
    setHidden(this._more, tail.length <= FEW);
    setText(this._more, this._all ? trans.__('Fewer lines') : moreWord(tail, trans));
    setAttribute(this._more, 'aria-expanded', String(this._all));
  }

  private _tail: readonly TailLine[] = [];
  private _missing: string | null = null;
  private _unfinished: string | null = null;
  private _all = false;
  private _more: HTMLElement;
  private _text: HTMLElement;
  private _lost: HTMLElement;
}

/** Lines that are gone, and lines that only are not here. */
function missingWord(dropped: number, skipped: number, trans: TranslationBundle): string | null {
  const gone = dropped ? [trans._n('%1 line was dropped', '%1 lines were dropped', dropped)] : [];
  const elsewhere = skipped
    ? [
        trans._n(
          '%1 line is not shown here; task.logs() has it',
          '%1 lines are not shown here; task.logs() has them',
          skipped
        )
      ]
    : [];
  return [...gone, ...elsewhere].join(' · ') || null;
}

/** No more are at hand than a page keeps. */
function moreWord(tail: readonly TailLine[], trans: TranslationBundle): string {
  return tail.length < TAIL_LINES ? trans.__('All lines') : trans.__('The last %1 lines', tail.length);
}
