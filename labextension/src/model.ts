// Tasks by id, as the server's messages tell them; whoever shows one listens to its model.
//
// Rules: an event counts once, in the order of seq; what is missing is asked for, never papered over; a model says
// `changed` at most once a frame, and only when something is different, so that nothing is painted in vain; durable
// events are told at once too (`happened`), as a page that nobody sees paints no frames.

import { type ISignal, Signal } from '@lumino/signaling';
import { type Client, ServerError, type Told } from './client';
import type { Feed, LogLine, PhaseLog, PhaseResult, Subscribed, TaskEvent, TaskState, Welcome } from './protocol';
import { apply, withUpdate } from './reducer';

export const TAIL_LINES = 200;
const NO_EPOCH = ''; // no store has it: a subscription that names it is answered with a snapshot

/** A line of an attempt's output; `line` counts in the attempt, from 1. */
export interface TailLine extends LogLine {
  phase: string;
  attempt: number;
  line: number;
}

/** Calls back before the next painting; requestAnimationFrame in a page. */
export type Frame = (paint: () => void) => unknown;

/** One task. `state` is null until the first event or snapshot came.
 *
 * `live`: the server tells of it now; otherwise `state` is how it was at `asOf`, when that is known.
 * `problem`: why nothing more will be heard of it. `dropped`: lines of output that nobody kept.
 */
export class TaskModel {
  state: TaskState | null = null;
  live = false;
  asOf: Date | null = null;
  problem: ServerError | null = null;
  tail: readonly TailLine[] = [];
  dropped = 0;

  /** @internal */ epoch = NO_EPOCH;
  /** @internal */ following = 0;
  /** @internal */ asking = false;

  constructor(
    readonly taskId: string,
    private _touched: (model: TaskModel) => void
  ) {}

  /** At most once a frame, and only when something is different. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get seq(): number {
    return this.state?.seq ?? 0;
  }

  /** Fold an event. False where it can't follow: events are missing, or it is newer than this page. */
  take(event: TaskEvent): boolean {
    if (event.seq <= this.seq) {
      return true;
    }
    try {
      this._become(apply(this.state, event));
      return true;
    } catch {
      return false;
    }
  }

  /** Start again from a snapshot. */
  reset(state: TaskState): void {
    this._become(state);
  }

  progress(update: Extract<Told, { type: 'phase_update' }>): void {
    if (this.state !== null) {
      const state = withUpdate(this.state, update);
      if (state !== this.state) {
        this._become(state);
      }
    }
  }

  log(log: PhaseLog): void {
    const { phase, attempt, first_line } = log;
    this.dropped += log.dropped;
    this.append(log.lines.map((line, index) => ({ ...line, phase, attempt, line: first_line + index })));
  }

  /** Add lines; those that are there already, by their number, are not added again. */
  append(lines: readonly TailLine[]): void {
    const last = this.tail[this.tail.length - 1];
    const fresh = last === undefined ? lines : lines.filter(line => isAfter(line, last));
    if (fresh.length > 0) {
      this.tail = [...this.tail, ...fresh].slice(-TAIL_LINES);
      this.touch();
    }
  }

  /** Lines that came before those that are there. */
  prepend(lines: readonly TailLine[]): void {
    const first = this.tail[0];
    const earlier = first === undefined ? lines : lines.filter(line => isAfter(first, line));
    if (earlier.length > 0) {
      this.tail = [...earlier, ...this.tail].slice(-TAIL_LINES);
      this.touch();
    }
  }

  fail(problem: ServerError): void {
    this.problem = problem;
    this.touch();
  }

  setLive(live: boolean): void {
    if (live !== this.live || (live && this.problem !== null)) {
      this.live = live;
      this.problem = live ? null : this.problem;
      this.touch();
    }
  }

  /** Have `changed` emitted in the next frame. */
  touch(): void {
    this._touched(this);
  }

  /** @internal */
  tell(): void {
    this._changed.emit();
  }

  private _become(state: TaskState): void {
    this.state = state;
    this.touch();
  }

  private _changed = new Signal<this, void>(this);
}

/** In the order of the output: by time, then by number, as a phase's attempts follow one another. */
function isAfter(line: TailLine, other: TailLine): boolean {
  return line.phase === other.phase && line.attempt === other.attempt ? line.line > other.line : line.at > other.at;
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
    Signal.clearData(this);
  }

  /** The model of a task that is shown, kept up to date until as many `release`s. `saved`: what is known of it, and
   * since when.
   */
  follow(taskId: string, saved: { snapshot: TaskState; at: Date } | null = null): TaskModel {
    const model = this._model(taskId);
    if (saved !== null && (model.state === null || (!model.live && saved.snapshot.seq > model.seq))) {
      model.reset(saved.snapshot);
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
        this.client.request({ type: 'unsubscribe', task_id: taskId }).catch(() => undefined); // it goes with the socket
      }
      if (this._scope === null) {
        this._tasks.delete(taskId);
      }
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
      if (model.state === null || task.seq > model.seq) {
        model.reset(task);
      }
    }
    return reply.next;
  }

  /** The newest outcome of a phase. Rejects as `client.get` does. */
  async result(taskId: string, phase: string): Promise<PhaseResult | undefined> {
    const results = await this.results(taskId);
    return results.filter(result => result.phase === phase && result.kind === 'phase').pop();
  }

  /** The outcome of every attempt that ended. Rejects as `client.get` does. */
  async results(taskId: string): Promise<PhaseResult[]> {
    const response = await this.client.get(`tasks/${taskId}/results`);
    const { results }: { results: PhaseResult[] } = await response.json();
    return results;
  }

  // --- subscriptions ---------------------------------------------------------------------------------------------

  private _opened(_: Client, welcome: Welcome): void {
    if (this._epoch !== '' && this._epoch !== welcome.epoch) {
      this._cursor = undefined; // another store: what its cursor meant, this one does not know
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

  private _connectionChanged(client: Client): void {
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
        this._loadTail(model);
      })
      .catch(error => {
        model.asking = false;
        if (error instanceof ServerError) {
          model.fail(error);
        }
      });
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
          this._touchList();
        }
      })
      .catch(error => {
        if (error instanceof ServerError && this._cursor !== undefined) {
          this._cursor = undefined; // a cursor of another release
          this._subscribeFeed();
        }
      });
  }

  private async _loadTail(model: TaskModel): Promise<void> {
    try {
      const response = await this.client.get(`tasks/${model.taskId}/logs?last=${TAIL_LINES}`);
      const { lines }: { lines: TailLine[] } = await response.json();
      model.prepend(lines);
      model.append(lines);
    } catch {
      // The lines are still in the store; the next subscription asks again.
    }
  }

  // --- messages --------------------------------------------------------------------------------------------------

  private _take(_: Client, told: Told): void {
    const known = this._tasks.get(told.task_id);
    if (known === undefined && (this._scope === null || told.type !== 'task_created')) {
      return;
    }
    const model = known ?? this._model(told.task_id);
    if (told.type === 'phase_update') {
      model.progress(told);
    } else if (told.type === 'phase_log') {
      model.log(told);
    } else {
      this._takeEvent(model, told);
    }
  }

  private _takeEvent(model: TaskModel, event: TaskEvent): void {
    const before = model.seq;
    if (model.take(event)) {
      if (event.seq > before) {
        model.epoch = this._epoch;
        model.setLive(true);
        this._happened.emit({ model, event });
      }
    } else if (!model.asking) {
      // Behind a gap the log is asked for what is missing; what can't be folded is asked for as a snapshot.
      this._subscribe(model, event.seq > before + 1 ? model.epoch : NO_EPOCH);
    }
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
  private _scope: 'session' | 'user' | null = null;
  private _cursor: string | undefined;
  private _epoch = '';
  private _fed = false;
  private _changed = new Signal<this, void>(this);
  private _happened = new Signal<this, Happened>(this);
}
