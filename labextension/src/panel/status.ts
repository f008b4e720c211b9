// How many tasks are at work, in the status bar; nothing where none is.
//
// Rule: while the connection is lost nobody knows how many there are, so no number is said.

import type { TranslationBundle } from '@jupyterlab/translation';
import { type ISignal, Signal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { h, setText } from '../dom';
import type { TaskStore } from '../store';
import { Census, counted, statusText } from './listing';

export class TaskStatus extends Widget {
  constructor(
    private _store: TaskStore,
    open: () => void,
    private _trans: TranslationBundle
  ) {
    super();
    this.addClass('phasenb-status');
    const title = _trans.__('Show the tasks');
    this._button = h('button', { type: 'button', class: 'jp-mod-highlighted', title, click: open });
    this.node.append(this._button);
    _store.changed.connect(this._changed, this);
    _store.client.connectionChanged.connect(this._paint, this);
  }

  override dispose(): void {
    this._store.changed.disconnect(this._changed, this);
    this._store.client.connectionChanged.disconnect(this._paint, this);
    super.dispose();
  }

  get isActive(): boolean {
    return this._isActive;
  }

  get activeChanged(): ISignal<this, void> {
    return this._activeChanged;
  }

  private _changed(): void {
    if (this._census.moved(this._store.tasks)) {
      this._paint();
    }
  }

  private _paint(): void {
    const counts = counted(this._store.tasks.values());
    const lost = counts.live > 0 && this._store.client.connection.kind !== 'connected';
    const text = lost ? this._trans.__('Tasks: connection lost') : statusText(counts, this._trans);
    setText(this._button, text);
    if (this._isActive !== (text !== '')) {
      this._isActive = text !== '';
      this._activeChanged.emit();
    }
  }

  private _button: HTMLButtonElement;
  private _census = new Census();
  private _isActive = false;
  private _activeChanged = new Signal<this, void>(this);
}
