// A task's id, short: a click copies all of it.

import type { TranslationBundle } from '@jupyterlab/translation';
import { ANNOUNCER } from './announcer';
import { h, setAttribute, setText } from './dom';
import { short } from './words';

const SAYS_MS = 2000;

export class TaskId {
  readonly node: HTMLButtonElement;

  constructor(private _trans: TranslationBundle) {
    this._text = h('code', {});
    this.node = h('button', { type: 'button', class: 'phasenb-id', click: () => void this._copy() }, this._text);
  }

  update(taskId: string): void {
    if (taskId !== this._taskId) {
      this._taskId = taskId;
      setText(this._text, short(taskId));
      setAttribute(this.node, 'title', this._trans.__('%1\nClick to copy', taskId));
      setAttribute(this.node, 'aria-label', this._trans.__('Copy the id %1', short(taskId)));
    }
  }

  private async _copy(): Promise<void> {
    const done = await copied(this._taskId);
    const says = done ? this._trans.__('copied') : this._trans.__('not copied: the browser refuses');
    setText(this._text, says);
    ANNOUNCER.say(`id ${this._taskId}`, says);
    setTimeout(() => setText(this._text, short(this._taskId)), SAYS_MS);
  }

  private _taskId = '';
  private _text: HTMLElement;
}

/** A page of plain HTTP has no clipboard, and only a selection can be copied there. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const area = h('textarea', { class: 'phasenb-hidden', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand?.('copy') ?? false;
    area.remove();
    if (focused instanceof HTMLElement) {
      focused.focus({ preventScroll: true });
    }
    return done;
  }
}
