// One live region for the whole page: it speaks at most once in 5 seconds, and then says what is newest of each task,
// and of the connection.

import type { TranslationBundle } from '@jupyterlab/translation';
import { h } from './dom';
import { connectionSentence } from './sentences';
import type { TaskStore } from './store';
import { isTerminal } from './words';

export const PAUSE_MS = 5000;

export class Announcer {
  /** Say `text` about a task, or about something else; what waited to be said about the same is not said any more. */
  say(about: string, text: string): void {
    this._waiting.set(about, text);
    if (this._timer === undefined) {
      this._speak();
    }
  }

  /** Nobody shows it any more. */
  forget(about: string): void {
    this._waiting.delete(about);
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

/** Say when the connection is lost, and when it is back, as long as there are tasks that go on. */
export function sayConnection(store: TaskStore, trans: TranslationBundle): void {
  let lost = false;
  store.client.connectionChanged.connect((_, connection) => {
    const { kind } = connection;
    const goesOn = [...store.tasks.values()].some(model => model.state !== null && !isTerminal(model.state.state));
    if (kind === 'connected' && lost) {
      lost = false;
      ANNOUNCER.say('connection', trans.__('The connection to the server is back.'));
    } else if (goesOn && kind !== 'connected' && kind !== 'connecting') {
      lost = true;
      ANNOUNCER.say('connection', connectionSentence(connection, 1, trans) ?? '');
    }
  });
}
