// What becomes of tasks, told once, wherever they were launched.
//
// Rules: what had ended when this page first heard of it is not told; an approval that waits is told when it is first
// heard of, and taken back when it is answered; what happened while the connection was lost is told when it is back.

import type { TranslationBundle } from '@jupyterlab/translation';
import type { TaskModel } from '../model';
import type { TaskState } from '../protocol';
import type { TaskStore } from '../store';
import * as words from '../words';

export interface Wanted {
  completed: boolean;
  failed: boolean;
  approval: boolean;
}

export type Notice = { kind: keyof Wanted; message: string; taskId: string };

/** Shows a notice, and gives back what takes it away. */
export type Tell = (notice: Notice) => () => void;

export class Notices {
  constructor(
    private _store: TaskStore,
    private _tell: Tell,
    private _trans: TranslationBundle
  ) {
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
    this._open.get(taskId)?.();
    this._open.delete(taskId);
    const notice = noticeOf(task, this._trans);
    if (notice === null || !this.wanted[notice.kind] || (before === undefined && notice.kind !== 'approval')) {
      return;
    }
    const takeBack = this._tell(notice);
    if (notice.kind === 'approval') {
      this._open.set(taskId, takeBack);
    }
  }

  private _seqs = new Map<string, number>();
  private _known = new Map<string, string>();
  private _open = new Map<string, () => void>();
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
