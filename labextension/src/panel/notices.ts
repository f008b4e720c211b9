// What becomes of tasks, told once, wherever they were launched.
//
// Rules:
// * A task on the screen needs no notice, and neither does work of under five seconds.
// * An end that came before this page heard of the task is not told. An approval that waits is told at once.
// * A task has one notice at most. It is taken back when the task goes on, or when a person sees the task.
// * Of many notices of a kind in a row, a few are shown. One more counts the rest.
// * What happened while the connection was lost is told when it is back.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { TaskModel } from '../model';
import type { TaskState } from '../protocol';
import { cameIntoSight, isOnScreen } from '../sight';
import type { TaskStore } from '../store';
import * as words from '../words';

export interface Wanted {
  completed: boolean;
  failed: boolean;
  approval: boolean;
}

/** `taskId` null: of many tasks. */
export type Notice = { kind: keyof Wanted; message: string; taskId: string | null };

/** A notice that stands on the page. */
export interface Standing {
  update(message: string): void;
  takeBack(): void;
}

export type Tell = (notice: Notice) => Standing;

/** So many of a kind are told one by one, until there was a pause. */
const FEW = 3;
const PAUSE_MS = 5000;
const SHORT_MS = 5000;
/** A card of what was launched just now may not stand on the page yet. */
const PATIENCE_MS = 1000;

export class Notices {
  constructor(
    private _store: TaskStore,
    private _tell: Tell,
    private _trans: TranslationBundle
  ) {
    cameIntoSight.connect((_, taskId) => this._takeBack(taskId));
    _store.happened.connect((_, { model }) => this._see(model));
    _store.changed.connect(() => this._seeAll());
  }

  wanted: Wanted = { completed: true, failed: true, approval: true };

  private _seeAll(): void {
    for (const model of this._store.tasks.values()) {
      if (this._seqs.get(model.taskId) !== model.seq) {
        this._see(model);
      }
    }
  }

  private _see(model: TaskModel): void {
    const { taskId, state: task } = model;
    if (task === null || !model.told || this._seqs.get(taskId) === task.seq) {
      return;
    }
    this._seqs.set(taskId, task.seq);
    const before = this._known.get(taskId);
    const now = standing(task);
    this._known.set(taskId, now);
    if (now === before) {
      return;
    }
    this._takeBack(taskId);
    const notice = noticeOf(task, this._trans);
    if (notice === null || !this.wanted[notice.kind] || (before === undefined && notice.kind !== 'approval')) {
      return;
    }
    if (wasShort(task)) {
      return;
    }
    const timer = setTimeout(() => {
      this._open.delete(taskId);
      if (!isOnScreen(taskId)) {
        this._open.set(taskId, this._told(notice));
      }
    }, PATIENCE_MS);
    this._open.set(taskId, () => clearTimeout(timer));
  }

  private _takeBack(taskId: string): void {
    this._open.get(taskId)?.();
    this._open.delete(taskId);
  }

  /** Tell of it, alone or among others; gives back what takes it back. */
  private _told(notice: Notice): () => void {
    const { kind } = notice;
    const now = Date.now();
    let row = this._rows.get(kind);
    if (row === undefined || now - row.last > PAUSE_MS) {
      row = { last: now, alone: 0, others: new Others(kind, this._tell, this._trans) };
      this._rows.set(kind, row);
    }
    row.last = now;
    row.alone += 1;
    if (row.alone > FEW) {
      return row.others.add();
    }
    const standing = this._tell(notice);
    return () => standing.takeBack();
  }

  private _rows = new Map<Notice['kind'], { last: number; alone: number; others: Others }>();
  private _seqs = new Map<string, number>();
  private _known = new Map<string, string>();
  private _open = new Map<string, () => void>();
}

/** Those of a kind that are counted, in one notice. */
class Others {
  constructor(
    private _kind: Notice['kind'],
    private _tell: Tell,
    private _trans: TranslationBundle
  ) {}

  add(): () => void {
    this._count += 1;
    this._show();
    return () => {
      this._count -= 1;
      this._show();
    };
  }

  private _show(): void {
    if (this._count === 0) {
      this._standing?.takeBack();
      this._standing = null;
    } else if (this._standing === null) {
      this._standing = this._tell({ kind: this._kind, message: this._message(), taskId: null });
    } else {
      this._standing.update(this._message());
    }
  }

  private _message(): string {
    const { _trans: trans, _count: count } = this;
    switch (this._kind) {
      case 'completed':
        return trans._n('%1 more task is complete.', '%1 more tasks are complete.', count);
      case 'failed':
        return trans._n('%1 more task failed.', '%1 more tasks failed.', count);
      case 'approval':
        return trans._n('%1 more task waits for your approval.', '%1 more tasks wait for your approval.', count);
    }
  }

  private _count = 0;
  private _standing: Standing | null = null;
}

/** Work of a moment needs no word. What counts is what the notice says that it took, without the wait for a worker. */
function wasShort({ created_at, started_at, ended_at }: TaskState): boolean {
  return ended_at !== null && Date.parse(ended_at) - Date.parse(started_at ?? created_at) < SHORT_MS;
}

/** What is worth a word when it changes; each gate is another one. */
function standing(task: TaskState): string {
  if (task.state === 'awaiting_approval') {
    return `approval ${task.approval?.seq}`;
  }
  return words.isTerminal(task.state) ? task.state : 'live';
}

export function noticeOf(task: TaskState, trans: TranslationBundle): Notice | null {
  const taskId = task.task_id;
  const name = words.plain(task.name);
  switch (task.state) {
    case 'completed': {
      const took = words.elapsed(task.started_at, task.ended_at, new Date());
      const message =
        took === null ? trans.__('%1 is complete.', name) : trans.__('%1 is complete, after %2.', name, took);
      return { kind: 'completed', message, taskId };
    }
    case 'failed': {
      const error = task.error?.error;
      const what = error === undefined ? '' : `${error.type}: ${words.plain(error.message)}`;
      const where = task.error?.phase ?? null;
      const message =
        where === null ? trans.__('%1 failed: %2', name, what) : trans.__('%1 failed in %2: %3', name, where, what);
      return { kind: 'failed', message, taskId };
    }
    case 'awaiting_approval':
      return {
        kind: 'approval',
        message: trans.__('%1 waits for your approval before %2.', name, task.approval?.phase ?? ''),
        taskId
      };
    default:
      return null;
  }
}
