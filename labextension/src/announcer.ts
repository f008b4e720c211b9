// One live region for the whole page: it speaks at most once in 5 seconds, and then says what is newest of each task.

import { h } from './dom';

export const PAUSE_MS = 5000;

export class Announcer {
  /** Say `text` of a task; what was waiting to be said of the same task is not said any more. */
  say(taskId: string, text: string): void {
    this._waiting.set(taskId, text);
    if (this._timer === undefined) {
      this._speak();
    }
  }

  /** Nobody shows the task any more. */
  forget(taskId: string): void {
    this._waiting.delete(taskId);
  }

  private _speak(): void {
    this._timer = undefined;
    if (this._waiting.size === 0) {
      return;
    }
    if (this._region === null || !this._region.isConnected) {
      this._region = h('div', { class: 'phasenb-hidden', role: 'status', 'aria-live': 'polite' });
      document.body.append(this._region);
    }
    this._region.textContent = [...this._waiting.values()].join('; ');
    this._waiting.clear();
    this._timer = setTimeout(() => this._speak(), PAUSE_MS);
  }

  private _waiting = new Map<string, string>();
  private _region: HTMLElement | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
}

export const ANNOUNCER = new Announcer();
