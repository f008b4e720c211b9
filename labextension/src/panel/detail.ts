// The task that was chosen: where it comes from, the one task view, and its timeline.
//
// Rule: the timeline's results are asked for when an attempt has ended, never in between.

import type { TranslationBundle } from '@jupyterlab/translation';
import { caretLeftIcon, notebookIcon } from '@jupyterlab/ui-components';
import { h, setHidden, setText } from '../dom';
import type { TaskModel } from '../model';
import type { PhaseResult } from '../protocol';
import type { TaskStore } from '../store';
import { TICKER } from '../ticker';
import { TaskView } from '../view';
import { isTerminal } from '../words';
import type { Origin } from './notebook';
import { Timeline } from './timeline';

export namespace TaskDetail {
  export interface IOptions {
    store: TaskStore;
    taskId: string;
    trans: TranslationBundle;
    origin: (model: TaskModel) => Origin | null;
    openNotebook: (path: string) => Promise<void>;
    close: () => void;
  }
}

/** The way back to the list, and what else there is to do. */
export function detailBar(trans: TranslationBundle, close: () => void, ...more: HTMLElement[]): HTMLElement {
  const title = trans.__('Back to all tasks');
  const back = h('button', { type: 'button', class: 'phasenb-link phasenb-back', title, click: close });
  back.append(caretLeftIcon.element({ tag: 'span' }), h('span', {}, trans.__('All tasks')));
  return h('div', { class: 'phasenb-detail-bar' }, back, ...more);
}

export class TaskDetail {
  readonly node: HTMLElement;
  readonly view: TaskView;

  constructor(private _options: TaskDetail.IOptions) {
    const { store, taskId, trans, close } = _options;
    this._open = h('button', { type: 'button', class: 'phasenb-link', click: () => this._openNotebook() });
    this._openSays = h('span', {});
    this._open.append(notebookIcon.element({ tag: 'span' }), this._openSays);
    this._origin = h('p', { class: 'phasenb-origin', role: 'status' });
    this._timeline = new Timeline(trans);
    this.view = new TaskView({ store, taskId, trans });
    this._box = h('div', { class: 'phasenb-timeline-box', hidden: true }, h('h3', {}, trans.__('Timeline')));
    this._box.append(this._timeline.node);
    const keydown = (event: Event) => this._key(event as KeyboardEvent);
    const about = { class: 'phasenb-detail', 'aria-label': trans.__('The chosen task'), keydown };
    this.node = h('section', about, detailBar(trans, close, this._open), this.view.node, this._box, this._origin);
    this._tick = () => this._paintTimeline();
    this.view.model.changed.connect(this._changed, this);
    this._changed();
  }

  dispose(): void {
    this._disposed = true;
    TICKER.remove(this._tick);
    this.view.model.changed.disconnect(this._changed, this);
    this.view.dispose();
    this.node.remove();
  }

  private _changed(): void {
    const { state: task, live } = this.view.model;
    if (task === null) {
      setHidden(this._open, true);
      return;
    }
    const attempts = task.phases.map(phase => `${phase.attempt} ${phase.status}`).join();
    if (attempts !== this._attempts) {
      this._attempts = attempts;
      this._paintTimeline();
      void this._load();
    }
    if (live && !isTerminal(task.state)) {
      TICKER.add(this._tick);
    } else {
      TICKER.remove(this._tick);
    }
    const origin = this._options.origin(this.view.model);
    setHidden(this._open, origin === null || origin.path === null);
    setHidden(this._origin, origin === null || origin.path !== null);
    if (origin !== null) {
      const name = origin.path?.split('/').pop() ?? '';
      setText(this._openSays, this._options.trans.__('Open %1', name));
      this._open.title = origin.path ?? '';
      if (!this._said) {
        setText(this._origin, origin.sentence);
      }
    }
  }

  /** Escape goes back, but not out of something that is being written. */
  private _key(event: KeyboardEvent): void {
    const { target } = event;
    if (event.key === 'Escape' && !(target instanceof HTMLElement && target.matches('textarea, select, input'))) {
      event.preventDefault();
      event.stopPropagation();
      this._options.close();
    }
  }

  private async _openNotebook(): Promise<void> {
    const path = this._options.origin(this.view.model)?.path;
    if (path) {
      try {
        await this._options.openNotebook(path);
      } catch {
        this._said = true;
        setText(this._origin, this._options.trans.__('%1 is not there any more: it was moved or deleted.', path));
        setHidden(this._origin, false);
      }
    }
  }

  private async _load(): Promise<void> {
    let results: readonly PhaseResult[];
    try {
      results = await this._options.store.results(this.view.model.taskId);
    } catch {
      return; // the bars so far stay; the next end of an attempt asks again
    }
    if (!this._disposed) {
      this._results = results;
      this._paintTimeline();
    }
  }

  private _paintTimeline(): void {
    const task = this.view.model.state;
    if (task !== null) {
      this._timeline.update(task, this._results, Date.now());
      setHidden(this._box, this._timeline.node.hidden);
    }
  }

  private _open: HTMLButtonElement;
  private _openSays: HTMLElement;
  private _box: HTMLElement;
  private _origin: HTMLElement;
  private _timeline: Timeline;
  private _tick: () => void;
  private _results: readonly PhaseResult[] = [];
  private _attempts: string | null = null;
  private _said = false;
  private _disposed = false;
}
