// Why a task failed: the error, the line of the user's own, the traceback. A long message is cut at four lines, and opens.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h, setAttribute, setHidden, setText } from './dom';
import type { TaskFailure, TaskState } from './protocol';
import { ownLine, plain, printable, trouble } from './words';

export class ErrorText {
  readonly node = h('div', { class: 'phasenb-error', hidden: true });

  constructor(private _trans: TranslationBundle) {
    const click = () => this._turn(!this._open);
    this._more = h('button', { type: 'button', class: 'phasenb-fold', hidden: true, click });
    this._text = h('p', { class: 'phasenb-message' });
    if (typeof ResizeObserver !== 'undefined') {
      this._resized = new ResizeObserver(() => this._measure());
      this._resized.observe(this._text);
    }
  }

  dispose(): void {
    this._resized?.disconnect();
  }

  update(task: TaskState): void {
    const failure = trouble(task);
    if (failure !== this._failure) {
      this._failure = failure;
      setHidden(this.node, failure === null);
      this.node.replaceChildren(...(failure === null ? [] : this._parts(failure)));
      this._turn(false);
    }
  }

  private _parts({ phase, error }: TaskFailure): Node[] {
    const where = phase === null ? '' : this._trans.__(' in %1', phase);
    this._text.replaceChildren(h('b', {}, plain(error.type)), where);
    if (error.message) {
      this._text.append(': ', h('span', { dir: 'auto' }, plain(error.message)));
    }
    const parts: Node[] = [this._text, this._more];
    const own = ownLine(error.traceback, this._trans);
    if (own !== null) {
      parts.push(h('p', { class: 'phasenb-where' }, plain(own.where)));
      if (own.code) {
        parts.push(h('pre', {}, plain(own.code)));
      }
    }
    if (error.traceback) {
      const text = h('pre', { tabindex: 0, dir: 'auto' }, printable(error.traceback));
      parts.push(h('details', {}, h('summary', {}, this._trans.__('Traceback')), text));
    }
    return parts;
  }

  private _turn(open: boolean): void {
    this._open = open;
    this._text.classList.toggle('phasenb-open', open);
    setText(this._more, open ? this._trans.__('Less') : this._trans.__('More'));
    setAttribute(this._more, 'aria-expanded', String(open));
    this._measure();
  }

  /** Whether there is more of it than is seen depends on how wide the card is. */
  private _measure(): void {
    setHidden(this._more, !this._open && this._text.scrollHeight <= this._text.clientHeight + 1);
  }

  private _failure: TaskFailure | null = null;
  private _open = false;
  private _text: HTMLElement;
  private _more: HTMLElement;
  private _resized: ResizeObserver | null = null;
}
