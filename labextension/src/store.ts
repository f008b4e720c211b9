// All tasks that this page knows, by id: it asks for them, and each model is told what is its own.
//
// Rules: what is missing is asked for, never papered over; what the server could not tell for the moment is asked for
// again; models say `changed` at most once a frame; durable events are told at once too (`happened`), as a page that
// nobody sees paints no frames.

import { type ISignal, Signal } from '@lumino/signaling';
import type { Client, Told } from './client';
import { inTrouble, ServerError } from './errors';
import { NO_EPOCH, TAIL_LINES, type TailLine, TaskModel } from './model';
import type { Feed, PhaseResult, Reply, Subscribed, TaskEvent, Welcome } from './protocol';
import type { Saved } from './source';

/** Calls back before the next painting; requestAnimationFrame in a page. */
export type Frame = (paint: () => void) => unknown;

export const PLACES_MS = 1000;
const PLACES_PAGES = 5;

/** Below `phasenb/api`. An id may come from a notebook, or a command's arguments. */
export function pathOf(taskId: string): string {
  return `tasks/${encodeURIComponent(taskId)}`;
}

export interface Happened {
  model: TaskModel;
  event: TaskEvent;
}

/** All tasks that this page knows, over one client. */
export class TaskStore {
  constructor(
    readonly client: Client,
    private _frame: Frame = paint => requestAnimationFrame(paint)
  ) {
    client.opened.connect(this._opened, this);
    client.told.connect(this._take, this);
    client.connectionChanged.connect(this._connectionChanged, this);
  }

  get tasks(): ReadonlyMap<string, TaskModel> {
    return this._tasks;
  }

  /** Whether all tasks of the feed's scope that have not ended are known. */
  get complete(): boolean {
    return this._fed;
  }

  /** At most once a frame: a task came, went or changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Each durable event that the feed or a subscription told, at once. */
  get happened(): ISignal<this, Happened> {
    return this._happened;
  }

  dispose(): void {
    clearTimeout(this._retry);
    clearTimeout(this._places);
    Signal.clearData(this);
  }

  /** The model of a task that is shown, kept up to date until as many `release`s. `saved`: what is known of it, and
   * since when.
   */
  follow(taskId: string, saved: Saved | null = null): TaskModel {
    const model = this._model(taskId);
    model.notes = saved?.notes ?? model.notes;
    if (saved !== null && (model.state === null || (!model.live && saved.snapshot.seq > model.seq))) {
      model.reset(saved.snapshot);
      model.epoch = NO_EPOCH; // it does not say of which store it is
      model.asOf = saved.at;
    }
    model.following += 1;
    if (model.following === 1) {
      this._subscribe(model);
    }
    return model;
  }

  release(taskId: string): void {
    const model = this._tasks.get(taskId);
    if (model === undefined || model.following === 0) {
      return;
    }
    model.following -= 1;
    if (model.following === 0) {
      if (this.client.connection.kind === 'connected') {
        this._leave(taskId);
      }
      if (this._scope === null) {
        this._tasks.delete(taskId);
      } else {
        model.forgetLines(); // the feed tells of the task, not of its output
      }
    }
  }

  /** These tasks have rows in sight. Places in the queue are asked for where another queued one is among them. */
  setInSight(models: Iterable<TaskModel>): void {
    const before = this._inSight;
    this._inSight = new Map([...models].map(model => [model.taskId, model.seq]));
    if (this._queued().some(model => before.get(model.taskId) !== model.seq)) {
      this._askForPlaces();
    }
  }

  /** Hear of all tasks of the session, or of the user: those that have not ended, and from now on all. */
  openFeed(scope: 'session' | 'user'): void {
    this._scope = scope;
    this._subscribeFeed();
  }

  /** One page of tasks, newest first, older than `before`; the next page's `before`, or null. Rejects as requests do. */
  async loadPast(limit = 200, before: string | null = null): Promise<string | null> {
    const reply = await this.client.request({ type: 'list', scope: this._scope ?? 'user', limit, before });
    if (reply.type !== 'tasks') {
      return null;
    }
    for (const task of reply.tasks) {
      const model = this._model(task.task_id);
      model.told = true;
      if (model.state === null || task.seq > model.seq) {
        model.reset(task);
      } else {
        model.setNotebook(task.notebook); // a rename is no event of the task
      }
    }
    return reply.next;
  }

  /** A file or folder of the server was moved, or deleted (`now` null): absolute paths. */
  moved(before: string, now: string | null): void {
    for (const model of this._tasks.values()) {
      const path = model.state?.notebook ?? null;
      if (path === before || path?.startsWith(`${before}/`)) {
        model.setNotebook(now === null ? null : now + path.slice(before.length));
      }
    }
  }

  /** The newest outcome of a phase. Rejects as `client.get` does. */
  async result(taskId: string, phase: string): Promise<PhaseResult | undefined> {
    const results = await this.results(taskId);
    return results.filter(result => result.phase === phase && result.kind === 'phase').pop();
  }

  /** The outcome of every attempt that ended. Rejects as `client.get` does. */
  async results(taskId: string): Promise<PhaseResult[]> {
    const response = await this.client.get(`${pathOf(taskId)}/results`);
    const { results }: { results: PhaseResult[] } = await response.json();
    return results;
  }

  // --- subscriptions ---------------------------------------------------------------------------------------------

  private _opened(_: Client, welcome: Welcome): void {
    if (this._epoch !== '' && this._epoch !== welcome.epoch) {
      this._cursor = undefined; // another store: what its cursor meant, this one does not know
      this._forget();
    }
    this._epoch = welcome.epoch;
    for (const model of this._tasks.values()) {
      model.asking = false;
      if (model.following > 0) {
        this._subscribe(model);
      }
    }
    this._subscribeFeed();
  }

  /** What the store that is gone had told; whoever shows one of its tasks hears what became of it. */
  private _forget(): void {
    for (const [taskId, model] of this._tasks) {
      model.told = false;
      if (model.following === 0) {
        this._tasks.delete(taskId);
      }
    }
    this._touchList();
  }

  private _connectionChanged(client: Client): void {
    if (client.connection.kind !== 'connected') {
      this._calm();
    }
    for (const model of this._tasks.values()) {
      if (client.connection.kind !== 'connected' && model.live) {
        model.live = false;
        model.asOf = new Date();
      }
      model.touch(); // a view says how things stand
    }
  }

  private _subscribe(model: TaskModel, epoch = model.epoch): void {
    if (this.client.connection.kind !== 'connected') {
      this.client.connect();
      return;
    }
    if (model.asking) {
      return;
    }
    model.asking = true;
    this.client
      .request<Subscribed>({ type: 'subscribe', task_id: model.taskId, after_seq: model.seq, epoch }, reply => {
        model.asking = false;
        model.epoch = reply.epoch;
        if (reply.snapshot !== null) {
          model.reset(reply.snapshot);
        }
        model.setLive(true);
        this._tries = 0;
        if (model.following > 0) {
          void this._loadTail(model);
        } else {
          this._leave(model.taskId); // what was missing is there; the feed goes on, without the output
        }
        if (isQueued(model) && model.state?.queue === null) {
          this._askForPlaces();
        }
      })
      .catch(error => {
        model.asking = false;
        if (error instanceof ServerError) {
          model.fail(error);
          this._askLater(error);
        }
      });
  }

  private _leave(taskId: string): void {
    this.client.request({ type: 'unsubscribe', task_id: taskId }).catch(() => undefined); // it goes with the socket
  }

  private _subscribeFeed(): void {
    if (this._scope === null) {
      return;
    }
    if (this.client.connection.kind !== 'connected') {
      this.client.connect();
      return;
    }
    this.client
      .request<Feed>({ type: 'subscribe_feed', scope: this._scope, after: this._cursor ?? null }, page => {
        for (const task of page.tasks) {
          const model = this._model(task.task_id);
          if (task.seq >= model.seq || !model.live) {
            model.epoch = this._epoch;
            model.reset(task);
            model.setLive(true);
          }
        }
        if (page.next === null) {
          this._cursor = page.cursor;
          this._fed = true;
          this._tries = 0;
          this._touchList();
        }
      })
      .catch(error => {
        if (!(error instanceof ServerError)) {
          return; // the next connection asks again
        }
        if (inTrouble(error)) {
          this._feedWaits = true;
          this._askLater(error);
        } else if (this._cursor !== undefined) {
          this._cursor = undefined; // a cursor of another release
          this._subscribeFeed();
        }
      });
  }

  /** A server in trouble is asked again for all that it could not tell, later and later. */
  private _askLater(error: ServerError): void {
    if (inTrouble(error) && this._retry === undefined) {
      this._retry = setTimeout(() => this._askAgain(), this.client.delay(this._tries));
      this._tries += 1;
    }
  }

  private _askAgain(): void {
    this._retry = undefined;
    for (const model of this._tasks.values()) {
      if (model.problem !== null && inTrouble(model.problem)) {
        this._subscribe(model);
      }
    }
    if (this._feedWaits) {
      this._feedWaits = false;
      this._subscribeFeed();
    }
  }

  /** The next connection asks for everything anyway. */
  private _calm(): void {
    clearTimeout(this._retry);
    this._retry = undefined;
    this._tries = 0;
    this._feedWaits = false;
  }

  private async _loadTail(model: TaskModel): Promise<void> {
    try {
      const response = await this.client.get(`${pathOf(model.taskId)}/logs?last=${TAIL_LINES}`);
      const { lines }: { lines: TailLine[] } = await response.json();
      if (model.following > 0) {
        model.merge(lines);
      }
    } catch {
      // The lines are still in the store; the next subscription asks again.
    }
  }

  // --- messages --------------------------------------------------------------------------------------------------

  private _take(_: Client, told: Told): void {
    const known = this._tasks.get(told.task_id);
    if (told.type === 'phase_update') {
      known?.progress(told);
    } else if (told.type === 'phase_log') {
      if (known !== undefined && known.following > 0) {
        known.log(told);
      }
    } else if (known !== undefined || this._scope !== null) {
      // What the feed tells of and its pages did not hold is new here, or had ended and goes on: then it has a past.
      this._takeEvent(known ?? this._model(told.task_id), told);
    }
  }

  private _takeEvent(model: TaskModel, event: TaskEvent): void {
    const before = model.seq;
    if (model.take(event)) {
      if (event.seq > before) {
        model.epoch = this._epoch;
        model.setLive(true);
        this._happened.emit({ model, event });
        this._askForPlaces();
      }
    } else if (!model.asking) {
      // Behind a gap the log is asked for what is missing; what can't be folded is asked for as a snapshot.
      this._subscribe(model, event.seq > before + 1 ? model.epoch : NO_EPOCH);
    }
  }

  /** No event tells the place in the queue: it is asked for after events, where a queued task is shown. */
  private _askForPlaces(): void {
    if (this._places === undefined && this._queued().length > 0) {
      this._places = setTimeout(() => {
        this._places = undefined;
        void this._loadPlaces();
      }, PLACES_MS);
    }
  }

  private async _loadPlaces(): Promise<void> {
    const wanted = new Set(this._queued().map(model => model.taskId));
    let before: string | null = null;
    try {
      for (let page = 0; page < PLACES_PAGES && wanted.size > 0; page++) {
        const reply: Reply = await this.client.request({ type: 'list', state: 'queued', scope: 'user', before });
        for (const task of reply.type === 'tasks' ? reply.tasks : []) {
          this._tasks.get(task.task_id)?.setQueue(task);
          wanted.delete(task.task_id);
        }
        before = reply.type === 'tasks' ? reply.next : null;
        if (before === null) {
          return;
        }
      }
    } catch {
      // The next event, or connection, asks again.
    }
  }

  private _queued(): TaskModel[] {
    const shown = ({ taskId, following }: TaskModel) => following > 0 || this._inSight.has(taskId);
    return [...this._tasks.values()].filter(model => isQueued(model) && shown(model));
  }

  // --- who is told -----------------------------------------------------------------------------------------------

  private _model(taskId: string): TaskModel {
    let model = this._tasks.get(taskId);
    if (model === undefined) {
      model = new TaskModel(taskId, touched => this._touch(touched));
      this._tasks.set(taskId, model);
      this._touchList();
    }
    return model;
  }

  private _touch(model: TaskModel): void {
    this._dirty.add(model);
    this._touchList();
  }

  private _touchList(): void {
    if (!this._waiting) {
      this._waiting = true;
      this._frame(() => this._paint());
    }
  }

  private _paint(): void {
    this._waiting = false;
    const dirty = [...this._dirty];
    this._dirty.clear();
    for (const model of dirty) {
      model.tell();
    }
    this._changed.emit();
  }

  private _tasks = new Map<string, TaskModel>();
  private _dirty = new Set<TaskModel>();
  private _waiting = false;
  private _retry: ReturnType<typeof setTimeout> | undefined;
  private _places: ReturnType<typeof setTimeout> | undefined;
  private _inSight: ReadonlyMap<string, number> = new Map();
  private _tries = 0;
  private _feedWaits = false;
  private _scope: 'session' | 'user' | null = null;
  private _cursor: string | undefined;
  private _epoch = '';
  private _fed = false;
  private _changed = new Signal<this, void>(this);
  private _happened = new Signal<this, Happened>(this);
}

function isQueued(model: TaskModel): boolean {
  return model.state?.state === 'queued';
}
