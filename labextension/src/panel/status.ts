// How many tasks are at work, in the status bar; nothing where none is.

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
  }

  override dispose(): void {
    this._store.changed.disconnect(this._changed, this);
    super.dispose();
  }

  get isActive(): boolean {
    return this._isActive;
  }

  get activeChanged(): ISignal<this, void> {
    return this._activeChanged;
  }

  private _changed(): void {
    if (!this._census.moved(this._store.tasks)) {
      return;
    }
    const text = statusText(counted(this._store.tasks.values()), this._trans);
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
