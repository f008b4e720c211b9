// What a view of a task needs of whoever tells it: the server (store.ts), or a notebook's kernel (widget.ts).

import type { Connection, Given, Request } from './client';
import type { TaskModel } from './model';
import type { PhaseResult, TaskState } from './protocol';

/** What a notebook keeps of a task: how it was, when, in which store, whose it is, and what its launch had to say. */
export interface Saved {
  snapshot: TaskState;
  at: Date;
  epoch?: string;
  /** Whose the task is. */
  owner?: string;
  notes?: readonly string[];
}

export interface Asked {
  readonly connection: Connection;
  /** Null before anything was heard. */
  readonly welcome: { readonly epoch: string; readonly owner: string } | null;
  /** Try again where a person has to ask for it. */
  connect(): void;
  /** Rejects with ServerError or ConnectionLost. */
  request(request: Request, take?: undefined, given?: Given): Promise<unknown>;
  /** A body of the HTTP interface: `path` is below `phasenb/api`. Rejects as `request`. */
  get(path: string): Promise<Response>;
}

export interface Source {
  readonly client: Asked;
  /** The model of a task that is shown, kept up to date until as many `release`s. */
  follow(taskId: string, saved: Saved | null): TaskModel;
  release(taskId: string): void;
  /** The newest outcome of a phase; undefined where it is not to be had here. */
  result(taskId: string, phase: string): Promise<PhaseResult | undefined>;
}
